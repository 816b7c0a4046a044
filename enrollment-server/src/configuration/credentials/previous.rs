//! The value before: what is declared of it, as rows carry it.

use issuance::{
    Error,
    credential::{PreviousValue, Verifier, hmac_key_fingerprint},
    identity::CredentialId,
    rest::AccessKey,
    secret::Secret,
};
use resolve::{CompiledCredential, ValueForm};

use super::Pass;

impl Pass<'_> {
    /// None where nothing is accepted beside the present value. `username` is the one that the row has with that, `known` what the
    /// row says already.
    pub(super) fn previous(
        &self,
        wanted: &CompiledCredential,
        id: &CredentialId,
        username: Option<&str>,
        known: Option<&PreviousValue>,
    ) -> Result<Option<PreviousValue>, Error> {
        // A row has one count of uses, which begins anew with each value: one before that was used up would be good again.
        if wanted.maximum_uses.is_some() {
            return Ok(None);
        }
        let now = self.engine.clock().now();
        let declared = wanted.previous.as_ref().filter(|previous| now < previous.until);
        let Some(declared) = declared.filter(|previous| !previous.value.is_empty()) else { return Ok(None) };
        let verifier = match ValueForm::of(wanted.protocol) {
            ValueForm::Password => Verifier::of_generated(&declared.value),
            ValueForm::HmacKey => self.key_before(id, &declared.value, known)?,
            // It would be looked for by its name, and the row has one.
            ValueForm::AccessKey => match AccessKey::parse(&declared.value) {
                Some(key) if Some(key.name()) == username => Verifier::of_generated(key.secret()),
                Some(_) | None => return Ok(None),
            },
        };
        Ok(Some(PreviousValue { verifier, until: declared.until }))
    }

    /// As it is sealed in the row already, where the newest sealing key did that.
    fn key_before(
        &self,
        id: &CredentialId,
        key: &Secret,
        known: Option<&PreviousValue>,
    ) -> Result<Verifier, Error> {
        let same = known
            .map(|known| &known.verifier)
            .filter(|known| known.fingerprint() == Some(hmac_key_fingerprint(key)));
        match same.map(|known| (known, known.resealed(self.sealing, id))) {
            Some((known, Ok(None))) => Ok(known.clone()),
            Some((_, Ok(Some(resealed)))) => Ok(resealed),
            Some((_, Err(_))) | None => Verifier::of_hmac_key(self.sealing, id, key),
        }
    }
}
