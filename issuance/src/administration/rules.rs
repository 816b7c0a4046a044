//! What somebody may do to which credential. Nothing is read or written here.
//!
//! | of whoever asks | holds for |
//! | --- | --- |
//! | may do all that can be done with it | every change |
//! | administers all that can be administered with it | every change |
//! | is counted no uses, where certificates can be had with it, or credentials made | what shows its secret |
//! | ends no sooner | what shows its secret, or makes it last longer |
//!
//! What was brought with it is not undone: a certificate lasts as long as it says, and an account of ACME that is bound goes on, as
//! with credentials that resources declare.

use pki::time::Time;

use super::{AdministrationError, Administrator, Change, Target};
use crate::{
    credential::{CredentialRow, CredentialState},
    identity::Protocol,
    rest::{RestAction, RestActions},
};

/// A credential outlives the one that it was made with as little as it may do more: a key that has ended would go on as another.
pub(super) fn check_new(
    by: Administrator<'_>,
    target: &Target,
    maker: Option<&CredentialRow>,
    row: &CredentialRow,
) -> Result<(), AdministrationError> {
    check_power(by, target, row)?;
    check_secret(maker, row)?;
    if row.expires_at.is_some_and(|at| ends_before(maker, at)) {
        return Err(AdministrationError::Longer);
    }
    Ok(())
}

/// The row as it is to be.
pub(super) fn decide(
    by: Administrator<'_>,
    target: &Target,
    maker: Option<&CredentialRow>,
    row: &CredentialRow,
    change: &Change,
    now: Time,
) -> Result<CredentialRow, AdministrationError> {
    check_power(by, target, row)?;
    let own = by.authenticated.requester().credential.as_ref() == Some(&row.id);
    match (change, row.state) {
        (Change::Revoke { .. }, _) => Ok(CredentialRow { state: CredentialState::Revoked, ..row.clone() }),
        (Change::Expire { .. } | Change::Regenerate { .. }, CredentialState::Revoked) => {
            Err(AdministrationError::Revoked)
        }
        (Change::Expire { at }, CredentialState::Active) => {
            let prolongs = row.expires_at.is_some_and(|end| end < *at);
            if prolongs {
                check_served(target)?;
            }
            if own && prolongs {
                return Err(AdministrationError::OwnLonger);
            }
            if prolongs && ends_before(maker, *at) {
                return Err(AdministrationError::Longer);
            }
            Ok(CredentialRow { expires_at: Some(*at), ..row.clone() })
        }
        (Change::Regenerate { verifier }, CredentialState::Active) => {
            check_served(target)?;
            if row.expires_at.is_some_and(|end| end <= now) {
                return Err(AdministrationError::Expired);
            }
            if own && row.maximum_uses.is_some() {
                return Err(AdministrationError::OwnLonger);
            }
            if !own {
                check_secret(maker, row)?;
                let has_end = maker.is_some_and(|maker| maker.expires_at.is_some());
                if has_end && row.expires_at.is_none_or(|end| ends_before(maker, end)) {
                    return Err(AdministrationError::Longer);
                }
            }
            Ok(CredentialRow {
                verifier: verifier.of(&row.id)?,
                previous: None,
                regeneration: row.regeneration.saturating_add(1),
                uses: 0,
                ..row.clone()
            })
        }
    }
}

/// Who is given the value of another credential has its actions too, on all that its method administers.
fn check_power(
    by: Administrator<'_>,
    target: &Target,
    row: &CredentialRow,
) -> Result<(), AdministrationError> {
    if let Some(action) = row.actions.iter().find(|action| !by.actions.contains(*action)) {
        return Err(AdministrationError::Beyond(action));
    }
    match &target.scope {
        Some(scope) if !by.scope.covers(scope) => Err(AdministrationError::Wider(target.method.clone())),
        Some(_) | None => Ok(()),
    }
}

/// What cannot be compared with what whoever asks administers may be more: it gains nothing before it can.
fn check_served(target: &Target) -> Result<(), AdministrationError> {
    match (target.protocol, &target.scope) {
        (Protocol::Rest, None) => Err(AdministrationError::NotServed(target.method.clone())),
        (
            Protocol::Rest
            | Protocol::Est
            | Protocol::Scep
            | Protocol::Acme
            | Protocol::Cmp
            | Protocol::Waep
            | Protocol::Issuer
            | Protocol::Internal,
            _,
        ) => Ok(()),
    }
}

/// Whether the administrator may be shown a secret of this credential.
fn check_secret(maker: Option<&CredentialRow>, row: &CredentialRow) -> Result<(), AdministrationError> {
    let Some(maker) = maker else {
        // Nothing says when whoever shows a certificate or a token ends, and what they made would make the next.
        return match row.actions.contains(RestAction::Credentials) {
            true => Err(AdministrationError::Beyond(RestAction::Credentials)),
            false => Ok(()),
        };
    };
    // Uses would be counted anew, as often as they like.
    if maker.maximum_uses.is_some() && orders(row.protocol, row.actions) {
        return Err(AdministrationError::Longer);
    }
    Ok(())
}

/// Whether certificates can be had with such a credential, or with another that is made with it.
fn orders(protocol: Protocol, actions: RestActions) -> bool {
    match protocol {
        Protocol::Rest => actions.contains(RestAction::Request) || actions.contains(RestAction::Credentials),
        Protocol::Est
        | Protocol::Scep
        | Protocol::Acme
        | Protocol::Cmp
        | Protocol::Waep
        | Protocol::Issuer
        | Protocol::Internal => true,
    }
}

/// Whether the administrator's credential does.
fn ends_before(maker: Option<&CredentialRow>, at: Time) -> bool {
    maker.and_then(|maker| maker.expires_at).is_some_and(|end| end < at)
}
