//! `chancery-server accounts`: who asks by ACME. Keys are not shown, neither theirs nor what they were bound with: a thumbprint
//! says which one an account has, and the kid what it is bound to.

mod shown;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use issuance::{
    acme::{AccountRow, AccountStatus, OrderRow},
    audit::Actor,
    identity::{AcmeAccountId, CredentialId, ResourceName},
    store::{AcmeAccountFilter, Page, Store},
};

use self::shown::{ShownAccount, account_line, account_text};
use super::{
    DataArgs, Format,
    offline::{Offline, PAGE, operator, with_store},
    output,
};

#[derive(Debug, Subcommand)]
pub(super) enum AccountsCommand {
    /// Lists accounts, oldest first.
    List(ListArgs),
    /// Shows one account, what it is bound to, and its orders that are still kept, newest first.
    Show(ShowArgs),
    /// Ends an account for good: nothing is ordered, proved or issued for it from then on.
    ///
    /// A server that runs refuses at once whatever would bring it a certificate, revoke one or change the account; what it
    /// only reads or gives up, within five seconds. Its certificates stay: `certificates revoke` revokes them. Whoever holds
    /// the credential that it is bound to can bind another account to it: revoke that too, where that is to end.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    which: WhichArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// All that are given must hold.
#[derive(Debug, Args)]
struct WhichArgs {
    /// Only those of this EnrollmentMethod.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    method: Option<ResourceName>,
    /// Only those that are valid, deactivated (by their owners) or revoked.
    #[arg(long)]
    status: Option<AccountStatus>,
    /// Only those that are bound to this credential: its identifier, as `show` has it.
    #[arg(long, value_name = "ID")]
    credential: Option<CredentialId>,
}

impl From<&WhichArgs> for AcmeAccountFilter {
    fn from(which: &WhichArgs) -> Self {
        Self { method: which.method.clone(), status: which.status, credential: which.credential.clone() }
    }
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Identifier of the account, as `accounts list` shows it: the last part of its URL.
    id: AcmeAccountId,
    #[command(flatten)]
    data: DataArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Identifier of the account, as `accounts list` shows it: the last part of its URL.
    id: AcmeAccountId,
    /// Why; for the audit trail.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

impl AccountsCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => with_store(&args.data.clone(), async |offline| {
                let (filter, format) = (AcmeAccountFilter::from(&args.which), args.format);
                let mut printer = Printer { format, first: true };
                each(&**offline.engine.store(), &filter, PAGE, |account| printer.print(account)).await?;
                printer.end()
            }),
            Self::Show(args) => with_store(&args.data.clone(), async |offline| show(&offline, &args).await),
            Self::Revoke(args) => {
                with_store(&args.data.clone(), async |offline| revoke(&offline, &args).await)
            }
        }
    }
}

/// Does something with each account that matches, page by page.
async fn each(
    store: &dyn Store,
    filter: &AcmeAccountFilter,
    limit: usize,
    mut act: impl FnMut(&AccountRow) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut page = Page::first(limit);
    loop {
        let rows = store.acme_accounts(filter, &page).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        page.after = Some(*last);
        rows.iter().try_for_each(|(_, row)| act(row))?;
    }
}

struct Printer {
    format: Format,
    first: bool,
}

impl Printer {
    /// An array is printed as it is read: it may be long.
    fn print(&mut self, account: &AccountRow) -> anyhow::Result<()> {
        match self.format {
            Format::Text => output::line(account_line(account))?,
            Format::Json => {
                let shown = serde_json::to_string(&ShownAccount::new(account, None))?;
                output::line(format_args!("{}{shown}", if self.first { "[" } else { "," }))?;
            }
        }
        self.first = false;
        Ok(())
    }

    fn end(&self) -> anyhow::Result<()> {
        if self.format == Format::Json {
            output::line(if self.first { "[]" } else { "]" })?;
        }
        Ok(())
    }
}

