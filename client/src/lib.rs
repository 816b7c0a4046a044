//! Talking to an enrollment server: the types of its interfaces.
//!
//! | module | interface | between |
//! | --- | --- | --- |
//! | [`internal`] | `/internal/v1`, mutual TLS | operator → server |

mod encoding;
pub mod internal;
