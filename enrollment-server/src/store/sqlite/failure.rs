//! What SQLite's errors mean to the caller.

use issuance::store::{Conflict, StoreError};
use rusqlite::{
    ErrorCode,
    ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};

/// Why a statement or a commit did not go through.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A row that does not hold what we wrote, or something that cannot be written.
    #[error("{0}")]
    Corrupt(String),
}

impl Failure {
    pub(super) fn corrupt(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {why}"))
    }

    /// The conflict, where the failure is that a unique row exists.
    pub(super) fn unique(error: rusqlite::Error, conflict: Conflict) -> Self {
        let unique = error.sqlite_error().is_some_and(|error| {
            [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY].contains(&error.extended_code)
        });
        if unique { conflict.into() } else { error.into() }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => sql_error(&error),
            Failure::Corrupt(reason) => Self::Corrupt(reason),
            // Only commits conflict, and they answer with the conflict.
            Failure::Conflict(conflict) => Self::Unavailable(conflict.to_string()),
        }
    }
}

pub(super) fn sql_error(error: &rusqlite::Error) -> StoreError {
    let corrupt = match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
        ),
        // Whatever rusqlite itself raises is about a value that is not of the type we wrote.
        _ => true,
    };
    if corrupt { StoreError::Corrupt(error.to_string()) } else { StoreError::Unavailable(error.to_string()) }
}
