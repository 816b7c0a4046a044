//! Records, for people and for other programs.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use issuance::{
    audit::{
        Action, Actor, AuditEvent, AuditFilter, AuditOrder, AuditOutcome, AuditQuery, AuditRecord, actor_name,
    },
    identity::{CredentialId, ResourceName},
    store::{MethodScope, Store},
};
use pki::{serial::SerialNumber, text::printable, time::Time};
use serde::Serialize;

use super::super::{DataArgs, Format, offline::with_store, output, times};
use crate::trail::{DOCUMENTATION_ENTERPRISE, Lines};

/// Records read at a time.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    which: WhichArgs,
    /// Newest first.
    #[arg(long)]
    newest_first: bool,
    /// At most so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    which: WhichArgs,
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// The private enterprise number in the name of the structured data (syslog). What is there by default is reserved for
    /// documentation (RFC 5612): give your own where collectors tell senders apart by it.
    #[arg(long, value_name = "NUMBER", default_value_t = DOCUMENTATION_ENTERPRISE)]
    enterprise_number: u32,
}

/// What other programs read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// One record a line as it is stored, with its hash and that of the one before.
    #[default]
    Jsonl,
    /// One RFC 5424 message a line, with the event as structured data.
    Syslog,
}

/// All that are given must hold.
#[derive(Debug, Args)]
struct WhichArgs {
    /// Only those at or after this time: 2027-01-31, 2027-01-31T12:00:00Z, or 7d, which is seven days ago.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    from: Option<Time>,
    /// Only those before this time.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    until: Option<Time>,
    /// Only what this one did: a user name, a subject, an operator; `server` is the server itself.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what was done with this credential: its identifier.
    #[arg(long, value_name = "ID")]
    credential: Option<CredentialId>,
    /// Only what is of this CertificateProfile.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    profile: Option<ResourceName>,
    /// Only what is about the certificate with this serial number, hexadecimal.
    #[arg(long)]
    serial: Option<SerialNumber>,
    /// Only what came by this EnrollmentMethod.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    method: Option<ResourceName>,
    /// Only those that ended so: done, pending, refused, failed.
    #[arg(long)]
    outcome: Option<AuditOutcome>,
    /// Only these, as certificateIssued or authenticationFailed.
    #[arg(long)]
    action: Option<Action>,
}

impl From<&WhichArgs> for AuditFilter {
    fn from(which: &WhichArgs) -> Self {
        Self {
            from: which.from,
            until: which.until,
            actor: which.actor.clone(),
            credential: which.credential.clone(),
            profile: which.profile.clone(),
            serial: which.serial,
            methods: which.method.clone().map(MethodScope::from),
            outcome: which.outcome,
            action: which.action,
        }
    }
}

impl ListArgs {
    pub(in crate::cli) fn run(self) -> anyhow::Result<()> {
        with_store(&self.data.clone(), async |offline| {
            let order = if self.newest_first { AuditOrder::NewestFirst } else { AuditOrder::OldestFirst };
            let filter = AuditFilter::from(&self.which);
            let mut printer = Printer { format: self.format, first: true };
            let limit = self.limit.unwrap_or(usize::MAX);
            each(&**offline.engine.store(), filter, order, limit, |record, event| {
                printer.print(record, event)
            })
            .await?;
            printer.end()
        })
    }
}

impl ExportArgs {
    pub(in crate::cli) fn run(self) -> anyhow::Result<()> {
        with_store(&self.data.clone(), async |offline| {
            let filter = AuditFilter::from(&self.which);
            let lines = match self.format {
                ExportFormat::Jsonl => Lines::Jsonl,
                ExportFormat::Syslog => Lines::Syslog { enterprise: self.enterprise_number },
            };
            each(&**offline.engine.store(), filter, AuditOrder::OldestFirst, usize::MAX, |record, event| {
                Ok(output::line(lines.line(record, event)?)?)
            })
            .await
        })
    }
}

