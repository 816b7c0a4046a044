//! Cryptographic messages (RFC 5652): bundles of certificates, what is signed, and what is encrypted.
//!
//! ```text
//! certs_only   SignedData without signers: certificates only (RFC 7030 §4.1.3)
//! signed_data  SignedData with one signer, built in two steps because signing is not done here
//! enveloped    EnvelopedData and AuthEnvelopedData (RFC 5083): written, read and decrypted
//! ```

use const_oid::ObjectIdentifier;

use crate::der_io::{Writer, encode, tag};

mod certs_only;
pub mod enveloped;
pub mod signed_data;

pub use certs_only::{CmsError, certs_only, certs_only_certificates};

/// `id-data`: octets that mean nothing to CMS (RFC 5652 §4).
pub const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// `id-signedData` (RFC 5652 §5.1).
pub const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `id-envelopedData` (RFC 5652 §6.1).
pub const ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
/// `id-ct-authEnvelopedData` (RFC 5083 §2.1).
pub const AUTH_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.23");

/// `id-contentType` (RFC 5652 §11.1).
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");

/// `ContentInfo ::= SEQUENCE { contentType, content [0] EXPLICIT }` (RFC 5652 §3) around the whole DER of the content.
pub(crate) fn content_info(content_type: &ObjectIdentifier, content: impl FnOnce(&mut Writer)) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|info| {
            info.oid(content_type);
            info.nested(tag::context_constructed(0), content);
        });
    })
}
