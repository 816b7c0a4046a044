//! Columns to types and back. Rows are read column by column in the order of the `SELECT`.

use std::{fmt, str::FromStr};

use issuance::identity::{CredentialId, JobId, KeyId, RequestId, ResourceName};
use pki::{serial::SerialNumber, time::Time};
use rusqlite::{Row, types::FromSql};
use serde::{Serialize, de::DeserializeOwned};

use super::failure::Failure;

/// The columns of one row, from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn new(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn value<T: FromSql>(&mut self) -> Result<T, Failure> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn time(&mut self) -> Result<Time, Failure> {
        self.value().map(Time::from_unix)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Time>, Failure> {
        Ok(self.value::<Option<i64>>()?.map(Time::from_unix))
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, Failure> {
        u64::try_from(self.value::<i64>()?).map_err(|error| Failure::corrupt("a count", error))
    }

    pub(super) fn optional_unsigned(&mut self) -> Result<Option<u64>, Failure> {
        let value = self.value::<Option<i64>>()?;
        value.map(u64::try_from).transpose().map_err(|error| Failure::corrupt("a count", error))
    }

    pub(super) fn serial(&mut self) -> Result<SerialNumber, Failure> {
        serial(&self.value::<Vec<u8>>()?)
    }

    pub(super) fn key_id(&mut self) -> Result<KeyId, Failure> {
        self.value().map(KeyId)
    }

    pub(super) fn credential_id(&mut self) -> Result<CredentialId, Failure> {
        self.value().map(CredentialId::from_random)
    }

    pub(super) fn optional_credential_id(&mut self) -> Result<Option<CredentialId>, Failure> {
        Ok(self.value::<Option<[u8; 16]>>()?.map(CredentialId::from_random))
    }

    pub(super) fn request_id(&mut self) -> Result<RequestId, Failure> {
        self.value().map(RequestId::from_random)
    }

    pub(super) fn optional_request_id(&mut self) -> Result<Option<RequestId>, Failure> {
        Ok(self.value::<Option<[u8; 16]>>()?.map(RequestId::from_random))
    }

    pub(super) fn job_id(&mut self) -> Result<JobId, Failure> {
        self.value().map(JobId::from_random)
    }

    /// From two columns.
    pub(super) fn resource(&mut self) -> Result<ResourceName, Failure> {
        let namespace: String = self.value()?;
        Ok(ResourceName::new(namespace, self.value::<String>()?))
    }

    /// From two columns.
    pub(super) fn optional_resource(&mut self) -> Result<Option<ResourceName>, Failure> {
        let namespace: Option<String> = self.value()?;
        let name: Option<String> = self.value()?;
        Ok(namespace.zip(name).map(|(namespace, name)| ResourceName::new(namespace, name)))
    }

    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<T, Failure> {
        parse(&self.value::<String>()?)
    }

    pub(super) fn optional_parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<Option<T>, Failure> {
        self.value::<Option<String>>()?.as_deref().map(parse).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let text: String = self.value()?;
        serde_json::from_str(&text).map_err(|error| Failure::corrupt("JSON", error))
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let text: Option<String> = self.value()?;
        let value = text.map(|text| serde_json::from_str(&text)).transpose();
        value.map_err(|error| Failure::corrupt("JSON", error))
    }
}

pub(super) fn serial(octets: &[u8]) -> Result<SerialNumber, Failure> {
    SerialNumber::from_be_bytes(octets).map_err(|error| Failure::corrupt("a serial number", error))
}

/// Octets written as hexadecimal: an identifier, a hash.
pub(super) fn octets<const N: usize>(text: &str) -> Result<[u8; N], Failure> {
    let mut octets = [0; N];
    hex::decode_to_slice(text, &mut octets).map_err(|error| Failure::corrupt("hexadecimal", error))?;
    Ok(octets)
}

pub(super) fn integer(value: impl TryInto<i64, Error: fmt::Display>) -> Result<i64, Failure> {
    value.try_into().map_err(|error| Failure::corrupt("a count", error))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::corrupt("JSON", error))
}

/// The limit of a list as SQLite counts.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::corrupt("a column", error))
}
