//! What is shown to a server.

use std::fmt;

use http::HeaderValue;
use zeroize::Zeroizing;

/// Longer than any access key, and than tokens of service accounts are.
const LONGEST: usize = 16 * 1024;

/// An access key, or a token of a Kubernetes service account: both are sent as `Authorization: Bearer` (RFC 6750 §2.1).
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

/// Why text is not sent as a token. It is not repeated: it may be a secret all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is empty")]
    Empty,
    #[error(
        "it holds something else than an access key or a token, which are one line of printable characters without spaces"
    )]
    Characters,
    #[error("it is longer than any access key or token")]
    TooLong,
}

impl BearerToken {
    /// From what a file or the environment holds; white space around it is no part of it.
    ///
    /// # Errors
    /// [`TokenError`], which does not hold the text.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let token = text.trim_ascii();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        if token.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        // RFC 6750 §2.1: b64token; nothing that would end the header.
        let of_form = |octet: &u8| {
            octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
        };
        if !token.iter().all(of_form) {
            return Err(TokenError::Characters);
        }
        Ok(Self(Zeroizing::new(String::from_utf8_lossy(token).into_owned())))
    }

    /// The value of `Authorization`, which no log shows.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_or_change_the_header_is_no_token() {
        for (text, expected) in [
            (&b""[..], TokenError::Empty),
            (b" \n", TokenError::Empty),
            (b"two words", TokenError::Characters),
            (b"one\r\nHost: other", TokenError::Characters),
            (b"caf\xc3\xa9", TokenError::Characters),
            (&[b'a'; LONGEST + 1], TokenError::TooLong),
        ] {
            assert_eq!(BearerToken::parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn white_space_around_a_token_is_no_part_of_it_and_debug_shows_nothing_of_it() {
        let token = BearerToken::parse(b" chancery_0123456789abcdef_abc-_\n").unwrap();
        let header = token.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer chancery_0123456789abcdef_abc-_");
        assert!(header.is_sensitive());
        assert!(!format!("{token:?} {header:?}").contains("chancery_"));
    }
}
