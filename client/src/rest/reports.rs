//! Reports (`/reports`).

use super::{Answer, Client, Query, error::ClientError};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Certificates issued in a period.
    Issued,
    /// Certificates that end in a period.
    Expiring,
    /// Certificates revoked in a period.
    Revoked,
    /// All certificates.
    Inventory,
    /// Counts for a period.
    Summary,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportForm {
    /// One array.
    #[default]
    Json,
    /// RFC 4180, with a header.
    Csv,
}

impl Report {
    pub const ALL: [Self; 5] = [Self::Issued, Self::Expiring, Self::Revoked, Self::Inventory, Self::Summary];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Expiring => "expiring",
            Self::Revoked => "revoked",
            Self::Inventory => "inventory",
            Self::Summary => "summary",
        }
    }
}

impl ReportForm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl Client {
    /// A report of any length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report(
        &self,
        report: Report,
        query: Query,
        form: ReportForm,
    ) -> Result<Answer, ClientError> {
        let query = query.with("format", form.as_str());
        self.get(&format!("/reports/{}", report.as_str()), query, "*/*").await
    }
}