async fn show(offline: &Offline, args: &ShowArgs) -> anyhow::Result<()> {
    let store = &**offline.engine.store();
    let account = store.acme_account(&args.id).await?;
    let account = account.with_context(|| format!("no account has the identifier {}", args.id))?;
    let orders = orders_of(store, &account.id, PAGE).await?;
    let now = offline.engine.clock().now();
    match args.format {
        Format::Text => Ok(output::line(account_text(&account, &orders, now))?),
        Format::Json => output::json(&ShownAccount::new(&account, Some((&orders, now)))),
    }
}

/// All of them, the newest first: how many there are is bounded by how long they are kept.
async fn orders_of(
    store: &dyn Store,
    account: &AcmeAccountId,
    limit: usize,
) -> anyhow::Result<Vec<OrderRow>> {
    let (mut orders, mut page) = (Vec::new(), Page::first(limit));
    loop {
        let rows = store.acme_orders_of(account, &page).await?;
        let Some((last, _)) = rows.last() else { return Ok(orders) };
        page.after = Some(*last);
        orders.extend(rows.into_iter().map(|(_, order)| order));
    }
}

async fn revoke(offline: &Offline, args: &RevokeArgs) -> anyhow::Result<()> {
    let actor = Actor::Operator { name: operator() };
    let account = offline.engine.revoke_account(&args.id, actor, args.reason.as_deref()).await;
    let account = account.with_context(|| format!("account {}", args.id))?;
    output::line(format_args!(
        "account {} of {} is {}",
        account.id,
        account.method,
        account.status.as_str()
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use issuance::store::{
        memory::MemoryStore,
        suite::samples::{account, account_id, credential_id, method, order, put_account, put_order, write},
    };

    use super::*;

    #[tokio::test]
    async fn each_account_that_is_asked_for_is_seen_once_whatever_the_pages() {
        let store = MemoryStore::default();
        for number in 1..=5 {
            let mut row = account(number);
            if number == 3 {
                row.revoke().unwrap();
            }
            if number == 4 {
                (row.binding, row.method) = (None, method("open"));
            }
            write(&store, vec![put_account(row)]).await;
        }
        let which = || WhichArgs { method: None, status: None, credential: None };
        let table: [(WhichArgs, &[u8]); 6] = [
            (which(), &[1, 2, 3, 4, 5]),
            (WhichArgs { method: Some(method("open")), ..which() }, &[4]),
            (WhichArgs { status: Some(AccountStatus::Revoked), ..which() }, &[3]),
            (WhichArgs { credential: Some(credential_id(1)), ..which() }, &[1, 2, 3, 5]),
            (
                WhichArgs {
                    status: Some(AccountStatus::Valid),
                    credential: Some(credential_id(1)),
                    ..which()
                },
                &[1, 2, 5],
            ),
            (WhichArgs { credential: Some(credential_id(2)), ..which() }, &[]),
        ];
        for (which, expected) in table {
            let expected: Vec<AcmeAccountId> = expected.iter().copied().map(account_id).collect();
            for limit in [1, 2, 5, 6] {
                let mut seen = Vec::new();
                let filter = AcmeAccountFilter::from(&which);
                each(&store, &filter, limit, |row| {
                    seen.push(row.id.clone());
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seen, expected, "{which:?}, {limit} a page");
            }
        }
    }

    #[tokio::test]
    async fn all_orders_of_an_account_are_read_the_newest_first_whatever_the_pages() {
        let store = MemoryStore::default();
        let mut foreign = order(9);
        foreign.account = account_id(2);
        write(&store, vec![put_account(account(1)), put_order(foreign)]).await;
        for number in 1..=3 {
            write(&store, vec![put_order(order(number))]).await;
        }
        for limit in [1, 2, 3, 4] {
            let found = orders_of(&store, &account_id(1), limit).await.unwrap();
            assert_eq!(found, [order(3), order(2), order(1)], "{limit} a page");
        }
    }
}
