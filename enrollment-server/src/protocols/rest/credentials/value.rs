//! New secrets, one function for each protocol whose credentials are made here. Only what is checked by stays.

use issuance::{
    Error,
    administration::NewValue,
    credential::{CredentialRow, Verifier},
    identity::Protocol,
    rest::AccessKey,
    secret::Secret,
};

/// A secret to be handed out, once.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) value: NewValue,
    pub(super) secret: Secret,
}

/// For a credential of this protocol; in place of the one that the row has, where there is a row.
///
/// # Errors
/// [`Error::Internal`] where the random generator fails, and for protocols whose credentials are not made here.
pub(super) fn make(protocol: Protocol, before: Option<&CredentialRow>) -> Result<Made, Error> {
    match protocol {
        Protocol::Rest => access_key(before.and_then(|row| row.username.as_deref())),
        Protocol::Est
        | Protocol::Scep
        | Protocol::Acme
        | Protocol::Cmp
        | Protocol::Waep
        | Protocol::Issuer
        | Protocol::Internal => Err(Error::Internal(format!("credentials for {protocol} are not made here"))),
    }
}

/// The name stays, so that a failure with the old key is known as one with this credential.
fn access_key(name: Option<&str>) -> Result<Made, Error> {
    let key = name.map_or_else(AccessKey::generate, AccessKey::regenerate)?;
    let value =
        NewValue { username: Some(key.name().to_owned()), verifier: Verifier::of_generated(key.secret()) };
    Ok(Made { value, secret: key.secret().clone() })
}
