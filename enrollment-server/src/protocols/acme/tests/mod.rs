//! The router on the store in memory: what each operation answers, and a table of refusals for each.
//!
//! | file | what |
//! | --- | --- |
//! | `scene.rs` | a server with one method, a client with an account, and what it sends |
//! | `happy.rs` | from nothing to a certificate, and back |
//! | `refusals.rs` | what is not as RFC 8555 §6 wants it, and what an account may not have |
//! | `validating.rs` | what becomes of challenges |

mod happy;
mod refusals;
mod scene;
mod validating;
