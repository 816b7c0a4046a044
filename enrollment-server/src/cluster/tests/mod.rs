//! The server in a cluster, in one process: an operator in memory signs what it serves.
//!
//! | file | what |
//! | --- | --- |
//! | `operator.rs` | an operator: resources, keys, manifests |
//! | `api.rs` | an API server for Secrets |
//! | `scene.rs` | a server, its rows, and what it answers |
//! | `forged.rs` | what must not be put in force, and that nothing happens then |
//! | `in_force.rs` | what is put in force, and what that changes |
//! | `failed.rs` | parts that cannot be served, and what they take with them |
//! | `restart.rs` | starting without an API server |
//! | `watching.rs` | Secrets that come, change and go |
//! | `strangers.rs` | who is let in at the internal listener |
//! | `issuing.rs` | certificates for requests of the cluster |
//! | `revoking.rs` | revocations and counts |
//! | `renewals.rs` | what the operator is told of renewals |
//! | `acme.rs` | a method for ACME, from its resources to a certificate |
//! | `process.rs` | a whole process, from its sockets to its end |
//! | `replicas.rs` | two servers on one PostgreSQL |

mod acme;
mod api;
mod failed;
mod forged;
mod in_force;
mod issuing;
mod operator;
mod process;
mod renewals;
mod replicas;
mod restart;
mod revoking;
mod scene;
mod strangers;
mod watching;
