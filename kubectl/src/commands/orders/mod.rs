//! `orders`: from what is asked to a certificate.
//!
//! | file | what |
//! | --- | --- |
//! | `create.rs` | what is asked for |
//! | `submit.rs` | the certificate request of an order that waits for it |
//! | `wait.rs` | until something has become of it |
//! | `again.rs` | where no answer says what came of a request |
//! | `download.rs` | what came of it: the certificate, and the key that the server made |
//! | `challenge.rs` | proofs of control over names |

mod again;
mod challenge;
mod create;
mod download;
mod submit;
#[cfg(test)]
mod tests;
mod wait;

use clap::{Args, Subcommand, ValueEnum};
use client::rest::Order;

use self::{
    challenge::{AnswerArgs, show},
    create::CreateArgs,
    download::DownloadArgs,
    submit::SubmitArgs,
    wait::{WaitArgs, check_issued},
};
use crate::{
    cli::Context,
    output::{Form, List, Row, print},
    times,
};

#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// Lists orders, the oldest first.
    List(ListArgs),
    /// Shows one order, with what is to be proved. What was approved is issued when whoever ordered looks.
    Get(GetArgs),
    /// Orders a certificate, with a certificate request or with a key that the server makes.
    Create(Box<CreateArgs>),
    /// Sends the certificate request of an order that waits for it.
    Submit(SubmitArgs),
    /// Cancels an order of which nothing has become yet.
    Cancel(WhichArgs),
    /// Gives what came of an order as a file: the certificate, and once the private key that the server made.
    Download(DownloadArgs),
    /// Says that a challenge is in place: the server looks, and issues once all names are proved.
    Challenge(AnswerArgs),
}

/// All that are given must hold.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that are this now.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only those of this product.
    #[arg(long)]
    product: Option<String>,
    /// Only those made since: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is 30 days ago.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    created_after: Option<String>,
    /// Only those made before.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    created_before: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    AwaitingCsr,
    AwaitingProof,
    Pending,
    Issued,
    Denied,
    Cancelled,
    Failed,
    Expired,
}

#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Identifier of the order, as `orders list` shows it.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl OrdersCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Get(args) => args.run(context).await,
            Self::Create(args) => args.run(context).await,
            Self::Submit(args) => args.run(context).await,
            Self::Cancel(which) => {
                context.output.object(&context.server().await?.cancel_order(&which.id).await?)
            }
            Self::Download(args) => args.run(context).await,
            Self::Challenge(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        List::pages(context.output, self.limit, |cursor, limit| {
            let query = context
                .query()
                .with_some("status", self.status.map(Status::as_str))
                .with_some("product", self.product.as_deref())
                .with_some("createdAfter", self.created_after.as_deref())
                .with_some("createdBefore", self.created_before.as_deref());
            client.orders(query.with("limit", limit).with_some("cursor", cursor))
        })
        .await
    }
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingCsr => "awaitingCsr",
            Self::AwaitingProof => "awaitingProof",
            Self::Pending => "pending",
            Self::Issued => "issued",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

impl GetArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        let mut order = client.order(&self.which.id).await?;
        let waited = self.wait.follow(&client, &mut order).await;
        print_order(context, &order)?;
        waited?;
        if self.wait.limit().is_some() { check_issued(&order) } else { Ok(()) }
    }
}

/// An order, and below it what is to be proved.
fn print_order(context: &Context, order: &Order) -> anyhow::Result<()> {
    context.output.object(order)?;
    match context.output.form {
        Form::Table if !order.authorizations.is_empty() => {
            print("")?;
            show(context, order.authorizations.iter().enumerate())
        }
        Form::Table | Form::Json | Form::Yaml | Form::Name => Ok(()),
    }
}

impl Row for Order {
    const KIND: &'static str = "order";
    const COLUMNS: &'static [&'static str] =
        &["ID", "STATUS", "CREATED", "PRODUCT", "REQUESTER", "RENEWAL", "DOMAINS", "CERTIFICATE", "REASON"];

    fn cells(&self) -> Vec<String> {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        let renewal = self.renewal.as_ref();
        // What stands in the way of a renewal is the order's to say once it is issued.
        let reason = self.reason.clone().or_else(|| renewal.and_then(|renewal| renewal.reason.clone()));
        vec![
            self.id.clone(),
            self.status.as_str().to_owned(),
            self.created_at.clone(),
            self.product.clone(),
            self.requester.clone(),
            renewal.map(|renewal| renewal.renew_before.clone()).unwrap_or_default(),
            self.domains.join(","),
            or_nothing(&self.certificate_id),
            reason.unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.id.clone()
    }
}
