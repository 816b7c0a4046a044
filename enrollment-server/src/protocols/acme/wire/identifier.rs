//! Identifiers as text: names (RFC 8555 §7.1.4, RFC 5890 §2.3.2.1) and addresses (RFC 8738 §3).

use std::net::IpAddr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use pki::general_name::is_valid_dns_name;
use serde::Serialize;

use super::problem::ProblemType;

/// An identifier as JSON has it, also one of a type that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentifierObject {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

/// A name that a certificate may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsIdentifier {
    /// In lower case, without `*.`.
    pub name: String,
    /// Whether it stood behind `*.`.
    pub wildcard: bool,
}

/// Why an identifier is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    #[error("identifiers are of the type dns or ip")]
    UnsupportedType,
    #[error("a name is not longer than 253 characters, nor its labels than 63")]
    TooLong,
    #[error("a name is written in ASCII: internationalised labels as A-labels (xn--…, RFC 5890)")]
    NotAscii,
    #[error("a name has no dot at its end")]
    TrailingDot,
    #[error("only the whole leftmost label may be *, and at least two labels follow it")]
    Wildcard,
    #[error("an IP address is an identifier of the type ip (RFC 8738)")]
    IpAddress,
    #[error(
        "a name consists of labels of letters, digits and inner hyphens, and its last label is no number"
    )]
    Syntax,
    #[error("a label with hyphens in third and fourth place is no valid A-label (RFC 5890 §2.3.2.1)")]
    ALabel,
    #[error("an address is written as RFC 8738 §3 says: four decimal numbers, or as in RFC 5952")]
    Address,
}

