//! `chancery-server requests`: what waits for a person.

use clap::{Args, Subcommand};
use issuance::{
    approval::Verdict,
    identity::RequestId,
    store::{Page, RequestFilter, RequestRow, RequestState},
};

use super::{
    DataArgs, Format,
    offline::{Offline, PAGE, operator, with_store},
    output,
};

#[derive(Debug, Subcommand)]
pub(super) enum RequestsCommand {
    /// Lists requests, oldest first: the pending ones, unless --all.
    List(ListArgs),
    /// Approves a pending request: its requester gets the certificate when it asks again.
    Approve(DecideArgs),
    /// Denies a pending request.
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Lists decided, issued and expired requests too.
    #[arg(long)]
    all: bool,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// Identifier of the request, as `requests list` shows it.
    id: RequestId,
    /// Why; the requester of a denied request is told.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

impl RequestsCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => with_store(&args.data.clone(), async |offline| list(&offline, &args).await),
            Self::Approve(args) => decide(args, Verdict::Approve),
            Self::Deny(args) => decide(args, Verdict::Deny),
        }
    }
}

async fn list(offline: &Offline, args: &ListArgs) -> anyhow::Result<()> {
    let filter =
        RequestFilter { state: (!args.all).then_some(RequestState::Pending), ..RequestFilter::default() };
    let mut page = Page::first(PAGE);
    let mut shown: Vec<RequestRow> = Vec::new();
    loop {
        let rows = offline.engine.store().requests(&filter, &page).await?;
        let Some((last, _)) = rows.last() else { break };
        page.after = Some(*last);
        for (_, row) in rows {
            match args.format {
                Format::Text => output::line(format_args!(
                    "{}  {:8}  {}  {}  {}",
                    row.id,
                    row.state.as_str(),
                    row.created_at,
                    row.method,
                    row.summary
                ))?,
                Format::Json => shown.push(row),
            }
        }
    }
    if args.format == Format::Json {
        output::json(&shown)?;
    }
    Ok(())
}

pub(super) fn decide(args: DecideArgs, verdict: Verdict) -> anyhow::Result<()> {
    with_store(&args.data, async |offline| {
        let row = offline.engine.decide(&args.id, verdict, &operator(), args.reason).await?;
        output::line(format_args!("request {} is {}: {}", row.id, row.state.as_str(), row.summary))?;
        Ok(())
    })
}