/// Does something with each record that matches, page by page.
async fn each(
    store: &dyn Store,
    filter: AuditFilter,
    order: AuditOrder,
    limit: usize,
    mut act: impl FnMut(&AuditRecord, &AuditEvent) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut query = AuditQuery { filter, order, after: None, limit: PAGE };
    let mut left = limit;
    while left > 0 {
        query.limit = PAGE.min(left);
        let page = store.audit_query(&query).await.context("the audit trail cannot be read")?;
        page.records.iter().try_for_each(|(record, event)| act(record, event))?;
        left = left.saturating_sub(page.records.len());
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    Ok(())
}

struct Printer {
    format: Format,
    first: bool,
}

/// A record in JSON: where it stands, and what it says.
#[derive(Serialize)]
struct Listed<'a> {
    stream: &'a str,
    sequence: u64,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

impl Printer {
    /// An array is printed as it is read: it may be long.
    fn print(&mut self, record: &AuditRecord, event: &AuditEvent) -> anyhow::Result<()> {
        match self.format {
            Format::Text => output::line(text(event))?,
            Format::Json => {
                let listed = Listed { stream: &record.stream, sequence: record.sequence, event };
                let text = serde_json::to_string(&listed)?;
                output::line(format_args!("{}{text}", if self.first { "[" } else { "," }))?;
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

/// One line for a person. Part of it may come from a peer: a terminal is given no control characters.
fn text(event: &AuditEvent) -> String {
    let mut line =
        format!("{}  {:8}  {}  {}", event.at, event.outcome.as_str(), event.action.as_str(), who(event));
    let parts = [
        event.method.as_ref().map(ToString::to_string),
        event.serial.map(|serial| serial.to_string()),
        event.subject.clone(),
        event.count.map(|count| format!("{count} times")),
        event.reason.clone(),
    ];
    for part in parts.into_iter().flatten() {
        line.push_str("  ");
        line.push_str(&part);
    }
    printable(&line)
}

fn who(event: &AuditEvent) -> String {
    let name = actor_name(&event.actor).unwrap_or("stranger");
    match &event.actor {
        Actor::Requester { protocol, address, .. } | Actor::Stranger { protocol, address } => {
            let address = address.as_ref().map(|address| format!(", {address}")).unwrap_or_default();
            format!("{name} ({protocol}{address})")
        }
        Actor::Operator { .. } | Actor::Server => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use issuance::store::{
        Commit,
        memory::MemoryStore,
        suite::samples::{NOW, event, method, serial},
    };

    use super::*;

    #[test]
    fn a_line_for_a_person_has_no_control_characters() {
        let actor = Actor::Requester {
            protocol: issuance::identity::Protocol::Est,
            name: "ann\x1b[2J".into(),
            address: Some("192.0.2.1".into()),
            credential: None,
        };
        let event = AuditEvent {
            actor,
            method: Some(method("est")),
            serial: Some(serial(0x1234)),
            subject: Some("CN=a\nb".into()),
            count: Some(3),
            ..event("because\r")
        };
        assert_eq!(
            text(&event),
            format!(
                "{NOW}  done      certificateIssued  ann\u{fffd}[2J (est, 192.0.2.1)  factory/est  {}  \
                 CN=a\u{fffd}b  3 times  because\u{fffd}",
                serial(0x1234)
            )
        );
    }

    #[tokio::test]
    async fn each_record_is_seen_once_whatever_the_pages_and_no_more_than_asked_for() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let audit = (0..PAGE + 10).map(|number| event(&number.to_string())).collect();
        store.commit(Commit { audit, ..Commit::default() }).await.unwrap().unwrap();
        for (limit, expected) in [(usize::MAX, PAGE + 10), (PAGE + 1, PAGE + 1), (3, 3), (0, 0)] {
            let mut seen = Vec::new();
            let filter = AuditFilter::default();
            each(&*store, filter, AuditOrder::OldestFirst, limit, |record, _| {
                seen.push(record.sequence);
                Ok(())
            })
            .await
            .unwrap();
            assert_eq!(seen, (1..=expected as u64).collect::<Vec<_>>());
        }
    }
}
