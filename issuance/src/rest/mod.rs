//! What REST remembers, and how it changes: orders, and what credentials are good for. Pure: whoever changes an order
//! commits it with [`Expect::RestOrderVersion`], and reads again where somebody else came first.
//!
//! | file | what |
//! | --- | --- |
//! | `access_key.rs` | the form of access keys |
//! | `actions.rs` | what a credential may do |
//! | `order.rs` | what is asked for, and every transition |
//! | `control.rs` | proof of control over names: whose, what it is worth, how it comes about |
//! | `key.rs` | private keys that the server makes, until they are fetched |
//! | `idempotency.rs` | what makes two orders the same |
//! | `renewal.rs` | certificates that the server renews by itself |
//! | `completion.rs` | what becomes of an order in the commit that issues its certificate |
//!
//! [`Expect::RestOrderVersion`]: crate::store::Expect::RestOrderVersion

mod access_key;
mod actions;
mod completion;
mod control;
mod idempotency;
mod key;
mod order;
mod renewal;
#[cfg(test)]
mod tests;

pub use access_key::AccessKey;
pub use actions::{RestAction, RestActions};
pub use completion::{OrderCompletion, RenewalCompletion};
pub use control::{Proof, requester_thumbprint};
pub use idempotency::Idempotency;
pub use key::OrderKey;
pub use order::{AskedOrder, OrderRow, OrderState, OrderStatus, Progress, TransitionError};
pub use renewal::{Renewal, renewal_job};

pub use crate::identity::RestOrderId;
