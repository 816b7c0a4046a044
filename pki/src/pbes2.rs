//! PBES2 (RFC 8018 §6.2) with PBKDF2 on HMAC-SHA-256 and AES-256 in CBC mode: how a passphrase encrypts.
//!
//! These are what OpenSSL 3 writes by itself, and so what every program that reads PBES2 was tried with. The scheme
//! does not authenticate: whoever opens the result with a wrong passphrase learns it from the padding or from what
//! the bytes then turn out to be, and in PKCS #12 from the MAC.

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    error::Unspecified,
    pbkdf2, rand,
};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::{
    der_io::{Writer, encode},
    passphrase::{Iterations, Passphrase},
};

/// What was encrypted, and what it takes beside the passphrase to get it back.
pub(crate) struct Encrypted {
    /// The whole `AlgorithmIdentifier`.
    pub(crate) algorithm: Vec<u8>,
    pub(crate) octets: Vec<u8>,
}

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// RFC 8018 §4.1: at least 8; NIST SP 800-132 §5.1: at least 16.
pub(crate) const SALT_OCTETS: usize = 16;
const KEY_OCTETS: usize = 32;
const BLOCK_OCTETS: usize = 16;

/// Encrypts under a key of its own: salt and initialisation vector are fresh each time.
pub(crate) fn encrypt(
    plaintext: &[u8],
    passphrase: &Passphrase,
    iterations: Iterations,
) -> Result<Encrypted, Unspecified> {
    let salt = random_salt()?;
    let mut key = Zeroizing::new([0; KEY_OCTETS]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations.get(),
        &salt,
        passphrase.utf8(),
        key.as_mut_slice(),
    );
    // Room for the padding, so that no copy of the plaintext is left behind; wiped where encryption fails.
    let mut buffer = Zeroizing::new(Vec::with_capacity(plaintext.len() + BLOCK_OCTETS));
    buffer.extend_from_slice(plaintext);
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key.as_slice())?)?;
    let context: DecryptionContext = cipher.encrypt(&mut *buffer)?;
    let algorithm = algorithm_identifier(&salt, iterations, (&context).try_into()?);
    Ok(Encrypted { algorithm, octets: std::mem::take(&mut *buffer) })
}

pub(crate) fn random_salt() -> Result<[u8; SALT_OCTETS], Unspecified> {
    let mut salt = [0; SALT_OCTETS];
    rand::fill(&mut salt)?;
    Ok(salt)
}

/// `{ id-PBES2, { { id-PBKDF2, { salt, iterationCount, prf } }, { aes256-CBC-PAD, iv } } }` (RFC 8018 §A.2, §A.4, §B.2.5).
fn algorithm_identifier(salt: &[u8], iterations: Iterations, iv: &[u8]) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|identifier| {
            identifier.oid(&PBES2);
            identifier.sequence(|parameters| {
                parameters.sequence(|derivation| {
                    derivation.oid(&PBKDF2);
                    derivation.sequence(|pbkdf2| write_pbkdf2_parameters(pbkdf2, salt, iterations));
                });
                parameters.sequence(|encryption| {
                    encryption.oid(&AES256_CBC);
                    encryption.octet_string(iv);
                });
            });
        });
    })
}

/// RFC 8018 §A.2. The cipher fixes the length of the key, so that it is left out.
fn write_pbkdf2_parameters(writer: &mut Writer, salt: &[u8], iterations: Iterations) {
    writer.octet_string(salt);
    writer.small_unsigned(u64::from(iterations.get().get()));
    writer.sequence(|function| {
        function.oid(&HMAC_SHA256);
        function.null();
    });
}
