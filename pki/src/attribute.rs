//! `Attribute` (RFC 5652 §5.3, RFC 2986 §4.1): a type and a set of values, in requests, messages and templates.

use std::fmt;

use const_oid::ObjectIdentifier;

use crate::der_io::{DerError, Reader, Writer, check_well_formed, tag};

/// One attribute.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    pub oid: ObjectIdentifier,
    /// The whole DER of each value: in the order received, or in the order of [`Attribute::new`].
    pub values: Vec<Vec<u8>>,
}

/// How deep attribute values may be nested.
const DEPTH: u8 = 16;

impl Attribute {
    /// From the whole DER of each value, which are put in ascending order (X.690 §11.6).
    pub fn new(oid: ObjectIdentifier, mut values: Vec<Vec<u8>>) -> Self {
        values.sort();
        Self { oid, values }
    }

    /// Reads the `Attribute` that comes next. The set may be empty or unsorted: what that means is for the caller.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        reader.sequence(|attribute| {
            let oid = attribute.oid()?;
            let values = attribute.nested(tag::SET, |set| {
                let mut values = Vec::new();
                while !set.is_empty() {
                    let value = set.any()?.raw;
                    check_well_formed(value, DEPTH)?;
                    values.push(value.to_vec());
                }
                Ok::<_, DerError>(values)
            })?;
            Ok(Self { oid, values })
        })
    }

    /// Reads `Attribute`s to the end.
    pub fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Self>, DerError> {
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            attributes.push(Self::read(reader)?);
        }
        Ok(attributes)
    }

    /// Appends the `Attribute`, its values in the order they have.
    pub fn write(&self, writer: &mut Writer) {
        writer.sequence(|attribute| {
            attribute.oid(&self.oid);
            attribute.nested(tag::SET, |set| self.values.iter().for_each(|value| set.raw(value)));
        });
    }
}

/// Without the values: one of them may be a challenge password.
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attribute").field("oid", &self.oid).field("values", &self.values.len()).finish()
    }
}
