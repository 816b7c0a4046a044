//! What is refused, the examples of the standards, and what comes in as it went out.
//!
//! | file | what |
//! | --- | --- |
//! | `keys.rs` | JSON Web Keys that are none, thumbprints |
//! | `vectors.rs` | signatures of RFC 7515 and RFC 8037 |
//! | `requests.rs` | signed requests |
//! | `bindings.rs`, `key_changes.rs` | a JWS inside a JWS |
//! | `payloads.rs`, `answers.rs` | the JSON of RFC 8555 |
//! | `recorded.rs` | what programs sent that we did not write |

mod answers;
mod bindings;
mod key_changes;
mod keys;
mod payloads;
mod recorded;
mod requests;
mod vectors;
