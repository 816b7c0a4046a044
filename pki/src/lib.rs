//! Certificates, requests and revocation lists as plain types: bytes in, checked values out, and back.
//!
//! Nothing here opens a file, reads a clock or awaits. A caller checks the size of what a peer sent before it
//! calls a parser; every parser is linear in its input, strict about DER (X.690) and never panics. What a
//! signature covers is kept byte for byte as it was received, and every signature is checked over those bytes.
//!
//! ```text
//! der_io, oid ◄ algorithm, serial, time ◄ key, name ◄ general_name ◄ extension ◄ csr, csrattrs, certificate, crl ◄ cms
//! attribute, json, key_package, text, pem, passphrase ◄ pbes2 ◄ encrypted_key
//! cms, pem ◄ certificate_format; cms, encrypted_key ◄ pkcs12
//! ```

pub mod algorithm;
pub mod attribute;
pub mod certificate;
pub mod certificate_format;
pub mod cms;
pub mod crl;
pub mod csr;
pub mod csrattrs;
pub mod der_io;
pub mod encrypted_key;
pub mod extension;
pub mod general_name;
pub mod json;
pub mod key;
pub mod key_package;
pub mod name;
pub mod oid;
pub mod passphrase;
mod pbes2;
pub mod pem;
pub mod pkcs12;
pub mod serial;
mod signed;
pub mod text;
pub mod time;

pub use const_oid::ObjectIdentifier;
pub use signed::SignatureError;
