//! What REST remembers: who may do what with which access key.
//!
//! | file | what |
//! | --- | --- |
//! | `access_key.rs` | the form of access keys |
//! | `actions.rs` | what a credential may do |

mod access_key;
mod actions;

pub use access_key::AccessKey;
pub use actions::{RestAction, RestActions};
