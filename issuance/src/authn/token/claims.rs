//! What a token says, read strictly: a compact JWS (RFC 7515 §7.1) whose payload is a set of claims (RFC 7519) as an API
//! server of Kubernetes writes them for a service account.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{json::parse_unique, time::Time};
use serde::Deserialize;
use serde_json::Value;

use super::{TokenFault, keys::Algorithm};

/// Most octets of a token; those of API servers have one to two thousand.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// A token whose signature has yet to be verified.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What the signature is over.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// RFC 7519 §4.1, and what the API server adds to a token that is bound to a service account.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: Audiences,
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) nbf: Option<i64>,
    #[serde(rename = "kubernetes.io")]
    pub(super) kubernetes: Kubernetes,
}

/// RFC 7519 §4.1.3: one, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audiences {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Kubernetes {
    pub(super) namespace: String,
    pub(super) serviceaccount: Bound,
}

#[derive(Debug, Deserialize)]
pub(super) struct Bound {
    pub(super) name: String,
}

impl<'a> Compact<'a> {
    /// # Errors
    /// [`TokenFault`]; nothing is verified yet, and nothing was read of the payload.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Form)?;
        let header: Header = object(header).ok_or(TokenFault::Header)?;
        // RFC 7515 §4.1.11: extensions that are not spoken must not be passed over.
        if header.crit.is_some() {
            return Err(TokenFault::Extension);
        }
        let algorithm = Algorithm::from_name(&header.alg).ok_or(TokenFault::Algorithm)?;
        let signature = decode(signature).ok_or(TokenFault::Form)?;
        Ok(Self { algorithm, key_id: header.kid, signed: signed.as_bytes(), signature, payload })
    }

    /// Only once the signature has been verified.
    ///
    /// # Errors
    /// [`TokenFault::Claims`].
    pub(super) fn claims(&self) -> Result<Claims, TokenFault> {
        object(self.payload).ok_or(TokenFault::Claims)
    }
}

impl Claims {
    /// The first and the last second at which it may be used, leeway included.
    ///
    /// # Errors
    /// [`TokenFault::Times`]: times that no clock can have given.
    pub(super) fn window(&self, leeway: i64) -> Result<(Time, Time), TokenFault> {
        let begins = self.nbf.map_or(self.iat, |nbf| nbf.max(self.iat));
        if self.iat < 0 || self.exp <= begins {
            return Err(TokenFault::Times);
        }
        let at = |seconds: i64| Time::from_unix(seconds);
        Ok((at(begins.saturating_sub(leeway)), at(self.exp.saturating_add(leeway))))
    }
}

impl Audiences {
    pub(super) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

fn object<T: for<'de> Deserialize<'de>>(encoded: &str) -> Option<T> {
    let json = decode(encoded)?;
    serde_json::from_value(parse_unique(&json).ok()?).ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