impl IdentifierError {
    /// What the client is told.
    pub fn problem_type(self) -> ProblemType {
        match self {
            Self::UnsupportedType => ProblemType::UnsupportedIdentifier,
            Self::TooLong
            | Self::NotAscii
            | Self::TrailingDot
            | Self::Wildcard
            | Self::IpAddress
            | Self::Syntax
            | Self::ALabel
            | Self::Address => ProblemType::Malformed,
        }
    }
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl IdentifierObject {
    pub fn dns(name: impl Into<String>) -> Self {
        Self { kind: "dns".into(), value: name.into() }
    }

    pub fn ip(address: IpAddr) -> Self {
        Self { kind: "ip".into(), value: address.to_string() }
    }
}

/// A name, in any case; names are compared without (RFC 4343), so it comes out in lower case.
///
/// # Errors
/// See [`IdentifierError`].
pub fn dns(value: &str) -> Result<DnsIdentifier, IdentifierError> {
    if !value.is_ascii() {
        return Err(IdentifierError::NotAscii);
    }
    if value.parse::<IpAddr>().is_ok() {
        return Err(IdentifierError::IpAddress);
    }
    if value.len() > MAX_NAME || value.split('.').any(|label| label.len() > MAX_LABEL) {
        return Err(IdentifierError::TooLong);
    }
    if value.ends_with('.') {
        return Err(IdentifierError::TrailingDot);
    }
    let (name, wildcard) = value.strip_prefix("*.").map_or((value, false), |base| (base, true));
    if name.contains('*') || (wildcard && !name.contains('.')) {
        return Err(IdentifierError::Wildcard);
    }
    if !is_valid_dns_name(name, false) {
        return Err(IdentifierError::Syntax);
    }
    let name = name.to_ascii_lowercase();
    if name.split('.').any(is_false_a_label) {
        return Err(IdentifierError::ALabel);
    }
    Ok(DnsIdentifier { name, wildcard })
}

/// An address in its one form.
///
/// # Errors
/// [`IdentifierError::Address`].
pub fn ip(value: &str) -> Result<IpAddr, IdentifierError> {
    let address: IpAddr = value.parse().map_err(|_| IdentifierError::Address)?;
    // An IPv4 address in the clothes of IPv6 would be judged by rules for the wrong family.
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if mapped || address.to_string() != value { Err(IdentifierError::Address) } else { Ok(address) }
}

/// RFC 5890 §2.3.1: with `--` in third and fourth place, a label is an A-label that encodes something, or reserved.
fn is_false_a_label(label: &str) -> bool {
    if label.get(2..4) != Some("--") {
        return false;
    }
    let encoded =
        Uts46::new().to_ascii(label.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify);
    !encoded.is_ok_and(|encoded| encoded == label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_certificate_should_hold_is_refused() {
        let long_label = format!("{}.example.org", "a".repeat(64));
        let long_name = format!("{}.org", vec!["a".repeat(50); 5].join("."));
        let refused: &[(&str, IdentifierError)] = &[
            ("", IdentifierError::Syntax),
            (".", IdentifierError::TrailingDot),
            ("example.org.", IdentifierError::TrailingDot),
            (".example.org", IdentifierError::Syntax),
            ("a..example.org", IdentifierError::Syntax),
            ("-a.example.org", IdentifierError::Syntax),
            ("a-.example.org", IdentifierError::Syntax),
            ("a_b.example.org", IdentifierError::Syntax),
            ("a b.example.org", IdentifierError::Syntax),
            ("example.org:443", IdentifierError::Syntax),
            ("https://example.org", IdentifierError::Syntax),
            ("user@example.org", IdentifierError::Syntax),
            ("example.org\0", IdentifierError::Syntax),
            ("example.org\n", IdentifierError::Syntax),
            ("example.123", IdentifierError::Syntax),
            ("1.2.3", IdentifierError::Syntax),
            ("0x7f.1", IdentifierError::Syntax),
            ("192.0.2.1", IdentifierError::IpAddress),
            ("2001:db8::1", IdentifierError::IpAddress),
            ("::ffff:192.0.2.1", IdentifierError::IpAddress),
            ("[2001:db8::1]", IdentifierError::Syntax),
            ("*", IdentifierError::Wildcard),
            ("*.", IdentifierError::TrailingDot),
            ("*.org", IdentifierError::Wildcard),
            ("*.*.example.org", IdentifierError::Wildcard),
            ("a.*.example.org", IdentifierError::Wildcard),
            ("a*.example.org", IdentifierError::Wildcard),
            ("**.example.org", IdentifierError::Wildcard),
            ("*example.org", IdentifierError::Wildcard),
            ("*.192.0.2.1", IdentifierError::Syntax),
            ("bücher.example", IdentifierError::NotAscii),
            ("ex\u{ad}ample.org", IdentifierError::NotAscii),
            ("example\u{3002}org", IdentifierError::NotAscii),
            ("ab--cd.example.org", IdentifierError::ALabel),
            ("xn--.example.org", IdentifierError::Syntax),
            ("xn--a.example.org", IdentifierError::ALabel),
            ("xn--example-.org", IdentifierError::Syntax),
            ("xn--bcher-2pa.example", IdentifierError::ALabel),
            ("*.xn--0.example.org", IdentifierError::ALabel),
            (&long_label, IdentifierError::TooLong),
            (&long_name, IdentifierError::TooLong),
        ];
        for (value, error) in refused {
            assert_eq!(dns(value), Err(*error), "{value:?}");
        }
    }

    #[test]
    fn a_name_comes_out_in_lower_case_and_apart_from_its_wildcard() {
        let longest = format!("{}.{}", vec!["a".repeat(63); 3].join("."), "b".repeat(61));
        let accepted = [
            ("example.org", "example.org", false),
            ("WWW.Example.ORG", "www.example.org", false),
            ("*.Example.org", "example.org", true),
            ("*.a.b.example.org", "a.b.example.org", true),
            ("localhost", "localhost", false),
            ("a-b--c.example.org", "a-b--c.example.org", false),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", false),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example", false),
            ("*.xn--bcher-kva.example", "xn--bcher-kva.example", true),
            ("1.example.org", "1.example.org", false),
            (&longest, &longest, false),
        ];
        for (value, name, wildcard) in accepted {
            assert_eq!(dns(value), Ok(DnsIdentifier { name: name.into(), wildcard }), "{value}");
        }
    }

    #[test]
    fn an_address_is_written_in_one_way_only() {
        let refused = [
            "",
            "192.0.2.01",
            "192.0.2",
            "192.0.2.256",
            " 192.0.2.1",
            "192.0.2.1/32",
            "192.0.2.1:80",
            "0xc0.0.2.1",
            "3221225985",
            "2001:DB8::1",
            "2001:db8:0:0:0:0:0:1",
            "2001:0db8::1",
            "2001:db8::0:1",
            "[2001:db8::1]",
            "2001:db8::1%eth0",
            "::ffff:192.0.2.1",
            "::ffff:c000:201",
            "example.org",
        ];
        for value in refused {
            assert_eq!(ip(value), Err(IdentifierError::Address), "{value:?}");
        }
        for value in ["192.0.2.1", "2001:db8::1", "::1", "2001:db8:0:1:1:1:1:1", "fe80::1"] {
            assert_eq!(ip(value).unwrap().to_string(), value);
        }
    }
}
