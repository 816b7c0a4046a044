//! External accounts (RFC 8555 §7.3.4): a credential of the method vouches for a new account. What became of it since is looked
//! at whenever the account asks for something (`known.rs`).

use std::net::IpAddr;

use issuance::{
    Error,
    acme::Binding,
    credential::{CredentialRow, Verifier},
    error::AuthenticationFailure,
    identity::Owner,
    store::{Expect, Write},
};
use pki::time::Time;

use super::{
    error::AcmeError,
    exchange::Exchange,
    wire::{
        jwk::AccountKey,
        jws::{self, JwsError},
    },
};

/// What a binding adds to an account, and to the commit that makes it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) binding: Binding,
    pub(super) owner: Option<Owner>,
    /// The credential is usable, when the account is recorded.
    pub(super) expect: Expect,
    /// Counts one use of it.
    pub(super) write: Write,
}

/// Checks that whoever holds the credential's key binds just this account's key.
///
/// # Errors
/// [`Error::Throttled`] where too many failed from the address; [`AcmeError::ExternalAccount`], without saying what was wrong,
/// where the key identifier or the MAC is; the form of the JWS is the client's to know.
pub(super) async fn bind(
    exchange: &Exchange,
    key: &AccountKey,
    jws: &jws::Binding,
) -> Result<Bound, AcmeError> {
    let Exchange { app, service, address, now, .. } = exchange;
    // A shared secret, which may be one that somebody chose: trying costs time.
    app.check_address(service.method.protocol, *address)?;
    let rows = app.engine.store().credentials_for(&service.method.name, jws.kid()).await?;
    let mut failure = AuthenticationFailure::Mismatch;
    for row in rows.iter().filter(|row| row.username.as_deref() == Some(jws.kid())) {
        let Some(verifier) = signed_with(exchange, key, jws, row)? else { continue };
        match row.usable(*now) {
            Ok(()) => return bound(row, verifier, jws, *now, *address),
            Err(reason) => failure = reason,
        }
    }
    for row in rows.iter().filter(|row| row.username.as_deref() == Some(jws.kid())) {
        app.passwords.usage().failed(&row.id, failure, *now, Some(*address));
    }
    Err(refused(exchange, failure))
}

/// Which of the credential's keys it was made with: the present one, or after a rotation the one before for a while.
fn signed_with<'a>(
    exchange: &Exchange,
    key: &AccountKey,
    jws: &jws::Binding,
    row: &'a CredentialRow,
) -> Result<Option<&'a Verifier>, AcmeError> {
    for verifier in row.verifiers_at(exchange.now) {
        let Some(mac_key) = verifier.hmac_key(&exchange.app.sealing, &row.id).map_err(Error::from)? else {
            continue;
        };
        match jws.verify(mac_key.expose(), &exchange.target.url, key) {
            Ok(()) => return Ok(Some(verifier)),
            Err(JwsError::Binding(inner)) if *inner == JwsError::Signature => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

fn bound(
    row: &CredentialRow,
    verifier: &Verifier,
    jws: &jws::Binding,
    now: Time,
    address: IpAddr,
) -> Result<Bound, AcmeError> {
    let fingerprint = verifier.fingerprint();
    let fingerprint = fingerprint.ok_or_else(|| Error::Internal("a key without a fingerprint".into()))?;
    let (credential, kid) = (row.id.clone(), jws.kid().to_owned());
    Ok(Bound {
        binding: Binding { credential, kid, fingerprint, jws: jws.to_json() },
        owner: row.owner.clone(),
        expect: Expect::CredentialUsable { id: row.id.clone(), version: row.version, now },
        write: Write::UseCredential { id: row.id.clone(), at: now, address: Some(address) },
    })
}

/// Counts a binding that failed, as a failure to authenticate.
fn refused(exchange: &Exchange, failure: AuthenticationFailure) -> AcmeError {
    exchange.app.authentication_failed(&exchange.service.method, failure, exchange.address);
    AcmeError::ExternalAccount(failure)
}
