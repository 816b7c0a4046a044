//! A small DER reader and writer (X.690 §8 and §10), shared by every format of this crate and by the protocols.
//!
//! The reader hands out slices of its input, so that bytes under a signature are never re-encoded. It accepts
//! definite, minimal lengths and low tag numbers only; it does not recurse, so depth is bounded by the caller's code.

use const_oid::ObjectIdentifier;

/// Universal tags, and the bits that make context-specific ones.
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    pub const NUMERIC_STRING: u8 = 0x12;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;

    /// The tag of a primitive `[n] IMPLICIT` member; `n` is at most 30.
    pub const fn context(n: u8) -> u8 {
        0x80 | (n & 0x1f)
    }

    /// The tag of a constructed `[n]` member: EXPLICIT, or IMPLICIT over a SEQUENCE or SET; `n` is at most 30.
    pub const fn context_constructed(n: u8) -> u8 {
        0xa0 | (n & 0x1f)
    }
}

/// Why bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    #[error("the encoding ends before its stated length")]
    Truncated,
    #[error("a length is indefinite, not minimal, or over four octets")]
    Length,
    #[error("a tag number is in the long form, which this format does not use")]
    HighTagNumber,
    #[error("tag 0x{expected:02x} was expected, 0x{found:02x} was found")]
    UnexpectedTag { expected: u8, found: u8 },
    #[error("there are bytes after the end of a value")]
    Trailing,
    #[error("a BOOLEAN is neither 0x00 nor 0xff")]
    Boolean,
    #[error("an INTEGER is empty, not minimal, or out of range")]
    Integer,
    #[error("an OBJECT IDENTIFIER is malformed or too long")]
    ObjectIdentifier,
    #[error("a BIT STRING has a wrong count of unused bits")]
    BitString,
    #[error("a NULL is not empty")]
    Null,
    #[error("a value that equals its DEFAULT is encoded")]
    EncodedDefault,
    #[error("values are nested too deeply")]
    Depth,
    #[error("a version number is not the one this format has")]
    Version,
    #[error("a list that must not be empty is empty")]
    EmptyList,
}

/// One tag-length-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub tag: u8,
    /// The contents, without the header.
    pub value: &'a [u8],
    /// Header and contents, as received.
    pub raw: &'a [u8],
}

/// A BIT STRING: `bytes` holds its bits from the most significant one on, `unused` (0 to 7) counts the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitString<'a> {
    pub unused: u8,
    pub bytes: &'a [u8],
}

/// Reads values one after the other from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// Runs `parse` over all of `bytes`, and refuses what it leaves over.
pub fn parse_all<'a, T, E: From<DerError>>(
    bytes: &'a [u8],
    parse: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
) -> Result<T, E> {
    let mut reader = Reader::new(bytes);
    let parsed = parse(&mut reader)?;
    reader.finish()?;
    Ok(parsed)
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    pub fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Refuses bytes that were not read.
    pub fn finish(&self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing) }
    }

    /// The next value, whatever its tag.
    pub fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let (tag, header_length, value_length) = read_header(self.rest)?;
        let end = header_length.checked_add(value_length).ok_or(DerError::Length)?;
        let (raw, rest) = self.rest.split_at_checked(end).ok_or(DerError::Truncated)?;
        let value = raw.get(header_length..).ok_or(DerError::Truncated)?;
        self.rest = rest;
        Ok(Tlv { tag, value, raw })
    }

    /// The next value, which must have this tag.
    pub fn tlv(&mut self, expected: u8) -> Result<Tlv<'a>, DerError> {
        match self.peek_tag() {
            Some(found) if found == expected => self.any(),
            Some(found) => Err(DerError::UnexpectedTag { expected, found }),
            None => Err(DerError::Truncated),
        }
    }

    /// The contents of the next value, which must have this tag.
    pub fn value(&mut self, expected: u8) -> Result<&'a [u8], DerError> {
        Ok(self.tlv(expected)?.value)
    }

    /// The next value where it has this tag; nothing is read where it has not.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.peek_tag() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Parses all of the contents of the next value, which must have this tag.
    pub fn nested<T, E: From<DerError>>(
        &mut self,
        expected: u8,
        parse: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        parse_all(self.value(expected)?, parse)
    }

    /// Like [`Reader::nested`] for a SEQUENCE.
    pub fn sequence<T, E: From<DerError>>(
        &mut self,
        parse: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.nested(tag::SEQUENCE, parse)
    }

    /// Like [`Reader::nested`], where the value may be absent.
    pub fn optional_nested<T, E: From<DerError>>(
        &mut self,
        tag: u8,
        parse: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.optional(tag)?.map(|tlv| parse_all(tlv.value, parse)).transpose()
    }

    pub fn boolean(&mut self) -> Result<bool, DerError> {
        boolean_value(self.value(tag::BOOLEAN)?)
    }

    /// `BOOLEAN DEFAULT FALSE`: DER encodes it only where it is true (X.690 §11.5).
    pub fn boolean_default_false(&mut self) -> Result<bool, DerError> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(tlv) if boolean_value(tlv.value)? => Ok(true),
            Some(_) => Err(DerError::EncodedDefault),
        }
    }

    /// A non-negative INTEGER as its big-endian magnitude without leading zeros; zero is empty.
    pub fn unsigned(&mut self) -> Result<&'a [u8], DerError> {
        unsigned_value(self.value(tag::INTEGER)?)
    }

    /// A non-negative INTEGER below 2^64.
    pub fn small_unsigned(&mut self) -> Result<u64, DerError> {
        small_unsigned_value(self.value(tag::INTEGER)?)
    }

    pub fn oid(&mut self) -> Result<ObjectIdentifier, DerError> {
        oid_value(self.value(tag::OBJECT_IDENTIFIER)?)
    }

    pub fn octet_string(&mut self) -> Result<&'a [u8], DerError> {
        self.value(tag::OCTET_STRING)
    }

    pub fn bit_string(&mut self) -> Result<BitString<'a>, DerError> {
        bit_string_value(self.value(tag::BIT_STRING)?)
    }

    /// A BIT STRING that holds whole octets, as keys and signatures do.
    pub fn bit_string_octets(&mut self) -> Result<&'a [u8], DerError> {
        let bits = self.bit_string()?;
        if bits.unused == 0 { Ok(bits.bytes) } else { Err(DerError::BitString) }
    }

    pub fn null(&mut self) -> Result<(), DerError> {
        if self.value(tag::NULL)?.is_empty() { Ok(()) } else { Err(DerError::Null) }
    }
}

