//! The value before: where an overlap is asked for, a rotation leaves it good for a while.

use pki::time::Time;
use serde::{Deserialize, Serialize};

use super::Verifier;

/// A value that a rotation replaced, and that is accepted for a while beside the one that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousValue {
    pub verifier: Verifier,
    /// From this moment on it is refused.
    pub until: Time,
}
