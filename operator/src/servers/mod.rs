//! Talking to the replicas of servers: what they serve, and asking them to issue and revoke.
//!
//! | file | what |
//! | --- | --- |
//! | `api.rs` | [`ServerApi`]: what can be asked of a server, and why no answer came |
//! | `replicas.rs` | which replicas there are, as their pods say |

mod api;
mod replicas;

pub use self::{
    api::{CallError, ServerApi},
    replicas::{Replica, ReplicaState, replicas_of},
};
