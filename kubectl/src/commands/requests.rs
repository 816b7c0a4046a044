//! `requests`, `approve`, `deny`: what waits for a person.

use clap::{Args, Subcommand, ValueEnum};
use client::rest::Request;

use crate::{
    cli::Context,
    output::{List, Row},
};

#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Lists requests, the oldest first: the pending ones, unless --state or --all.
    List(ListArgs),
    /// Shows one request.
    Get {
        /// Identifier of the request, as `requests list` shows it.
        id: String,
    },
    /// Approves a pending request.
    Approve(ApproveArgs),
    /// Denies a pending request.
    Deny(DenyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those in this state.
    #[arg(long, value_enum, default_value_t)]
    state: State,
    /// In whatever state.
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum State {
    #[default]
    Pending,
    Approved,
    Denied,
    Issued,
    Expired,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Identifier of the request, as `requests list` shows it.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    /// Identifier of the request, as `requests list` shows it.
    id: String,
    /// Why; whoever asked is told.
    #[arg(long)]
    reason: Option<String>,
}

impl RequestsCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Get { id } => context.output.object(&context.server().await?.read_request(&id).await?),
            Self::Approve(args) => args.run(context).await,
            Self::Deny(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        let state = (!self.all).then(|| self.state.as_str());
        List::pages(context.output, self.limit, |cursor, limit| {
            let query = context.query().with_some("state", state).with("limit", limit);
            client.requests(query.with_some("cursor", cursor))
        })
        .await
    }
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Issued => "issued",
            Self::Expired => "expired",
        }
    }
}

impl ApproveArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.output.object(&context.server().await?.approve_request(&self.id).await?)
    }
}

impl DenyArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        context.output.object(&client.deny_request(&self.id, self.reason.as_deref()).await?)
    }
}

impl Row for Request {
    const KIND: &'static str = "request";
    const COLUMNS: &'static [&'static str] = &["ID", "STATE", "CREATED", "PROFILE", "REQUESTER", "SUMMARY"];

    fn cells(&self) -> Vec<String> {
        [&self.id, &self.state, &self.created_at, &self.profile, &self.requester, &self.summary]
            .map(Clone::clone)
            .into()
    }

    fn name(&self) -> String {
        self.id.clone()
    }
}
