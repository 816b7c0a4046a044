//! `AsymmetricKeyPackage` (RFC 5958 §2): what carries a private key that a server generated (RFC 7030 §4.4.2).

use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::der_io::{DerError, Reader, Writer, check_well_formed, parse_all, tag};

/// `id-ct-KP-aKeyPackage` (RFC 5958 §4).
pub const ASYMMETRIC_KEY_PACKAGE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.16.840.1.101.2.1.2.78.5");

/// How deep algorithm parameters may be nested.
const DEPTH: u8 = 16;

/// A package of one key from its `OneAsymmetricKey`: PKCS #8, with or without the public key (versions 1 and 2).
pub fn asymmetric_key_package(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, DerError> {
    parse_all(pkcs8, read_key)?;
    // Room for everything at once, so that no copy of the key is left behind when the buffer grows.
    let mut writer = Writer::with_capacity(pkcs8.len() + 8);
    writer.sequence(|package| package.raw(pkcs8));
    Ok(Zeroizing::new(writer.into_vec()))
}

/// The key as `PrivateKeyInfo` (RFC 5208 §5): version 1, without the public key of version 2, which OpenSSL 3.0
/// does not read.
pub fn private_key_info(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, DerError> {
    let members = parse_all(pkcs8, read_key)?;
    let mut writer = Writer::with_capacity(pkcs8.len() + 8);
    writer.sequence(|info| {
        info.small_unsigned(0);
        members.iter().for_each(|member| info.raw(member));
    });
    Ok(Zeroizing::new(writer.into_vec()))
}

/// The `OneAsymmetricKey`s in a package, of which there is at least one.
pub fn asymmetric_keys(package: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    parse_all(package, |reader| {
        reader.sequence(|list| {
            let mut keys = Vec::new();
            while !list.is_empty() {
                let key = list.tlv(tag::SEQUENCE)?.raw;
                parse_all(key, read_key)?;
                keys.push(key);
            }
            if keys.is_empty() { Err(DerError::EmptyList) } else { Ok(keys) }
        })
    })
}

/// `SEQUENCE { version, privateKeyAlgorithm, privateKey, [0] attributes OPTIONAL, [1] publicKey OPTIONAL }`: what is
/// between the version and the public key, each member as it is.
fn read_key<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, DerError> {
    reader.sequence(|key| {
        let version = key.small_unsigned()?;
        let algorithm = key.tlv(tag::SEQUENCE)?;
        check_well_formed(algorithm.raw, DEPTH)?;
        let private_key = key.tlv(tag::OCTET_STRING)?;
        let attributes = key.optional(tag::context_constructed(0))?;
        // RFC 5958 §2: the public key is there in version 2 only.
        match (version, key.optional(tag::context(1))?) {
            (0, None) | (1, _) => (),
            _ => return Err(DerError::Version),
        }
        Ok([algorithm, private_key].iter().chain(&attributes).map(|member| member.raw).collect())
    })
}
