//! JSON Web Signatures as ACME uses them: flattened JSON (RFC 7515 §7.2.2) with everything in the protected header
//! (RFC 8555 §6.2). Nothing is read of a payload before its signature was verified.

use std::fmt;

use super::{
    algorithm::{Algorithm, MacAlgorithm},
    base64url::{self, Base64UrlError},
    json::{JsonError, Object, quoted},
    jwk::{AccountKey, Jwk, JwkError},
    problem::{Problem, ProblemType},
};

/// Octets of a request's body: room for 100 long names in a certificate request, encoded twice.
pub const MAX_BODY: usize = 128 * 1024;

/// Characters of the protected header: an RSA key of 8192 bits in it has about 2,000.
const MAX_PROTECTED: usize = 8 * 1024;

/// Characters of the signature: that of an RSA key of 8192 bits has 1366.
const MAX_SIGNATURE: usize = 1400;

/// Characters of `url`, `kid` and `nonce`.
const MAX_VALUE: usize = 2048;

/// A signed request whose signature has yet to be verified.
#[derive(Debug)]
pub struct Request {
    jws: Flattened,
    algorithm: Algorithm,
    signer: Signer,
    url: String,
    nonce: String,
}

/// Who says to have signed (RFC 8555 §6.2): exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// For newAccount, and for revokeCert by the certificate's key.
    Jwk(AccountKey),
    /// The URL of an account.
    Kid(String),
}

/// What was signed, by whom the caller chose the key of.
pub struct Verified {
    payload: Vec<u8>,
}

/// An external account binding (RFC 8555 §7.3.4) whose MAC has yet to be verified.
#[derive(Debug)]
pub struct Binding {
    jws: Flattened,
    algorithm: MacAlgorithm,
    kid: String,
    url: String,
}

