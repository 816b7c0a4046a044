//! HTTP Basic authentication (RFC 7617), as EST and others use it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use issuance::{error::AuthenticationFailure, secret::Secret};
use zeroize::Zeroizing;

/// A user name and a password, as presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BasicCredentials {
    pub(super) username: String,
    pub(super) password: Secret,
}

impl BasicCredentials {
    /// # Errors
    /// [`AuthenticationFailure::Missing`] without the header; [`AuthenticationFailure::Unreadable`] where it is not
    /// Basic, not base64, not UTF-8 (RFC 7617 §2.1), has no colon or stands there twice.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, AuthenticationFailure> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthenticationFailure::Missing)?;
        if values.next().is_some() {
            return Err(AuthenticationFailure::Unreadable);
        }
        let value = value.to_str().map_err(|_| AuthenticationFailure::Unreadable)?;
        let (scheme, token) = value.split_once(' ').ok_or(AuthenticationFailure::Unreadable)?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Err(AuthenticationFailure::Unreadable);
        }
        let decoded = STANDARD.decode(token.trim()).map_err(|_| AuthenticationFailure::Unreadable)?;
        let decoded = Zeroizing::new(decoded);
        let text = std::str::from_utf8(&decoded).map_err(|_| AuthenticationFailure::Unreadable)?;
        let (username, password) = text.split_once(':').ok_or(AuthenticationFailure::Unreadable)?;
        Ok(Self { username: username.into(), password: Secret::new(password) })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> Result<BasicCredentials, AuthenticationFailure> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        BasicCredentials::from_headers(&headers)
    }

    #[test]
    fn a_user_name_and_a_password_with_colons_are_told_apart() {
        // Aladdin:open:sesame
        let credentials = parse("basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==").unwrap();
        assert_eq!(credentials.username, "Aladdin");
        assert_eq!(credentials.password, Secret::new("open:sesame"));
    }

    #[test]
    fn what_is_not_basic_is_refused_and_never_printed() {
        assert_eq!(
            BasicCredentials::from_headers(&HeaderMap::new()).unwrap_err(),
            AuthenticationFailure::Missing
        );
        for value in ["Basic", "Basic !", "Bearer QTpC", "Basic QQ==", "Basic /zr/", "Basic"] {
            assert_eq!(parse(value).unwrap_err(), AuthenticationFailure::Unreadable, "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic QTpC"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic QTpD"));
        assert!(BasicCredentials::from_headers(&twice).is_err());
        assert!(!format!("{:?}", parse("Basic QTpzZXNhbWU=").unwrap()).contains("sesame"));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(value in "[ -~]{0,80}") {
            let _ = parse(&value);
        }

        #[test]
        fn what_a_client_encodes_is_what_we_read(username in "[^:]{0,20}", password in ".{0,20}") {
            let header = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
            let credentials = parse(&header).unwrap();
            prop_assert_eq!(credentials.username, username);
            prop_assert_eq!(credentials.password, Secret::new(password));
        }
    }
}
