//! Certificate serial numbers (RFC 5280 §4.1.2.2).

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::der_io::{DerError, Reader, Writer, unsigned_value};

/// A positive integer whose DER contents are at most 20 octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SerialNumber {
    /// Big-endian magnitude without leading zeros in the first `length` octets; the rest is zero.
    magnitude: [u8; MAX_OCTETS],
    length: u8,
}

const MAX_OCTETS: usize = 20;

/// Why something is not a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    #[error("the serial number is malformed")]
    Malformed(#[from] DerError),
    #[error("the serial number is zero or negative")]
    NotPositive,
    #[error("the serial number is longer than 20 octets")]
    TooLong,
    #[error("the serial number is not hexadecimal")]
    NotHexadecimal,
}

impl SerialNumber {
    /// A serial number of 16 octets from 128 random bits, of which 126 remain: the top bit is cleared and the
    /// next one set, so that every serial number is positive, never zero and equally long.
    pub fn from_random(mut random: [u8; 16]) -> Self {
        let [first, ..] = &mut random;
        *first = (*first & 0x7f) | 0x40;
        let mut magnitude = [0; MAX_OCTETS];
        magnitude.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        Self { magnitude, length: 16 }
    }

    /// From a big-endian magnitude, with or without leading zeros.
    pub fn from_be_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = bytes.get(zeros..).unwrap_or_default();
        let first = digits.first().ok_or(SerialError::NotPositive)?;
        // A set top bit costs one more octet of DER contents.
        if digits.len() + usize::from(first & 0x80 != 0) > MAX_OCTETS {
            return Err(SerialError::TooLong);
        }
        let mut magnitude = [0; MAX_OCTETS];
        magnitude.iter_mut().zip(digits).for_each(|(to, from)| *to = *from);
        Ok(Self { magnitude, length: digits.len() as u8 })
    }

    /// From the contents of a DER INTEGER.
    pub fn from_der_integer(contents: &[u8]) -> Result<Self, SerialError> {
        if contents.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(SerialError::NotPositive);
        }
        Self::from_be_bytes(unsigned_value(contents)?)
    }

    /// Reads the INTEGER that comes next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, SerialError> {
        Self::from_der_integer(reader.value(crate::der_io::tag::INTEGER)?)
    }

    /// Appends the INTEGER.
    pub fn write(&self, writer: &mut Writer) {
        writer.unsigned(self.as_bytes());
    }

    /// The big-endian magnitude: 1 to 20 octets, no leading zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.magnitude.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Ord for SerialNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.length, self.magnitude).cmp(&(other.length, other.magnitude))
    }
}

impl PartialOrd for SerialNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Upper-case hexadecimal, two digits an octet, as `openssl x509 -serial` writes it.
impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

/// Hexadecimal in either case, with or without a colon between octets.
impl FromStr for SerialNumber {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let digits = if text.contains(':') { without_colons(text)? } else { text.to_owned() };
        if digits.len() > 2 * (MAX_OCTETS + 1) {
            return Err(SerialError::TooLong);
        }
        let even = if digits.len() % 2 == 0 { digits } else { format!("0{digits}") };
        Self::from_be_bytes(&hex::decode(even).map_err(|_| SerialError::NotHexadecimal)?)
    }
}

fn without_colons(text: &str) -> Result<String, SerialError> {
    let octets: Vec<&str> = text.split(':').collect();
    if octets.iter().all(|octet| octet.len() == 2) {
        Ok(octets.concat())
    } else {
        Err(SerialError::NotHexadecimal)
    }
}

impl Serialize for SerialNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SerialNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
