//! What ACME remembers, and how it changes: accounts, orders with their authorizations and challenges, and the names
//! they are about. Pure: whoever changes a row commits it with [`Expect::AcmeOrderVersion`] or
//! [`Expect::AcmeAccountVersion`], and reads again where somebody else came first.
//!
//! | file | what | |
//! | --- | --- | --- |
//! | `identifier.rs` | names that an order is about, and which of them a credential may ask for | [RFC 8555 §9.7.7](https://www.rfc-editor.org/rfc/rfc8555#section-9.7.7), [RFC 8738](https://www.rfc-editor.org/rfc/rfc8738) |
//! | `account.rs` | who asks | [RFC 8555 §7.1.2](https://www.rfc-editor.org/rfc/rfc8555#section-7.1.2) |
//! | `key.rs` | an account's key, and what makes two keys the same | [RFC 7638](https://www.rfc-editor.org/rfc/rfc7638) |
//! | `order.rs` | what is asked for, and every transition | [RFC 8555 §7.1.6](https://www.rfc-editor.org/rfc/rfc8555#section-7.1.6) |
//! | `authorization.rs` | whether the account controls one name, and the challenges that prove it | [RFC 8555 §7.1.4](https://www.rfc-editor.org/rfc/rfc8555#section-7.1.4) |
//! | `completion.rs` | what becomes of an order in the commit that issues its certificate | |
//! | `validation.rs` | the job that validates a challenge | |
//!
//! [`Expect::AcmeOrderVersion`]: crate::store::Expect::AcmeOrderVersion
//! [`Expect::AcmeAccountVersion`]: crate::store::Expect::AcmeAccountVersion

mod account;
mod authorization;
mod completion;
mod identifier;
mod key;
mod order;
#[cfg(test)]
mod tests;
mod validation;

pub use account::{AccountNotValid, AccountRow, AccountStatus, Binding};
pub use authorization::{
    Authorization, AuthorizationError, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType,
    StoredProblem,
};
pub use completion::OrderCompletion;
pub(crate) use identifier::dns_identifier;
pub use identifier::{Identifier, Restriction, general_name, identifier_of, identifier_text};
pub use key::{canonical_jwk, jwk_thumbprint};
pub use order::{OrderRow, OrderState, OrderStatus, TransitionError};
pub use validation::{ValidatedOrder, validation_job, validation_of};

pub use crate::identity::{AcmeAccountId, AcmeOrderId};
