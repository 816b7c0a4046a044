//! New secrets, one form for each protocol whose credentials are made here. Only what is checked by stays.

use std::{fmt, sync::Arc};

use issuance::{
    Error, administration::NewVerifier, credential::Verifier, identity::Protocol, rest::AccessKey,
    sealing::SealingKeys, secret::Secret,
};
use resolve::ValueForm;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::Credential;

/// A secret to be handed out, once.
#[derive(Debug)]
pub(super) struct Made {
    /// As the row has it.
    pub(super) username: Option<String>,
    pub(super) verifier: NewVerifier,
    pub(super) handed: Handed,
}

/// What whoever uses a credential is given, by the keys of the Secret that a declared one is written to.
#[derive(Debug)]
pub(super) enum Handed {
    AccessKey(Secret),
    Password { username: Option<String>, password: Secret },
    HmacKey { kid: Option<String>, hmac: Secret },
}

/// For a credential of this protocol. `username`: that of the row, where it is known already.
///
/// # Errors
/// [`Error::Internal`] where the random generator fails, and for protocols whose credentials are not made here.
pub(super) fn make(
    protocol: Protocol,
    username: Option<&str>,
    sealing: &Arc<SealingKeys>,
) -> Result<Made, Error> {
    match protocol {
        Protocol::Rest => access_key(username),
        Protocol::Est => password(username),
        Protocol::Acme => hmac_key(username, sealing.clone()),
        Protocol::Scep | Protocol::Cmp | Protocol::Waep | Protocol::Issuer | Protocol::Internal => {
            Err(Error::Internal(format!("credentials for {protocol} are not made here")))
        }
    }
}

/// The name stays, so that a failure with the old key is known as one with this credential.
fn access_key(name: Option<&str>) -> Result<Made, Error> {
    let key = name.map_or_else(AccessKey::generate, AccessKey::regenerate)?;
    let verifier = NewVerifier::Made(Verifier::of_generated(key.secret()));
    let handed = Handed::AccessKey(key.secret().clone());
    Ok(Made { username: Some(key.name().to_owned()), verifier, handed })
}

fn password(username: Option<&str>) -> Result<Made, Error> {
    let username = username.map(str::to_owned);
    let password = ValueForm::Password.generate()?;
    let verifier = NewVerifier::Made(Verifier::of_generated(&password));
    Ok(Made { username: username.clone(), verifier, handed: Handed::Password { username, password } })
}

fn hmac_key(kid: Option<&str>, sealing: Arc<SealingKeys>) -> Result<Made, Error> {
    let kid = kid.map(str::to_owned);
    let key = ValueForm::HmacKey.generate()?;
    let hmac = ValueForm::HmacKey.write(&key);
    let verifier = NewVerifier::HmacKey { sealing, key };
    Ok(Made { username: kid.clone(), verifier, handed: Handed::HmacKey { kid, hmac } })
}

/// A credential and its secret, which is not shown again. Which of the other members are there, its protocol says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CredentialWithSecret {
    credential: Credential,
    /// REST: the whole access key, as it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_key: Option<String>,
    /// EST: the user name that the password goes with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// EST: the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    password: Option<String>,
    /// ACME: the key identifier of the external account binding (RFC 8555 §7.3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kid: Option<String>,
    /// ACME: the key of the external account binding, base64url without padding, as clients take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hmac: Option<String>,
}

impl CredentialWithSecret {
    pub(super) fn new(credential: Credential, handed: &Handed) -> Self {
        let text = |secret: &Secret| Some(String::from_utf8_lossy(secret.expose()).into_owned());
        let nothing =
            Self { credential, access_key: None, username: None, password: None, kid: None, hmac: None };
        match handed {
            Handed::AccessKey(key) => Self { access_key: text(key), ..nothing },
            Handed::Password { username, password } => {
                Self { username: username.clone(), password: text(password), ..nothing }
            }
            Handed::HmacKey { kid, hmac } => Self { kid: kid.clone(), hmac: text(hmac), ..nothing },
        }
    }
}

impl fmt::Debug for CredentialWithSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialWithSecret").field("credential", &self.credential).finish_non_exhaustive()
    }
}
