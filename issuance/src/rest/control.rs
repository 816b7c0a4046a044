//! Who proves control of names over REST: what stands in key authorizations (RFC 8555 §8.1) in the place of an account's key.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{authn::Requester, engine::request_key};

/// Of whoever orders: base64url, 256 bits. The same for all orders of one credential; where a certificate or a token was shown, of
/// what it names, at this method.
pub fn requester_thumbprint(requester: &Requester) -> String {
    let method = requester.method.to_string();
    let hash = match &requester.credential {
        Some(credential) => {
            request_key(&[b"chancery rest v1", b"credential", credential.as_str().as_bytes()])
        }
        None => {
            let name = requester.name.as_bytes();
            request_key(&[b"chancery rest v1", b"name", method.as_bytes(), name])
        }
    };
    URL_SAFE_NO_PAD.encode(hash.0)
}
