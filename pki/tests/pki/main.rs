//! What the crate reads and writes, judged by refusal tables, by the `openssl` program and by properties.
//!
//! One program for all of them, so that they are linked once.
#![cfg(test)]

mod support;

mod algorithm;
mod certificate;
mod certificate_format;
mod cms;
mod crl;
mod csr;
mod csrattrs;
mod der_io;
mod enveloped;
mod extension;
mod general_name;
mod key;
mod name;
mod oid;
mod passphrase;
mod pem;
mod pkcs12;
mod properties;
mod serial_and_time;
mod signed_data;
