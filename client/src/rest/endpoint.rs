//! Where a server is.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};
use rustls_pki_types::ServerName;

/// What every path begins with.
pub(super) const ROOT: &str = "/api/v1";

/// The URL of a server: `https://host[:port]`, with what comes before [`ROOT`] if a proxy puts something there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As it stands in `Host`.
    authority: String,
    /// Without brackets.
    host: String,
    port: u16,
    /// Begins with a slash, or is empty; ends without one.
    prefix: String,
}

/// Why text is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("the URL of a server is https://host or https://host:port")]
    Form,
    #[error("the URL of a server begins with https: what is shown to it is a secret")]
    Scheme,
    #[error("the URL of a server holds no user and no password")]
    User,
    #[error("the host of the URL is neither a name nor an address")]
    Host,
}

impl Endpoint {
    /// As it stands in `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server's certificate must be for.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, EndpointError> {
        ServerName::try_from(self.host.clone()).map_err(|_| EndpointError::Host)
    }

    /// The path of a resource below [`ROOT`], which begins with a slash.
    pub(super) fn path(&self, resource: &str) -> String {
        format!("{}{ROOT}{resource}", self.prefix)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: Uri = text.trim().parse().map_err(|_| EndpointError::Form)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(if uri.scheme().is_some() { EndpointError::Scheme } else { EndpointError::Form });
        }
        let authority = uri.authority().ok_or(EndpointError::Form)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::User);
        }
        if uri.query().is_some() {
            return Err(EndpointError::Form);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(443);
        let path = uri.path().trim_end_matches('/');
        // Statuses of resources give the URL with what every path begins with.
        let prefix = path.strip_suffix(ROOT).unwrap_or(path).trim_end_matches('/').to_owned();
        let endpoint = Self { authority: authority.to_string(), host, port, prefix };
        endpoint.server_name()?;
        Ok(endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for (text, expected) in [
            ("", EndpointError::Form),
            ("enroll.example", EndpointError::Form),
            ("enroll.example:8443", EndpointError::Form),
            ("http://enroll.example", EndpointError::Scheme),
            ("ftp://enroll.example", EndpointError::Scheme),
            ("https://ada:secret@enroll.example", EndpointError::User),
            ("https://enroll.example/?method=a/b", EndpointError::Form),
            ("https://_.-./", EndpointError::Host),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_url_says_who_is_called_and_what_every_path_begins_with() {
        for (text, authority, host, port, path) in [
            ("https://enroll.example", "enroll.example", "enroll.example", 443, "/api/v1/orders"),
            ("https://enroll.example/", "enroll.example", "enroll.example", 443, "/api/v1/orders"),
            ("https://127.0.0.1:8443/api/v1", "127.0.0.1:8443", "127.0.0.1", 8443, "/api/v1/orders"),
            ("https://[::1]:8443/api/v1/", "[::1]:8443", "::1", 8443, "/api/v1/orders"),
            ("https://a.example/pki/", "a.example", "a.example", 443, "/pki/api/v1/orders"),
            ("https://a.example/pki/api/v1", "a.example", "a.example", 443, "/pki/api/v1/orders"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(
                (endpoint.authority(), endpoint.host(), endpoint.port()),
                (authority, host, port),
                "{text}"
            );
            assert_eq!(endpoint.path("/orders"), path, "{text}");
        }
    }
}
