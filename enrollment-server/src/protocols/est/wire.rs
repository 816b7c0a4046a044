//! Bytes of EST: requests as base64 PKCS #10, answers as base64 certs-only PKCS #7.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use http::{
    HeaderMap,
    header::{CONTENT_TYPE, USER_AGENT},
};
use pki::cms::certs_only;

/// RFC 7030 §4.2.1.
const PKCS10: &str = "application/pkcs10";

/// RFC 7030 §4.1.3.
pub const PKCS7: &str = "application/pkcs7-mime";

/// RFC 7030 §4.2.3.
pub const PKCS7_CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";

/// RFC 7030 §4.5.2.
pub const CSRATTRS: &str = "application/csrattrs";

/// Why a body is not a certificate request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the Content-Type must be application/pkcs10")]
    ContentType,
    #[error("the body is empty; a base64 PKCS #10 certificate request is expected")]
    Empty,
    #[error("the body is not base64 (RFC 8951 §3)")]
    Base64,
    #[error("the PEM in the body holds no single CERTIFICATE REQUEST")]
    Pem,
}

/// # Errors
/// [`WireError::ContentType`] for anything but `application/pkcs10`, whose parameters do not matter.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), WireError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(PKCS10) { Ok(()) } else { Err(WireError::ContentType) }
}

/// The DER of the request in a body. Content-Transfer-Encoding is ignored, as RFC 8951 §3 says.
///
/// # Errors
/// See [`WireError`]. Whether the DER is a certificate request is for [`pki::csr`] to say.
pub fn decode_pkcs10(body: &[u8]) -> Result<Vec<u8>, WireError> {
    let text = body.trim_ascii();
    match text.first() {
        None => Err(WireError::Empty),
        Some(0x30) if !is_base64(text) => Ok(tolerate_raw_der(body)),
        Some(b'-') => tolerate_pem(text),
        Some(_) => decode_base64(text),
    }
}

/// How base64 stands in an answer. RFC 8951 §3 leaves that open; not every client reads both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 64 characters a line: what `openssl base64 -d` and libest want.
    Lines,
    /// Nothing but base64.
    OneLine,
}

impl Layout {
    /// What the client that sent these header fields reads.
    pub fn for_client(headers: &HeaderMap) -> Self {
        if is_strongswan(headers) { Self::OneLine } else { Self::Lines }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        let base64 = STANDARD.encode(bytes);
        match self {
            Self::Lines => wrap(&base64),
            Self::OneLine => base64,
        }
    }
}

/// strongSwan's `pki --est` and `--estca` (5.9.8) decode line breaks as if they were digits. They are told by a request
/// that does not say which program sent it; who else does not is served as well by one line.
fn is_strongswan(headers: &HeaderMap) -> bool {
    !headers.contains_key(USER_AGENT)
}

/// The answer's body: certs-only (RFC 5272 §4.1) in base64.
pub fn encode_certs(certificates: &[&[u8]], layout: Layout) -> String {
    layout.encode(&certs_only(certificates))
}

/// 0x30 begins a SEQUENCE, and is also the letter `0`.
fn is_base64(text: &[u8]) -> bool {
    text.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') || byte.is_ascii_whitespace()
    })
}

/// curl with `--data-binary @request.der`, and clients that took the Content-Transfer-Encoding `binary` for allowed.
fn tolerate_raw_der(body: &[u8]) -> Vec<u8> {
    body.to_vec()
}

/// curl with `--data-binary @request.pem`: what `openssl req` writes by default.
fn tolerate_pem(text: &[u8]) -> Result<Vec<u8>, WireError> {
    let blocks = pki::pem::decode_all(text).map_err(|_| WireError::Pem)?;
    match <[_; 1]>::try_from(blocks) {
        Ok([block]) if matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") => {
            Ok(block.der)
        }
        Ok(_) | Err(_) => Err(WireError::Pem),
    }
}

/// Any line length; the padding may be missing, as some embedded encoders leave it out.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, WireError> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(compact).map_err(|_| WireError::Base64)
}

fn wrap(base64: &str) -> String {
    const COLUMNS: usize = 64;
    let mut wrapped = String::with_capacity(base64.len() + base64.len() / COLUMNS + 2);
    let mut rest = base64;
    while let Some((line, after)) = rest.split_at_checked(COLUMNS) {
        wrapped.push_str(line);
        wrapped.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        wrapped.push_str(rest);
        wrapped.push('\n');
    }
    wrapped
}
