//! Access keys of REST: passwords that name their own row, whatever its method.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use pki::time::Time;

use super::{
    Evidence, Freshness, PasswordVerifier,
    cache::Sought,
    password::{evidence, unauthenticated},
};
use crate::{
    error::{AuthenticationFailure, Error},
    rest::{AccessKey, RestActions},
    secret::Secret,
};

/// Whoever holds an access key, and what it is good for.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    pub evidence: Evidence,
    pub actions: RestActions,
}

impl PasswordVerifier {
    /// Evidence that somebody holds an access key; it says of which method. A cached row will do only for what commits
    /// with the evidence: for anything else pass [`Freshness::Fresh`], or a key that was regenerated a moment ago on
    /// another replica would still be good for it. `from` is where it was shown. A key that is used up
    /// is still good for reading: [`Authenticated`](super::Authenticated) is not made of it.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log; [`Error::Unavailable`] without the store.
    pub async fn verify_access_key(
        &self,
        presented: &Secret,
        now: Time,
        freshness: Freshness,
        from: Option<IpAddr>,
    ) -> Result<KeyHolder, Error> {
        let Some(key) = AccessKey::parse(presented) else {
            return Err(unauthenticated(AuthenticationFailure::Unreadable));
        };
        let sought = Sought::AccessKey { name: key.name().to_owned() };
        let row = self.find_fresh_enough(&sought, key.secret(), now, freshness, from).await?;
        Ok(KeyHolder { evidence: evidence(&row, row.name.to_string(), now), actions: row.actions })
    }
}
