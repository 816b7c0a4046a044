//! Whether text is a host name, a mailbox or a URI that may stand in a certificate.

use std::net::IpAddr;

/// A host name in the preferred syntax (RFC 1034 §3.5, RFC 1123 §2.1, as RFC 5280 §4.2.1.6 wants it): labels of at
/// most 63 letters, digits and inner hyphens, at most 253 characters, no trailing dot, no underscore, and no name
/// that reads as an IPv4 address. With `allow_wildcard`, the leftmost label may be `*` (RFC 9525 §6.3), where at
/// least two labels follow.
pub fn is_valid_dns_name(name: &str, allow_wildcard: bool) -> bool {
    let (host, least_labels) = match name.strip_prefix("*.") {
        Some(rest) if allow_wildcard => (rest, 2),
        Some(_) => return false,
        None => (name, 1),
    };
    name.len() <= 253
        && host.split('.').count() >= least_labels
        && host.split('.').all(is_valid_label)
        && !host.rsplit('.').next().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A mailbox `local@domain` (RFC 5321 §4.1.2) with a dot-string as local part and a host name as domain.
pub fn is_valid_email(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    local.len() <= 64
        && address.len() <= 254
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
        && is_valid_dns_name(domain, false)
}

/// An absolute URI (RFC 3986 §3) with a scheme and an authority whose host is a host name or an IP address
/// (RFC 5280 §4.2.1.6); or a URN (RFC 8141), which has no authority.
pub fn is_valid_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let scheme_ok = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_ok || uri.len() > 2048 || !is_percent_encoded(rest) {
        return false;
    }
    if scheme.eq_ignore_ascii_case("urn") {
        return is_valid_urn(rest);
    }
    let Some(after_slashes) = rest.strip_prefix("//") else { return false };
    let authority = after_slashes.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    is_valid_host_and_port(host_and_port)
}

fn is_valid_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 5322 §3.2.3 `atext`.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Only characters of RFC 3986 §2, every `%` followed by two hexadecimal digits.
fn is_percent_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
    parts.next().is_some_and(|first| first.bytes().all(allowed))
        && parts.all(|part| {
            let digits = part.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) && part.bytes().all(allowed)
        })
}

/// `nid:nss` (RFC 8141 §2): the identifier has 2 to 32 letters, digits and inner hyphens.
fn is_valid_urn(rest: &str) -> bool {
    rest.split_once(':').is_some_and(|(nid, nss)| {
        (2..=32).contains(&nid.len()) && is_valid_label(nid) && !nss.is_empty() && !nss.starts_with('/')
    })
}

fn is_valid_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((address, port)) => {
                let is_v6 = matches!(address.parse(), Ok(IpAddr::V6(_)));
                return is_v6 && (port.is_empty() || port.strip_prefix(':').is_some_and(is_valid_port));
            }
            None => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host_ok = is_valid_dns_name(host, false) || matches!(host.parse(), Ok(IpAddr::V4(_)));
    host_ok && port.is_none_or(is_valid_port)
}

/// RFC 3986 §3.2.3: digits, and here a number a port can have.
fn is_valid_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
