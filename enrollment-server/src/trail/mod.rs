//! Records of the audit trail as other programs read them: at the command line and over REST alike.

mod syslog;

use issuance::audit::{AuditEvent, AuditRecord};

pub(crate) use syslog::DOCUMENTATION_ENTERPRISE;

/// What other programs read, one record a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// A record as it is stored, with its hash and that of the one before.
    Jsonl,
    /// An RFC 5424 message with the event as structured data, in the name of this private enterprise number.
    Syslog { enterprise: u32 },
}

impl Lines {
    /// Without its line feed; there is none within it.
    ///
    /// # Errors
    /// None that a record of ours causes.
    pub(crate) fn line(self, record: &AuditRecord, event: &AuditEvent) -> serde_json::Result<String> {
        match self {
            Self::Jsonl => serde_json::to_string(record),
            Self::Syslog { enterprise } => Ok(syslog::message(record, event, enterprise)),
        }
    }
}
