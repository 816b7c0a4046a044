//! Talking to an enrollment server: the types of its interfaces, and a client of the one that is for everybody.
//!
//! | module | interface | between |
//! | --- | --- | --- |
//! | [`internal`] | `/internal/v1`, mutual TLS | operator → server |
//! | [`rest`] | `/api/v1`, TLS and a credential | programs and people → server |

mod encoding;
pub mod internal;
pub mod rest;
