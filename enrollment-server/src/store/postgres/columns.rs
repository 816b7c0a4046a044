//! Columns to types and back. Rows are read column by column in the order of the `SELECT`.

use std::{fmt, str::FromStr};

use issuance::identity::{CredentialId, JobId, KeyId, RequestId};
use pki::{serial::SerialNumber, time::Time};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::{Row, types::FromSql};

use super::failure::Failure;

/// The columns of one row, from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn new(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn value<T: FromSql<'a>>(&mut self) -> Result<T, Failure> {
        let value = self.row.try_get(self.next).map_err(|error| Failure::corrupt("a column", error))?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn octets<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        sized(self.value()?)
    }

    pub(super) fn optional_octets<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Failure> {
        self.value::<Option<&[u8]>>()?.map(sized).transpose()
    }

    pub(super) fn time(&mut self) -> Result<Time, Failure> {
        self.value().map(Time::from_unix)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Time>, Failure> {
        Ok(self.value::<Option<i64>>()?.map(Time::from_unix))
    }

    pub(super) fn unsigned<T: TryFrom<i64, Error: fmt::Display>>(&mut self) -> Result<T, Failure> {
        T::try_from(self.value()?).map_err(|error| Failure::corrupt("a count", error))
    }

    pub(super) fn optional_unsigned(&mut self) -> Result<Option<u64>, Failure> {
        let value = self.value::<Option<i64>>()?;
        value.map(u64::try_from).transpose().map_err(|error| Failure::corrupt("a count", error))
    }

    pub(super) fn serial(&mut self) -> Result<SerialNumber, Failure> {
        serial(self.value()?)
    }

    pub(super) fn optional_serial(&mut self) -> Result<Option<SerialNumber>, Failure> {
        self.value::<Option<&[u8]>>()?.map(serial).transpose()
    }

    pub(super) fn key_id(&mut self) -> Result<KeyId, Failure> {
        self.octets().map(KeyId)
    }

    pub(super) fn credential_id(&mut self) -> Result<CredentialId, Failure> {
        self.octets().map(CredentialId::from_random)
    }

    pub(super) fn request_id(&mut self) -> Result<RequestId, Failure> {
        self.octets().map(RequestId::from_random)
    }

    pub(super) fn job_id(&mut self) -> Result<JobId, Failure> {
        self.octets().map(JobId::from_random)
    }

    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<T, Failure> {
        parse(self.value()?)
    }

    pub(super) fn optional_parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<Option<T>, Failure> {
        self.value::<Option<&str>>()?.map(parse).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        serde_json::from_str(self.value()?).map_err(|error| Failure::corrupt("JSON", error))
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let value = self.value::<Option<&str>>()?.map(serde_json::from_str).transpose();
        value.map_err(|error| Failure::corrupt("JSON", error))
    }
}

/// Octets written as hexadecimal: an identifier, a hash.
pub(super) fn octets<const N: usize>(text: &str) -> Result<Vec<u8>, Failure> {
    let mut octets = [0; N];
    hex::decode_to_slice(text, &mut octets).map_err(|error| Failure::corrupt("hexadecimal", error))?;
    Ok(octets.into())
}

pub(super) fn integer(value: impl TryInto<i64, Error: fmt::Display>) -> Result<i64, Failure> {
    value.try_into().map_err(|error| Failure::corrupt("a count", error))
}

/// JSON escapes NUL, so it fits a column whatever the peer sent.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::corrupt("JSON", error))
}

/// Text for people. PostgreSQL's text cannot hold NUL, and a peer may have sent one.
pub(super) fn readable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Whether a text can be in a column at all.
pub(super) fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
}

/// The limit of a list as PostgreSQL counts.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn sized<const N: usize>(octets: &[u8]) -> Result<[u8; N], Failure> {
    octets.try_into().map_err(|_| Failure::Corrupt(format!("{} octets instead of {N}", octets.len())))
}

fn serial(octets: &[u8]) -> Result<SerialNumber, Failure> {
    SerialNumber::from_be_bytes(octets).map_err(|error| Failure::corrupt("a serial number", error))
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::corrupt("a column", error))
}