/// Contents of a BOOLEAN (also under an implicit tag).
pub fn boolean_value(value: &[u8]) -> Result<bool, DerError> {
    match value {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(DerError::Boolean),
    }
}

/// Contents of an INTEGER that is not negative, as a magnitude without leading zeros; zero is empty.
pub fn unsigned_value(value: &[u8]) -> Result<&[u8], DerError> {
    match value {
        [] => Err(DerError::Integer),
        [0] => Ok(&[]),
        [0, magnitude @ ..] if magnitude.first().is_some_and(|first| first & 0x80 != 0) => Ok(magnitude),
        [0, ..] => Err(DerError::Integer),
        [first, ..] if first & 0x80 != 0 => Err(DerError::Integer),
        magnitude => Ok(magnitude),
    }
}

/// Contents of an INTEGER from 0 to 2^64 - 1 (also under an implicit tag).
pub fn small_unsigned_value(value: &[u8]) -> Result<u64, DerError> {
    let magnitude = unsigned_value(value)?;
    if magnitude.len() > 8 {
        return Err(DerError::Integer);
    }
    Ok(magnitude.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

/// Arcs of object identifiers are below this.
pub(crate) const OID_ARC_END: u32 = 1 << 28;

/// Contents of an OBJECT IDENTIFIER (also under an implicit tag). Every arc is below 2^28.
pub fn oid_value(value: &[u8]) -> Result<ObjectIdentifier, DerError> {
    let mut arc: Option<u32> = None;
    for byte in value {
        // X.690 §8.19.2: the leading octet of a subidentifier is never 0x80, or one identifier had two encodings.
        if arc.is_none() && *byte == 0x80 {
            return Err(DerError::ObjectIdentifier);
        }
        let before = arc.unwrap_or(0);
        // const-oid takes some larger arcs and not others, and shows two different ones as the same.
        if before >= OID_ARC_END >> 7 {
            return Err(DerError::ObjectIdentifier);
        }
        arc = (byte & 0x80 != 0).then_some((before << 7) | u32::from(byte & 0x7f));
    }
    if arc.is_some() {
        return Err(DerError::ObjectIdentifier);
    }
    ObjectIdentifier::from_bytes(value).map_err(|_| DerError::ObjectIdentifier)
}

/// Contents of a BIT STRING (also under an implicit tag).
pub fn bit_string_value(value: &[u8]) -> Result<BitString<'_>, DerError> {
    let (&unused, bytes) = value.split_first().ok_or(DerError::BitString)?;
    // X.690 §11.2.1: unused bits are zero in DER.
    let padding_is_zero = match bytes.last() {
        Some(last) => unused < 8 && last & ((1u8 << unused) - 1) == 0,
        None => unused == 0,
    };
    if padding_is_zero { Ok(BitString { unused, bytes }) } else { Err(DerError::BitString) }
}

/// Checks that `bytes` is exactly one value whose constructed parts are well formed down to `depth` levels.
pub fn check_well_formed(bytes: &[u8], depth: u8) -> Result<(), DerError> {
    parse_all(bytes, |reader| check_next(reader, depth))
}

fn check_next(reader: &mut Reader<'_>, depth: u8) -> Result<(), DerError> {
    let depth = depth.checked_sub(1).ok_or(DerError::Depth)?;
    let tlv = reader.any()?;
    if tlv.tag & 0x20 == 0 {
        return Ok(());
    }
    let mut inner = Reader::new(tlv.value);
    while !inner.is_empty() {
        check_next(&mut inner, depth)?;
    }
    Ok(())
}

/// Tag, length of the header and length of the contents.
fn read_header(bytes: &[u8]) -> Result<(u8, usize, usize), DerError> {
    let (&tag, rest) = bytes.split_first().ok_or(DerError::Truncated)?;
    if tag & 0x1f == 0x1f {
        return Err(DerError::HighTagNumber);
    }
    let (&first, rest) = rest.split_first().ok_or(DerError::Truncated)?;
    if first < 0x80 {
        return Ok((tag, 2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(DerError::Length);
    }
    let octets = rest.get(..count).ok_or(DerError::Truncated)?;
    let length = octets.iter().fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte));
    // X.690 §10.1: the shortest form that holds the length.
    if octets.first() == Some(&0) || length < 0x80 {
        return Err(DerError::Length);
    }
    Ok((tag, 2 + count, length))
}

/// Appends DER to one growing buffer; lengths are filled in when a nested value is complete.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

/// The bytes that `write` appends.
pub fn encode(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.into_vec()
}

impl Writer {
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes) }
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.buffer
    }

    /// Appends bytes that are DER already.
    pub fn raw(&mut self, der: &[u8]) {
        self.buffer.extend_from_slice(der);
    }

    /// A value with this tag and these contents.
    pub fn primitive(&mut self, tag: u8, value: &[u8]) {
        self.buffer.push(tag);
        self.length(value.len());
        self.buffer.extend_from_slice(value);
    }

    /// A value with this tag, whose contents `write` appends.
    pub fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        self.buffer.push(tag);
        let start = self.buffer.len();
        write(self);
        let length = self.buffer.len() - start;
        self.buffer.splice(start..start, length_octets(length));
    }

    pub fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, write);
    }

    /// A `SET OF`: its encoded elements are put in ascending order (X.690 §11.6).
    pub fn set_of(&mut self, mut elements: Vec<Vec<u8>>) {
        elements.sort();
        self.nested(tag::SET, |set| elements.iter().for_each(|element| set.raw(element)));
    }

    pub fn boolean(&mut self, value: bool) {
        self.primitive(tag::BOOLEAN, &[if value { 0xff } else { 0x00 }]);
    }

    pub fn null(&mut self) {
        self.primitive(tag::NULL, &[]);
    }

    pub fn oid(&mut self, oid: &ObjectIdentifier) {
        self.primitive(tag::OBJECT_IDENTIFIER, oid.as_bytes());
    }

    /// An INTEGER from a big-endian magnitude; leading zeros are dropped.
    pub fn unsigned(&mut self, magnitude: &[u8]) {
        self.unsigned_tagged(tag::INTEGER, magnitude);
    }

    pub fn small_unsigned(&mut self, value: u64) {
        self.unsigned(&value.to_be_bytes());
    }

    /// Like [`Writer::unsigned`] under another tag, such as ENUMERATED or an implicit one.
    pub fn unsigned_tagged(&mut self, tag: u8, magnitude: &[u8]) {
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        let digits = magnitude.get(zeros..).unwrap_or_default();
        let sign_octet = digits.first().is_none_or(|first| first & 0x80 != 0);
        self.buffer.push(tag);
        self.length(digits.len() + usize::from(sign_octet));
        if sign_octet {
            self.buffer.push(0);
        }
        self.buffer.extend_from_slice(digits);
    }

    pub fn octet_string(&mut self, value: &[u8]) {
        self.primitive(tag::OCTET_STRING, value);
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(&mut self, octets: &[u8]) {
        self.buffer.push(tag::BIT_STRING);
        self.length(octets.len() + 1);
        self.buffer.push(0);
        self.buffer.extend_from_slice(octets);
    }

    fn length(&mut self, length: usize) {
        self.buffer.extend(length_octets(length));
    }
}

/// X.690 §8.1.3: one octet below 128, otherwise the count of octets and the octets.
fn length_octets(length: usize) -> impl Iterator<Item = u8> {
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let (first, skipped) = if length < 0x80 {
        (length as u8, octets.len())
    } else {
        (0x80 | (octets.len() - zeros) as u8, zeros)
    };
    std::iter::once(first).chain(octets.into_iter().skip(skipped))
}
