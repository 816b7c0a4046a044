//! Names that rows refer to by number.

use std::collections::HashMap;

use issuance::identity::{KeyId, ResourceName};
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;

/// What was looked up for writing. Rows of these tables are never deleted, so what was seen stays true,
/// unless the transaction that made the row was undone: then [`Names::clear`].
#[derive(Debug, Default)]
pub(super) struct Names {
    resources: HashMap<ResourceName, i64>,
    issuers: HashMap<KeyId, i64>,
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.resources.clear();
        self.issuers.clear();
    }

    /// The number of this name, made where there is none.
    pub(super) fn resource(&mut self, connection: &Connection, name: &ResourceName) -> Result<i64, Failure> {
        if let Some(number) = self.resources.get(name) {
            return Ok(*number);
        }
        let parameters = (name.namespace(), name.name());
        let found = connection
            .prepare_cached("SELECT number FROM resources WHERE namespace = ? AND name = ?")?
            .query_row(parameters, |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => connection
                .prepare_cached("INSERT INTO resources (namespace, name) VALUES (?, ?)")?
                .insert(parameters)?,
        };
        self.resources.insert(name.clone(), number);
        Ok(number)
    }

    /// The number of this issuer, made where there is none.
    pub(super) fn issuer(&mut self, connection: &Connection, key: KeyId) -> Result<i64, Failure> {
        if let Some(number) = self.issuers.get(&key) {
            return Ok(*number);
        }
        let found = connection
            .prepare_cached("SELECT number FROM issuers WHERE key_id = ?")?
            .query_row([key.0], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => connection.prepare_cached("INSERT INTO issuers (key_id) VALUES (?)")?.insert([key.0])?,
        };
        self.issuers.insert(key, number);
        Ok(number)
    }
}