/// Why a JWS is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("the JWS is longer than {MAX_BODY} octets")]
    TooLarge,
    #[error("the JWS: {0}")]
    Json(#[source] JsonError),
    #[error("the member \"{member}\" of the JWS: {error}")]
    Encoding { member: &'static str, error: Base64UrlError },
    #[error("the protected header: {0}")]
    Header(#[source] JsonError),
    #[error("the member \"{0}\" of the protected header is too long")]
    HeaderValue(&'static str),
    /// RFC 7515 §4.1.11, RFC 7797 §6: extensions that are not spoken must not be passed over.
    #[error("the protected header asks for an extension with \"{0}\"")]
    Extension(&'static str),
    #[error("the algorithm \"{0}\" is not taken")]
    Algorithm(String),
    #[error("the protected header has both \"jwk\" and \"kid\"")]
    JwkAndKid,
    #[error("the protected header has neither \"jwk\" nor \"kid\"")]
    NeitherJwkNorKid,
    #[error("a \"{0}\" must not stand in this protected header")]
    Forbidden(&'static str),
    #[error(transparent)]
    Key(#[from] JwkError),
    #[error("the protected header has no \"nonce\"")]
    NonceMissing,
    /// RFC 8555 §6.5.2.
    #[error("the \"nonce\" is no base64url")]
    NonceSyntax,
    #[error("the JWS says {named}, the key signs with {key}")]
    AlgorithmOfKey { named: Algorithm, key: Algorithm },
    #[error("the signature does not verify")]
    Signature,
    /// RFC 8555 §6.4.
    #[error("the \"url\" of the protected header is not that of the request")]
    Url,
    /// RFC 8555 §7.3.4.
    #[error("the external account binding: {0}")]
    Binding(#[source] Box<JwsError>),
    /// RFC 7518 §3.2.
    #[error(
        "{algorithm} needs a key of at least {least} octets (RFC 7518 §3.2), and this one is shorter: use HS256"
    )]
    MacKey { algorithm: MacAlgorithm, least: usize },
    #[error("the external account binding is not for the key that signed the request")]
    BindingKey,
    #[error("the payload: {0}")]
    Payload(#[source] JsonError),
    /// RFC 8555 §6.3.
    #[error("the payload must be empty: this resource is only read (POST-as-GET)")]
    PayloadNotEmpty,
    #[error("the payload is empty; a JSON object is expected")]
    PayloadEmpty,
    /// RFC 8555 §7.3.5.
    #[error("the inner JWS of keyChange: {0}")]
    KeyChange(#[source] Box<JwsError>),
    #[error("\"account\" in keyChange is not the account that signed the request")]
    KeyChangeAccount,
    #[error("\"oldKey\" in keyChange is not the key of the account")]
    KeyChangeOldKey,
}

impl Request {
    /// # Errors
    /// See [`JwsError`]. Nothing is verified yet.
    pub fn parse(body: &[u8]) -> Result<Self, JwsError> {
        let (jws, header) = Flattened::parse(body)?;
        let algorithm = algorithm(&header)?;
        let signer = signer(&header)?;
        let url = value(&header, "url")?;
        let nonce = optional_value(&header, "nonce")?.ok_or(JwsError::NonceMissing)?;
        base64url::decode(&nonce, MAX_VALUE).map_err(|_| JwsError::NonceSyntax)?;
        Ok(Self { jws, algorithm, signer, url, nonce })
    }

    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// What the client took for the URL of its request.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// base64url, of any content.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// # Errors
    /// [`JwsError::Url`] where the client meant another request (RFC 8555 §6.4).
    pub fn check_url(&self, of_request: &str) -> Result<(), JwsError> {
        if self.url == of_request { Ok(()) } else { Err(JwsError::Url) }
    }

    /// # Errors
    /// [`JwsError::AlgorithmOfKey`], [`JwsError::Signature`].
    pub fn verify(self, key: &AccountKey) -> Result<Verified, JwsError> {
        self.jws.verify(self.algorithm, key)
    }
}

impl Verified {
    /// # Errors
    /// [`JwsError::PayloadNotEmpty`]: not a POST-as-GET (RFC 8555 §6.3).
    pub fn post_as_get(&self) -> Result<(), JwsError> {
        if self.is_empty() { Ok(()) } else { Err(JwsError::PayloadNotEmpty) }
    }

    /// Whether this is a POST-as-GET; `{}` is not.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// # Errors
    /// [`JwsError::PayloadEmpty`], [`JwsError::Payload`].
    pub fn object(&self) -> Result<Object, JwsError> {
        if self.is_empty() {
            return Err(JwsError::PayloadEmpty);
        }
        Object::parse(&self.payload).map_err(JwsError::Payload)
    }

    /// The new key of an account, of which the inner JWS proves possession. `url` is that of the request, `account`
    /// the URL of the account that signed it and `old` its key (RFC 8555 §7.3.5).
    ///
    /// # Errors
    /// See [`JwsError`].
    pub fn key_change(&self, url: &str, account: &str, old: &AccountKey) -> Result<AccountKey, JwsError> {
        let inner = |error: JwsError| JwsError::KeyChange(Box::new(error));
        let (new, change) = self_signed(&self.payload, url).map_err(inner)?;
        let text = |member| change.string(member).map_err(|error| inner(JwsError::Payload(error)));
        if text("account")? != account {
            return Err(JwsError::KeyChangeAccount);
        }
        let old_key = change.optional_object("oldKey").map_err(|error| inner(JwsError::Payload(error)))?;
        let old_key = old_key.ok_or_else(|| inner(JwsError::Payload(JsonError::Missing("oldKey"))))?;
        if Jwk::parse(&old_key)?.thumbprint() != old.thumbprint() {
            return Err(JwsError::KeyChangeOldKey);
        }
        Ok(new)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} octets)", self.payload.len())
    }
}

impl Binding {
    /// From the member `externalAccountBinding` of a newAccount request.
    ///
    /// # Errors
    /// See [`JwsError`], in [`JwsError::Binding`].
    pub fn parse(object: &Object) -> Result<Self, JwsError> {
        Self::read(object).map_err(|error| JwsError::Binding(Box::new(error)))
    }

    fn read(object: &Object) -> Result<Self, JwsError> {
        let (jws, header) = Flattened::from_object(object)?;
        let algorithm = mac_algorithm(&header)?;
        forbid(&header, &["nonce", "jwk"])?;
        let (kid, url) = (value(&header, "kid")?, value(&header, "url")?);
        Ok(Self { jws, algorithm, kid, url })
    }

    /// Which key was handed out.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether whoever holds the MAC's key binds just this account's key, in a request to this URL.
    ///
    /// # Errors
    /// [`JwsError::Binding`] for a wrong MAC, URL or payload, and for a key too short for the algorithm;
    /// [`JwsError::BindingKey`].
    pub fn verify(&self, mac_key: &[u8], url: &str, account: &AccountKey) -> Result<(), JwsError> {
        let inner = |error: JwsError| JwsError::Binding(Box::new(error));
        if !self.algorithm.verifies(mac_key, &self.jws.signing_input, &self.jws.signature) {
            return Err(inner(JwsError::Signature));
        }
        // Only whoever holds the key is told how long it is.
        let (algorithm, least) = (self.algorithm, self.algorithm.least_key());
        if mac_key.len() < least {
            return Err(inner(JwsError::MacKey { algorithm, least }));
        }
        if self.url != url {
            return Err(inner(JwsError::Url));
        }
        let jwk = Object::parse(&self.jws.payload).map_err(|error| inner(JwsError::Payload(error)))?;
        if Jwk::parse(&jwk).map_err(|error| inner(error.into()))?.thumbprint() != account.thumbprint() {
            return Err(JwsError::BindingKey);
        }
        Ok(())
    }

    /// The JWS again, to be shown in the account (RFC 8555 §7.1.2): as it came, in one order and without spaces.
    pub fn to_json(&self) -> String {
        let (protected, payload) = self.jws.encoded();
        let signature = base64url::encode(&self.jws.signature);
        format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
    }
}

impl JwsError {
    /// What the client is told.
    pub fn problem_type(&self) -> ProblemType {
        match self {
            Self::TooLarge
            | Self::Json(_)
            | Self::Encoding { .. }
            | Self::Header(_)
            | Self::HeaderValue(_)
            | Self::Extension(_)
            | Self::JwkAndKid
            | Self::NeitherJwkNorKid
            | Self::Forbidden(_)
            | Self::NonceSyntax
            | Self::Signature
            | Self::MacKey { .. }
            | Self::BindingKey
            | Self::Payload(_)
            | Self::PayloadNotEmpty
            | Self::PayloadEmpty
            | Self::KeyChangeAccount
            | Self::KeyChangeOldKey => ProblemType::Malformed,
            Self::Algorithm(_) | Self::AlgorithmOfKey { .. } => ProblemType::BadSignatureAlgorithm,
            Self::Key(_) => ProblemType::BadPublicKey,
            Self::NonceMissing => ProblemType::BadNonce,
            Self::Url => ProblemType::Unauthorized,
            Self::Binding(_) => ProblemType::Malformed,
            Self::KeyChange(inner) => inner.problem_type(),
        }
    }

    /// The document.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.problem_type(), self.to_string());
        // RFC 9110 §15.5.14.
        if *self == Self::TooLarge { problem.with_status(413) } else { problem }
    }
}

/// The three parts (RFC 7515 §7.2.2), decoded.
struct Flattened {
    /// `protected` and `payload` in base64url with a dot between: what is signed (RFC 7515 §5.2).
    signing_input: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Flattened {
    /// With its protected header.
    fn parse(json: &[u8]) -> Result<(Self, Object), JwsError> {
        if json.len() > MAX_BODY {
            return Err(JwsError::TooLarge);
        }
        Self::from_object(&Object::parse(json).map_err(JwsError::Json)?)
    }

    fn from_object(object: &Object) -> Result<(Self, Object), JwsError> {
        // RFC 8555 §6.2: no unprotected header, not several signatures.
        object.only(&["protected", "payload", "signature"]).map_err(JwsError::Json)?;
        let (protected, header) = part(object, "protected", MAX_PROTECTED)?;
        let (payload_text, payload) = part(object, "payload", MAX_BODY)?;
        let (_, signature) = part(object, "signature", MAX_SIGNATURE)?;
        let header = Object::parse(&header).map_err(JwsError::Header)?;
        if let Some(extension) = ["crit", "b64"].into_iter().find(|member| header.contains(member)) {
            return Err(JwsError::Extension(extension));
        }
        let signing_input = [protected.as_bytes(), payload_text.as_bytes()].join(&b'.');
        Ok((Self { signing_input, payload, signature }, header))
    }

    fn verify(self, named: Algorithm, key: &AccountKey) -> Result<Verified, JwsError> {
        if named != key.algorithm() {
            return Err(JwsError::AlgorithmOfKey { named, key: key.algorithm() });
        }
        if !key.verifies(&self.signing_input, &self.signature) {
            return Err(JwsError::Signature);
        }
        Ok(Verified { payload: self.payload })
    }

    /// The first two parts as they came.
    fn encoded(&self) -> (String, String) {
        let text = String::from_utf8_lossy(&self.signing_input);
        let (protected, payload) = text.split_once('.').unwrap_or_default();
        (protected.to_owned(), payload.to_owned())
    }
}

impl fmt::Debug for Flattened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flattened({} octets signed)", self.signing_input.len())
    }
}

/// The text of a part, and its octets.
fn part<'a>(object: &'a Object, member: &'static str, limit: usize) -> Result<(&'a str, Vec<u8>), JwsError> {
    let text = object.string(member).map_err(JwsError::Json)?;
    let octets = base64url::decode(text, limit).map_err(|error| JwsError::Encoding { member, error })?;
    Ok((text, octets))
}

/// The key that an inner JWS is signed with and names itself, and its payload (RFC 8555 §7.3.5).
fn self_signed(json: &[u8], url: &str) -> Result<(AccountKey, Object), JwsError> {
    let (jws, header) = Flattened::parse(json)?;
    let algorithm = algorithm(&header)?;
    forbid(&header, &["nonce", "kid"])?;
    let Signer::Jwk(key) = signer(&header)? else { return Err(JwsError::NeitherJwkNorKid) };
    if value(&header, "url")? != url {
        return Err(JwsError::Url);
    }
    let payload = jws.verify(algorithm, &key)?.object()?;
    Ok((key, payload))
}

fn algorithm(header: &Object) -> Result<Algorithm, JwsError> {
    let name = header.string("alg").map_err(JwsError::Header)?;
    Algorithm::from_name(name).ok_or_else(|| JwsError::Algorithm(quoted(name)))
}

fn mac_algorithm(header: &Object) -> Result<MacAlgorithm, JwsError> {
    let name = header.string("alg").map_err(JwsError::Header)?;
    MacAlgorithm::from_name(name).ok_or_else(|| JwsError::Algorithm(quoted(name)))
}

fn signer(header: &Object) -> Result<Signer, JwsError> {
    let jwk = header.optional_object("jwk").map_err(JwsError::Header)?;
    match (jwk, optional_value(header, "kid")?) {
        (Some(jwk), None) => Ok(Signer::Jwk(AccountKey::parse(&jwk)?)),
        (None, Some(kid)) => Ok(Signer::Kid(kid)),
        (Some(_), Some(_)) => Err(JwsError::JwkAndKid),
        (None, None) => Err(JwsError::NeitherJwkNorKid),
    }
}

fn forbid(header: &Object, members: &[&'static str]) -> Result<(), JwsError> {
    match members.iter().find(|member| header.contains(member)) {
        Some(member) => Err(JwsError::Forbidden(member)),
        None => Ok(()),
    }
}

fn value(header: &Object, member: &'static str) -> Result<String, JwsError> {
    optional_value(header, member)?.ok_or(JwsError::Header(JsonError::Missing(member)))
}

fn optional_value(header: &Object, member: &'static str) -> Result<Option<String>, JwsError> {
    match header.optional_string(member).map_err(JwsError::Header)? {
        Some(text) if text.len() > MAX_VALUE => Err(JwsError::HeaderValue(member)),
        text => Ok(text.map(str::to_owned)),
    }
}
