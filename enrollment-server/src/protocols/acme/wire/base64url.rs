//! base64url without padding, as RFC 7515 §2 wants it: exactly one spelling for each run of octets.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Why text is no base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base64UrlError {
    #[error("longer than {limit} characters")]
    TooLong { limit: usize },
    /// Another alphabet, padding, white space, a length that cannot be, or bits set behind the last octet.
    #[error("not base64url without padding (RFC 7515 §2)")]
    Malformed,
}

/// The octets of at most `limit` characters.
///
/// # Errors
/// See [`Base64UrlError`].
pub fn decode(text: &str, limit: usize) -> Result<Vec<u8>, Base64UrlError> {
    if text.len() > limit {
        return Err(Base64UrlError::TooLong { limit });
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Base64UrlError::Malformed)
}

pub fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_encoder_would_write_is_refused() {
        let refused =
            ["AQ==", "AQ=", "A", "AQI+", "AQI/", " AQ", "AQ\n", "A Q", "AQ.", "AR", "AQJ", "AQIé", "="];
        for text in refused {
            assert_eq!(decode(text, 64), Err(Base64UrlError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn length_is_judged_before_anything_is_decoded() {
        assert_eq!(decode("!!!!!", 4), Err(Base64UrlError::TooLong { limit: 4 }));
        assert_eq!(decode("AQID", 4), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn the_example_of_rfc_7515_appendix_c_comes_out() {
        assert_eq!(encode([3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(decode("A-z_4ME", 16), Ok(vec![3, 236, 255, 224, 193]));
        assert_eq!(decode("", 16), Ok(vec![]));
    }
}
