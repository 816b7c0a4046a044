//! The MAC over the contents (RFC 7292 §4 `MacData`, §5.1 step 5): HMAC-SHA-256 under a key from the passphrase.
//!
//! RFC 9879 would get that key with PBKDF2 (PBMAC1). OpenSSL before 3.4, Java before 26 and .NET do not read it, so
//! the key comes from the derivation of RFC 7292 §B.2, which every program knows.

use aws_lc_rs::{error::Unspecified, hmac};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::{
    der_io::Writer,
    key::sha256,
    passphrase::{Iterations, Passphrase},
    pbes2::{SALT_OCTETS, random_salt},
};

/// The MAC, and what it takes beside the passphrase to check it.
pub(super) struct Mac {
    salt: [u8; SALT_OCTETS],
    iterations: Iterations,
    tag: hmac::Tag,
}

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// RFC 7292 §B.2: `v`, the octets of one block of SHA-256.
const BLOCK_OCTETS: usize = 64;
/// RFC 7292 §B.3: the key is for a MAC.
const MAC_KEY: u8 = 3;

impl Mac {
    /// Over the octets of the `AuthenticatedSafe`.
    pub(super) fn over(
        contents: &[u8],
        passphrase: &Passphrase,
        iterations: Iterations,
    ) -> Result<Self, Unspecified> {
        let salt = random_salt()?;
        let key = derive_key(&passphrase.bmp_with_terminator(), &salt, iterations);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), contents);
        Ok(Self { salt, iterations, tag })
    }

    /// Appends `MacData ::= SEQUENCE { mac DigestInfo, macSalt OCTET STRING, iterations INTEGER DEFAULT 1 }`. The count
    /// is never the default, as [`Iterations`] begin at 1,000.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.sequence(|mac_data| {
            mac_data.sequence(|digest_info| {
                // RFC 8017 §A.2.4: in a DigestInfo, NULL is to be written.
                digest_info.sequence(|algorithm| {
                    algorithm.oid(&SHA256);
                    algorithm.null();
                });
                digest_info.octet_string(self.tag.as_ref());
            });
            mac_data.octet_string(&self.salt);
            mac_data.small_unsigned(u64::from(self.iterations.get().get()));
        });
    }
}

/// RFC 7292 §B.2 with SHA-256. The key is one output of the hash, so that the steps after 6.A do not come into it.
fn derive_key(password: &[u8], salt: &[u8], iterations: Iterations) -> Zeroizing<[u8; 32]> {
    let capacity = BLOCK_OCTETS + repeated_octets(salt) + repeated_octets(password);
    let mut input = Zeroizing::new(Vec::with_capacity(capacity));
    input.extend([MAC_KEY; BLOCK_OCTETS]);
    for part in [salt, password] {
        input.extend(part.iter().cycle().take(repeated_octets(part)));
    }
    let mut key = Zeroizing::new(sha256(&input));
    for _ in 1..iterations.get().get() {
        *key = sha256(key.as_slice());
    }
    key
}

/// RFC 7292 §B.2 steps 2 and 3: each part is repeated to fill whole blocks.
fn repeated_octets(part: &[u8]) -> usize {
    part.len().next_multiple_of(BLOCK_OCTETS)
}
