//! Talking to the replicas of servers: what they serve, and asking them to issue and revoke.
//!
//! | file | what |
//! | --- | --- |
//! | `api.rs` | [`ServerApi`]: what can be asked of a server, and why no answer came |
//! | `client.rs` | the same over mutual TLS, connections kept (`connector.rs`) |
//! | `memory.rs` | the same in memory, for tests |
//! | `replicas.rs` | which replicas there are, as their pods say |
//! | `fleet.rs` | all replicas with what was last heard of each |
//! | `poller.rs` | asks them: often while something is still to be programmed, seldom else |
//! | `programmed.rs` | whether all ready replicas serve an object as it is now |

mod api;
mod client;
mod connector;
mod fleet;
#[cfg(test)]
mod memory;
mod poller;
mod programmed;
mod replicas;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

#[cfg(test)]
pub(crate) use self::memory::MemoryServers;
pub use self::{
    api::{CallError, ServerApi},
    client::{IdentityError, InternalClient, OperatorIdentity},
    fleet::Fleet,
    poller::Poller,
    programmed::{Programmed, programmed},
    replicas::{Replica, ReplicaState, replicas_of},
};
