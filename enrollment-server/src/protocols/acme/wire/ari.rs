//! How renewal information names a certificate: its issuer's key and its serial number (RFC 9773 §4.1).

use std::{fmt, str::FromStr};

use pki::serial::SerialNumber;

use super::base64url;

/// `base64url(key identifier).base64url(serial number)`; there is one spelling for each certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    key_identifier: Vec<u8>,
    serial: SerialNumber,
}

/// RFC 9773 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a certificate is named by its authority's key identifier and its serial number, each in base64url without padding, with a dot between (RFC 9773 §4.1)"
)]
pub struct CertIdError;

/// Characters of one half: the longest key identifier that is taken has 64 octets.
const MAX_HALF: usize = 86;

impl CertId {
    pub fn new(key_identifier: impl Into<Vec<u8>>, serial: SerialNumber) -> Self {
        Self { key_identifier: key_identifier.into(), serial }
    }

    /// The `keyIdentifier` of the authority key identifier (RFC 5280 §4.2.1.1).
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    pub fn serial(&self) -> SerialNumber {
        self.serial
    }
}

impl FromStr for CertId {
    type Err = CertIdError;

    fn from_str(text: &str) -> Result<Self, CertIdError> {
        let (key_identifier, serial) = text.split_once('.').ok_or(CertIdError)?;
        let half = |text| base64url::decode(text, MAX_HALF).map_err(|_| CertIdError);
        let (key_identifier, serial) = (half(key_identifier)?, half(serial)?);
        if key_identifier.is_empty() {
            return Err(CertIdError);
        }
        // The contents of the INTEGER: a leading zero octet only where the next one is 0x80 or more.
        let serial = SerialNumber::from_der_integer(&serial).map_err(|_| CertIdError)?;
        Ok(Self { key_identifier, serial })
    }
}

impl fmt::Display for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.serial.as_bytes();
        let sign = magnitude.first().filter(|first| **first >= 0x80).map(|_| 0);
        let contents: Vec<u8> = sign.into_iter().chain(magnitude.iter().copied()).collect();
        write!(f, "{}.{}", base64url::encode(&self.key_identifier), base64url::encode(contents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9773 §4.1.
    const EXAMPLE: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

    #[test]
    fn any_other_spelling_is_refused() {
        let refused = [
            "",
            ".",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.",
            ".AIdlQyE",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ=.AIdlQyE=",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE=",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE.",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ..AIdlQyE",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ AIdlQyE",
            // Without the sign's octet the number is negative.
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ",
            // Zero, and zero octets that need not be.
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AAE",
            // Bits behind the last octet.
            "aYhba4dGQEHhs3uEe6CuLN4ByNR.AIdlQyE",
            "69:88:5b.0087654321",
        ];
        for text in refused {
            assert_eq!(text.parse::<CertId>(), Err(CertIdError), "{text}");
        }
        let long = format!("{}.AIdlQyE", "A".repeat(87));
        assert_eq!(long.parse::<CertId>(), Err(CertIdError));
        let serial_of_21_octets = format!("AQ.{}", base64url::encode([1; 21]));
        assert_eq!(serial_of_21_octets.parse::<CertId>(), Err(CertIdError));
    }

    #[test]
    fn the_example_of_rfc_9773_comes_in_and_out() {
        let id: CertId = EXAMPLE.parse().unwrap();
        assert_eq!(hex::encode_upper(id.key_identifier()), "69885B6B87464041E1B37B847BA0AE2CDE01C8D4");
        assert_eq!(id.serial().to_string(), "87654321");
        assert_eq!(id.to_string(), EXAMPLE);
        assert_eq!(CertId::new(id.key_identifier(), id.serial()), id);
    }
}
