//! The value before: where an overlap is asked for, a rotation leaves it good for a while.

use pki::time::Time;
use serde::{Deserialize, Serialize};

use super::{CredentialRow, Verifier};
use crate::{
    identity::CredentialId,
    sealing::{SealingError, SealingKeys},
};

/// A value that a rotation replaced, and that is accepted for a while beside the one that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousValue {
    pub verifier: Verifier,
    /// From this moment on it is refused.
    pub until: Time,
}

impl CredentialRow {
    /// The value before, where it is accepted at this moment. Whether the credential itself may be used is another question:
    /// [`CredentialRow::usable`].
    pub fn previous_at(&self, now: Time) -> Option<&PreviousValue> {
        self.previous.as_ref().filter(|previous| now < previous.until)
    }

    /// Until when the value before opens the credential, for whoever runs things; none where it does not.
    pub fn previous_accepted_until(&self, now: Time) -> Option<Time> {
        self.lasts(now).ok()?;
        self.previous_at(now).map(|previous| previous.until)
    }

    /// What may be shown at this moment is checked by: the value's first.
    pub fn verifiers_at(&self, now: Time) -> impl Iterator<Item = &Verifier> {
        [&self.verifier].into_iter().chain(self.previous_at(now).map(|previous| &previous.verifier))
    }
}

impl PreviousValue {
    /// The same with its key sealed with the newest sealing key; none where nothing is to be done.
    ///
    /// # Errors
    /// Those of [`Verifier::resealed`].
    pub fn resealed(
        &self,
        keys: &SealingKeys,
        credential: &CredentialId,
    ) -> Result<Option<Self>, SealingError> {
        let verifier = self.verifier.resealed(keys, credential)?;
        Ok(verifier.map(|verifier| Self { verifier, until: self.until }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credential::{CredentialState, generate_hmac_key},
        secret::Secret,
        store::suite::samples::{LATER, NOW, credential},
    };

    fn previous(verifier: Verifier) -> Option<PreviousValue> {
        Some(PreviousValue { verifier, until: LATER })
    }

    #[test]
    fn the_value_before_is_accepted_until_its_time_and_not_at_it() {
        let before = Verifier::of_generated(&Secret::new("before"));
        let row = CredentialRow { previous: previous(before.clone()), ..credential(1) };
        let at = |now| row.verifiers_at(now).cloned().collect::<Vec<_>>();
        assert_eq!(at(LATER), std::slice::from_ref(&row.verifier));
        assert_eq!(at(LATER.plus_seconds(1)), std::slice::from_ref(&row.verifier));
        assert_eq!(at(LATER.plus_seconds(-1)), [row.verifier.clone(), before]);
        assert_eq!(row.previous_accepted_until(NOW), Some(LATER));
        assert_eq!(row.previous_accepted_until(LATER), None);
        let ended = CredentialRow { state: CredentialState::Revoked, ..row };
        assert_eq!(ended.previous_accepted_until(NOW), None);
        let alone = credential(1);
        assert_eq!(alone.verifiers_at(NOW).collect::<Vec<_>>(), [&alone.verifier]);
    }

    #[test]
    fn a_row_that_is_shown_says_nothing_of_how_values_are_checked() {
        let before = Verifier::of_generated(&Secret::new("before"));
        let row = CredentialRow { previous: previous(before), ..credential(1) };
        assert_eq!(serde_json::to_value(&row).unwrap(), serde_json::to_value(credential(1)).unwrap());
    }

    #[test]
    fn a_key_before_moves_to_the_newest_sealing_key() {
        let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
        let (old_keys, new_keys) = (SealingKeys::parse(&old).unwrap(), SealingKeys::parse(&new).unwrap());
        let both = SealingKeys::parse(&format!("{}\n{}", *new, *old)).unwrap();
        let (id, key) = (CredentialId::from_octets([1; 16]), generate_hmac_key().unwrap());
        let value = previous(Verifier::of_hmac_key(&old_keys, &id, &key).unwrap()).unwrap();
        let moved = value.resealed(&both, &id).unwrap().unwrap();
        assert_eq!(moved.verifier.hmac_key(&new_keys, &id).unwrap(), Some(key));
        assert_eq!(moved.until, value.until);
        assert_eq!(moved.resealed(&both, &id).unwrap(), None);
        assert!(value.resealed(&new_keys, &id).is_err());
    }
}
