//! What PostgreSQL's errors mean to the caller.

use std::{error::Error as _, io};

use issuance::store::{Conflict, StoreError};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why a statement or a commit did not go through.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error(transparent)]
    Sql(#[from] tokio_postgres::Error),
    /// A row that does not hold what we wrote, or something that cannot be written.
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    Unavailable(String),
    /// Nothing was written, and the same may go through at once.
    #[error("{0}")]
    Again(String),
}

/// What an error of the database is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Two commits met; whoever tries again comes after the other.
    Contention,
    /// The session is gone, or going.
    Session,
    /// The values: they do not fit, whoever writes them.
    Values,
    /// Anything else: full, read-only, too slow.
    State,
}

impl Failure {
    pub(super) fn corrupt(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {why}"))
    }

    /// Whether the same is worth trying at once, on another session.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Sql(error) => matches!(cause(error), Cause::Contention | Cause::Session),
            Self::Again(_) => true,
            Self::Conflict(_) | Self::Corrupt(_) | Self::Unavailable(_) => false,
        }
    }

    /// Whether the failure is that a unique row exists.
    pub(super) fn is_unique(error: &tokio_postgres::Error) -> bool {
        error.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => match cause(&error) {
                Cause::Values => Self::Corrupt(text(&error)),
                Cause::Contention | Cause::Session | Cause::State => Self::Unavailable(text(&error)),
            },
            Failure::Corrupt(reason) => Self::Corrupt(reason),
            Failure::Unavailable(reason) | Failure::Again(reason) => Self::Unavailable(reason),
            // Only commits conflict, and they answer with the conflict.
            Failure::Conflict(conflict) => Self::Unavailable(conflict.to_string()),
        }
    }
}

/// By the class of the code (PostgreSQL 15, Appendix A).
pub(super) fn cause(error: &tokio_postgres::Error) -> Cause {
    let Some(database) = error.as_db_error() else {
        let network = error.source().is_some_and(|source| source.is::<io::Error>());
        // What else the driver raises is about a value that is not of the type of its column.
        return if error.is_closed() || network { Cause::Session } else { Cause::Values };
    };
    if ends_session(database) {
        return Cause::Session;
    }
    let code = database.code().code();
    if [&SqlState::DATA_CORRUPTED, &SqlState::INDEX_CORRUPTED].contains(&database.code()) {
        return Cause::Values;
    }
    match code.get(..2).unwrap_or_default() {
        // Serialization failures, deadlocks.
        "40" => Cause::Contention,
        // Connection exceptions.
        "08" => Cause::Session,
        // Data exceptions, broken constraints.
        "22" | "23" => Cause::Values,
        _ => Cause::State,
    }
}

/// Whether the server closes the session after this error.
pub(super) fn ends_session(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// Fit for the log: without the detail, which may repeat values of a row.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(database), _) => {
            format!("the database says: {} ({})", database.message(), database.code().code())
        }
        (None, Some(source)) => format!("the database: {error}: {source}"),
        (None, None) => format!("the database: {error}"),
    }
}
