//! Object identifiers as text. On the wire they are read by [`crate::der_io::oid_value`].
//!
//! The type is const-oid's. Its own parser of text (0.9) takes `1..2`, wraps an arc over 2^32 around, encodes
//! arcs such as 128 wrongly, and makes identifiers that panic when they are shown; [`parse`] does none of this.
//! The constants of this crate do go through it, and a test checks them.

use const_oid::ObjectIdentifier;

/// The text is no object identifier that can be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object identifier has three or more numbers below 268435456 with dots between them")]
pub struct OidError;

/// Reads a dotted object identifier such as `1.3.6.1.5.5.7.3.1`. Not handled, although X.660 allows them: arcs of
/// 2^28 and more, a second arc over 39 below 2, fewer than three octets and more than 39 in the encoding.
pub fn parse(text: &str) -> Result<ObjectIdentifier, OidError> {
    let mut arcs = text.split('.').map(parse_arc);
    let (Some(first), Some(second)) = (arcs.next(), arcs.next()) else { return Err(OidError) };
    let (first, second) = (first?, second?);
    if first > 2 || second > 39 {
        return Err(OidError);
    }
    // X.690 §8.19.4: the first two arcs share one subidentifier.
    let mut contents = vec![(first * 40 + second) as u8];
    for arc in arcs {
        push_base_128(&mut contents, arc?);
    }
    crate::der_io::oid_value(&contents).map_err(|_| OidError)
}

fn parse_arc(text: &str) -> Result<u32, OidError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    let arc = if is_number && !has_leading_zero { text.parse().ok() } else { None };
    arc.filter(|arc| *arc < crate::der_io::OID_ARC_END).ok_or(OidError)
}

/// X.690 §8.19.2: seven bits an octet, the top bit set on all but the last.
fn push_base_128(contents: &mut Vec<u8>, arc: u32) {
    for shift in [21, 14, 7] {
        if arc >> shift != 0 {
            contents.push(0x80 | (arc >> shift) as u8);
        }
    }
    contents.push((arc & 0x7f) as u8);
}
