//! The JSON of ACME: what clients ask for (`payloads.rs`) and what they are shown (`answers.rs`).

mod answers;
mod contact;
mod payloads;

pub use answers::{
    AccountObject, AuthorizationObject, ChallengeObject, OrderObject, OrdersList, RenewalInfo,
    SuggestedWindow,
};
pub use payloads::{
    AccountUpdate, AskedIdentifier, AuthorizationUpdate, Finalize, NewAccount, NewOrder, PayloadError,
    RevokeCert,
};
