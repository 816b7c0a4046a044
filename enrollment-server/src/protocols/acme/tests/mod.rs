//! The router on the store in memory: what each operation answers, and a table of refusals for each.
//!
//! | file | what |
//! | --- | --- |
//! | `scene.rs` | a server with one method, a client with an account, and what it sends |
//! | `csr.rs` | certificate requests |
//! | `crowds.rs` | many challenges at once, of one account and at two servers |
//! | `happy.rs` | from nothing to a certificate, and back |
//! | `refusals.rs` | what is not as RFC 8555 §6 wants it, and what an account may not have |
//! | `accounts.rs` | accounts, their keys and their lists |
//! | `after.rs` | chains, profiles, revocation, renewal |
//! | `approval.rs` | where a person decides |
//! | `bindings.rs` | what binds an account, what it may then, and how many there may be |
//! | `bodies.rs` | any payload and any octets at all |
//! | `caa.rs` | what the owner of a domain permits |
//! | `overlap.rs` | external accounts whose key was rotated |
//! | `replicas.rs` | killed servers, and two on one database |
//! | `validating.rs` | what becomes of challenges |

mod accounts;
mod after;
mod approval;
mod bindings;
mod bodies;
mod caa;
mod crowds;
mod csr;
mod happy;
mod overlap;
mod refusals;
mod replicas;
mod scene;
mod validating;
