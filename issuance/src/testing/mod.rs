//! What the tests of this crate start from.
//!
//! | file | what |
//! | --- | --- |
//! | `keys.rs` | keys that sign |
//! | `csr.rs` | certificate requests, good and bad, built octet by octet |
//! | `office.rs` | a profile, an authority, a method, a clock that is turned by hand |
//! | `scene.rs` | an engine at work on a store, with a user who may ask |
//! | `acme.rs` | an account of ACME with an order that it has proved |
//! | `stores.rs` | stores that fail, wait or meddle on purpose |
//! | `openssl.rs` | the `openssl` program as a second opinion |

mod acme;
mod csr;
mod keys;
mod office;
pub(crate) mod openssl;
mod scene;
mod stores;

pub(crate) use acme::{AcmeScene, acme_request, acme_scene};
pub(crate) use csr::{Request, read_csr, request, sign_info};
pub(crate) use keys::TestKey;
pub(crate) use office::{
    AuthoritySpec, DAY, ManualClock, NOW, authority, method, patterns, policy, policy_with, profile_under,
};
pub(crate) use scene::{Scene, credential, issued, pending};
pub(crate) use stores::{Before, HookedStore};
