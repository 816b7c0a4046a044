//! What kind of key it is. Nothing of a private key is shown.

use pki::{
    ObjectIdentifier,
    der_io::{DerError, Reader, parse_all, tag},
    key::PublicKey,
    key_package::private_key_info,
};

use super::description::Description;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// Of something that holds a public key.
pub(super) fn members(said: &mut Description, key: &PublicKey) {
    said.text("keyType", key.key_type()).text("publicKeySha256", hex::encode(key.spki_sha256()));
}

pub(super) fn public(key: &PublicKey) -> Description {
    let mut said = Description::of("PublicKey");
    members(&mut said, key);
    said
}

/// PKCS #8 (RFC 5958 §2).
pub(super) fn private(der: &[u8]) -> Result<Description, DerError> {
    // Reads all of it.
    let info = private_key_info(der)?;
    let kind = parse_all(&info, |reader: &mut Reader<'_>| {
        reader.sequence(|info| {
            info.small_unsigned()?;
            let kind = info.sequence(key_type)?;
            // The rest was read above.
            while !info.is_empty() {
                info.any()?;
            }
            Ok::<_, DerError>(kind)
        })
    })?;
    Ok(of_type(&kind, "PKCS #8"))
}

/// One whose kind its label says.
pub(super) fn of_type(kind: &str, form: &str) -> Description {
    let mut said = Description::of("PrivateKey");
    said.text("keyType", kind).text("form", form).flag("encrypted", false);
    said
}

/// `EncryptedPrivateKeyInfo` (RFC 5958 §3): what kind of key is in it, nobody knows without the passphrase.
pub(super) fn encrypted(der: &[u8]) -> Result<Description, DerError> {
    let algorithm = parse_all(der, |reader: &mut Reader<'_>| {
        reader.sequence(|info| {
            let algorithm = info.sequence(|algorithm| {
                let oid = algorithm.oid()?;
                algorithm.any()?;
                Ok::<_, DerError>(oid)
            })?;
            info.octet_string()?;
            Ok::<_, DerError>(algorithm)
        })
    })?;
    let mut said = Description::of("PrivateKey");
    let scheme = if algorithm == PBES2 { "PBES2".to_owned() } else { algorithm.to_string() };
    said.text("encryption", scheme).text("form", "PKCS #8").flag("encrypted", true);
    Ok(said)
}

/// `PFX` (RFC 7292 §4): what is in it is encrypted.
pub(super) fn pkcs12(der: &[u8]) -> Result<Description, DerError> {
    let has_mac = parse_all(der, |reader: &mut Reader<'_>| {
        reader.sequence(|pfx| {
            if pfx.small_unsigned()? != 3 {
                return Err(DerError::Version);
            }
            pfx.sequence(|content| {
                let kind = content.oid()?;
                content.any()?;
                if kind == DATA { Ok(()) } else { Err(DerError::Version) }
            })?;
            Ok(pfx.optional(tag::SEQUENCE)?.is_some())
        })
    })?;
    let mut said = Description::of("Pkcs12");
    said.flag("encrypted", true).flag("authenticatedByPassphrase", has_mac);
    Ok(said)
}

fn key_type(algorithm: &mut Reader<'_>) -> Result<String, DerError> {
    let oid = algorithm.oid()?;
    let curve = match algorithm.peek_tag() {
        Some(tag::OBJECT_IDENTIFIER) => Some(algorithm.oid()?),
        Some(_) => {
            algorithm.any()?;
            None
        }
        None => None,
    };
    let name = match (oid, curve) {
        (EC, Some(P256)) => "ECDSA-P256",
        (EC, Some(P384)) => "ECDSA-P384",
        (EC, Some(P521)) => "ECDSA-P521",
        (EC, _) => "ECDSA",
        (RSA, _) => "RSA",
        (ED25519, _) => "Ed25519",
        (other, _) => return Ok(other.to_string()),
    };
    Ok(name.to_owned())
}
