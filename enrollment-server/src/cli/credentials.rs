//! `chancery-server credentials`: who may ask, and how each credential was used. Secrets are not shown, nor what they are checked
//! by.

mod shown;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use issuance::{
    audit::Actor,
    credential::{CredentialRow, CredentialState, CredentialUsage},
    identity::{CredentialId, ResourceName},
    store::{CredentialFilter, MethodScope, Page, Store},
};

use self::shown::{ShownCredential, credential_csv, credential_line, credential_text, csv_header};
use super::{
    DataArgs, Format,
    offline::{Offline, PAGE, operator, with_store},
    output,
};

#[derive(Debug, Subcommand)]
pub(super) enum CredentialsCommand {
    /// Lists credentials, oldest first, with how often and when each was used.
    List(ListArgs),
    /// Shows one credential, how it was used, and what last went wrong with it.
    Show(ShowArgs),
    /// Writes all that is shown of each credential, never a secret.
    Export(ExportArgs),
    /// Revokes a credential for good: a server that runs refuses it from the next request on. What it brought stays.
    ///
    /// One that an EnrollmentCredential declares is revoked by deleting that resource.
    Revoke(RevokeArgs),
}

/// All that are given must hold.
#[derive(Clone, Debug, Args)]
struct WhichArgs {
    /// Only those of this EnrollmentMethod.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    method: Option<ResourceName>,
    /// Only those that were never used, or not since they got their present value.
    #[arg(long)]
    unused: bool,
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

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Identifier of the credential, as `credentials list` shows it.
    id: CredentialId,
    #[command(flatten)]
    data: DataArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    which: WhichArgs,
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// RFC 4180, with a header.
    #[default]
    Csv,
    /// One array.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Identifier of the credential, as `credentials list` shows it.
    id: CredentialId,
    /// Why; for the audit trail.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

impl CredentialsCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => {
                let how = match args.format {
                    Format::Text => How::Text,
                    Format::Json => How::Json,
                };
                print_all(&args.data, &args.which, how)
            }
            Self::Export(args) => {
                let how = match args.format {
                    ExportFormat::Csv => How::Csv,
                    ExportFormat::Json => How::Json,
                };
                print_all(&args.data, &args.which, how)
            }
            Self::Show(args) => with_store(&args.data.clone(), async |offline| show(&offline, &args).await),
            Self::Revoke(args) => {
                with_store(&args.data.clone(), async |offline| revoke(&offline, &args).await)
            }
        }
    }
}

fn print_all(data: &DataArgs, which: &WhichArgs, how: How) -> anyhow::Result<()> {
    with_store(data, async |offline| {
        let mut printer = Printer { how, first: true };
        each(&**offline.engine.store(), which, PAGE, |row, usage| printer.print(row, usage)).await?;
        printer.end()
    })
}

/// Does something with each credential that matches, page by page.
async fn each(
    store: &dyn Store,
    which: &WhichArgs,
    limit: usize,
    mut act: impl FnMut(&CredentialRow, &CredentialUsage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let filter = CredentialFilter {
        methods: which.method.clone().map(MethodScope::from),
        ..CredentialFilter::default()
    };
    let mut page = Page::first(limit);
    loop {
        let rows = store.credentials(&filter, &page).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        page.after = Some(*last);
        let ids: Vec<CredentialId> = rows.iter().map(|(_, row)| row.id.clone()).collect();
        let usages = store.credential_usages(&ids).await?;
        // Credentials are never removed, so there is one for each.
        for ((_, row), usage) in rows.iter().zip(&usages) {
            if !which.unused || usage.last_used_at.is_none() {
                act(row, usage)?;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Text,
    Csv,
    Json,
}

struct Printer {
    how: How,
    first: bool,
}

impl Printer {
    /// Printed as it is read: it may be long.
    fn print(&mut self, row: &CredentialRow, usage: &CredentialUsage) -> anyhow::Result<()> {
        match self.how {
            How::Text => output::line(credential_line(row, usage))?,
            How::Csv => {
                self.header()?;
                output::text(&credential_csv(row, usage)?)?;
            }
            How::Json => {
                let shown = serde_json::to_string(&ShownCredential::new(row, usage))?;
                output::line(format_args!("{}{shown}", if self.first { "[" } else { "," }))?;
            }
        }
        self.first = false;
        Ok(())
    }

    fn header(&self) -> anyhow::Result<()> {
        if self.first { Ok(output::text(&csv_header()?)?) } else { Ok(()) }
    }

    fn end(&self) -> anyhow::Result<()> {
        match self.how {
            How::Text => Ok(()),
            How::Csv => self.header(),
            How::Json => Ok(output::line(if self.first { "[]" } else { "]" })?),
        }
    }
}

async fn show(offline: &Offline, args: &ShowArgs) -> anyhow::Result<()> {
    let store = &**offline.engine.store();
    let row = store.credential(&args.id).await?;
    let usage = store.credential_usages(std::slice::from_ref(&args.id)).await?.pop();
    let found = row.zip(usage);
    let (row, usage) = found.with_context(|| format!("no credential has the identifier {}", args.id))?;
    match args.format {
        Format::Text => Ok(output::line(credential_text(&row, &usage))?),
        Format::Json => output::json(&ShownCredential::new(&row, &usage)),
    }
}

async fn revoke(offline: &Offline, args: &RevokeArgs) -> anyhow::Result<()> {
    let actor = Actor::Operator { name: operator() };
    let row = offline.engine.revoke_credential(&args.id, actor, args.reason.as_deref()).await;
    let row = row.with_context(|| format!("credential {}", args.id))?;
    let state = state(&row);
    output::line(format_args!("credential {} ({}) of {} is {state}", row.id, row.name, row.method))?;
    Ok(())
}

fn state(row: &CredentialRow) -> &'static str {
    match row.state {
        CredentialState::Active => "active",
        CredentialState::Revoked => "revoked",
    }
}

#[cfg(test)]
mod tests {
    use issuance::store::{
        Write,
        memory::MemoryStore,
        suite::samples::{NOW, credential, credential_id, method, write},
    };

    use super::*;

    #[tokio::test]
    async fn each_credential_that_is_asked_for_is_seen_once_with_its_own_usage_whatever_the_pages() {
        let store = MemoryStore::default();
        for number in 1..=5 {
            let of = if number == 4 { "other" } else { "est" };
            let row = CredentialRow { method: method(of), ..credential(number) };
            let mut writes = vec![Write::PutCredential(Box::new(row))];
            let used = Write::UseCredential { id: credential_id(number), at: NOW, address: None };
            writes.extend(std::iter::repeat_n(used, usize::from(number % 3)));
            write(&store, writes).await;
        }
        let which = || WhichArgs { method: None, unused: false };
        let table: [(WhichArgs, &[(u8, u64)]); 4] = [
            (which(), &[(1, 1), (2, 2), (3, 0), (4, 1), (5, 2)]),
            (WhichArgs { method: Some(method("other")), ..which() }, &[(4, 1)]),
            (WhichArgs { unused: true, ..which() }, &[(3, 0)]),
            (WhichArgs { method: Some(method("other")), unused: true }, &[]),
        ];
        for (which, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|(number, uses)| (credential_id(*number), *uses)).collect();
            for limit in [1, 2, 5, 6] {
                let mut seen = Vec::new();
                each(&store, &which, limit, |row, usage| {
                    assert_eq!(row.id, usage.credential);
                    seen.push((row.id.clone(), usage.uses));
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seen, expected, "{which:?}, {limit} a page");
            }
        }
    }
}
