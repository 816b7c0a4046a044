//! What there is in the cluster, kept current by watches.
//!
//! | file | what |
//! | --- | --- |
//! | `snapshot.rs` | [`World`]: everything as it was at one moment |
//! | `watches.rs` | the watches that keep it current, each of its own |
//! | `sinks.rs` | where the objects of each watch go |
//! | `decode.rs` | objects → resources, one by one: what cannot be read is kept as such |
//! | `secrets.rs` | the Secrets that resources name, fetched by name |
//! | `token_issuer.rs` | who makes the tokens of service accounts, and with which keys |
//! | `live.rs` | complete lists, straight from the API server, before anything is removed |

mod decode;
pub mod live;
mod secrets;
mod sinks;
mod snapshot;
#[cfg(test)]
mod tests;
mod token_issuer;
mod watches;

pub(crate) use self::decode::api_resource;
pub use self::{
    secrets::ReferencedSecrets,
    snapshot::{Entry, Object, OwnedKind, Source, World},
    token_issuer::ClusterTokens,
    watches::Watches,
};
