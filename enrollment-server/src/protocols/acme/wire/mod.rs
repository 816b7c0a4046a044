//! Bytes of ACME. Pure: no clock, no store, no tokio; what comes in is judged by its size before it is decoded.
//!
//! | file | what | |
//! | --- | --- | --- |
//! | `base64url.rs`, [`json`] | one spelling for octets, each member once | [RFC 7515 §2](https://www.rfc-editor.org/rfc/rfc7515#section-2), [RFC 7493](https://www.rfc-editor.org/rfc/rfc7493) |
//! | `algorithm.rs`, `jwk.rs` | what signs, keys and their thumbprints | [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518), [RFC 7638](https://www.rfc-editor.org/rfc/rfc7638), [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037) |
//! | `jws.rs` | signed requests, external account bindings, keyChange | [RFC 8555 §6.2, §7.3.4, §7.3.5](https://www.rfc-editor.org/rfc/rfc8555#section-6.2) |
//! | `problem.rs` | problem documents | [RFC 8555 §6.7](https://www.rfc-editor.org/rfc/rfc8555#section-6.7) |
//! | `identifier.rs` | names and addresses | [RFC 8738 §3](https://www.rfc-editor.org/rfc/rfc8738#section-3) |
//! | `ari.rs` | how renewal information names a certificate | [RFC 9773 §4.1](https://www.rfc-editor.org/rfc/rfc9773#section-4.1) |
//! | `objects/` | what clients ask for and are shown | [RFC 8555 §7](https://www.rfc-editor.org/rfc/rfc8555#section-7) |
//!
//! A request goes through here in this order: what is cheap comes first, nothing reads what is not proved yet, and a
//! nonce is used up only by whoever signed it.
//!
//! ```text
//! let request = jws::Request::parse(&body)?;            // shape, header, algorithm; a `jwk` becomes a key
//! request.check_url(&url)?;                              // RFC 8555 §6.4
//! let key = match request.signer() {
//!     Signer::Jwk(key) => key.clone(),                   // newAccount, revokeCert
//!     Signer::Kid(url) => …,                             // AccountKey::from_canonical(&row.jwk), kept while the row's key is the same
//! };
//! let nonce = request.nonce().to_owned();
//! let verified = request.verify(&key)?;                  // only now is there a payload
//! nonces.redeem(store, &nonce, now).await?;              // §6.5
//! verified.post_as_get()?;                               // nothing is asked for but to read; or
//! let asked = NewOrder::parse(&verified.object()?)?;     // a payload of `objects`
//! ```
//!
//! keyChange: `verified.key_change(url, account_url, &key)` gives the new key. External account binding:
//! `NewAccount::binding` is a [`jws::Binding`]; `kid()` says whose HMAC key to fetch, `verify(hmac_key, url, &key)` whether
//! it is bound, `to_json()` what the account shows. Every error has `problem_type()`; those of payloads also `problem()`,
//! with subproblems.

pub use super::super::json;

pub mod algorithm;
pub mod ari;
pub mod base64url;
pub mod identifier;
pub mod jwk;
pub mod jws;
pub mod objects;
pub mod problem;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
