//! Textual encodings (RFC 7468).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::{Zeroize, Zeroizing};

/// One `-----BEGIN label-----` block.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY`, ...
    pub label: String,
    /// What the Base64 text holds; DER for every label in use here, but not checked.
    pub der: Vec<u8>,
}

/// Why text is not PEM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("a PEM block has no end line")]
    NoEnd,
    #[error("a PEM block begins with one label and ends with another")]
    LabelMismatch,
    #[error("a PEM label is empty, too long, or holds characters other than printable ASCII")]
    Label,
    #[error("a PEM block has header lines, as encrypted keys of the old format do; these are not supported")]
    Headers,
    #[error("a PEM block is not Base64")]
    Base64,
    #[error("a PEM block is empty")]
    Empty,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const LINE: usize = 64;
const LONGEST_LABEL: usize = 64;

/// The block with lines of 64 characters, ending in a newline (RFC 7468 §2).
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = String::with_capacity(base64.len() + base64.len() / LINE + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Every block in `text`, in order; text between blocks is skipped, any line ending and line length is taken
/// (RFC 7468 §2: parsers should ignore whitespace and explanatory text). No block at all is an empty list.
pub fn decode_all(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = find(rest, BEGIN) {
        let after_begin = rest.get(begin + BEGIN.len()..).unwrap_or_default();
        let (label, body) = split_at_mark(after_begin, DASHES).ok_or(PemError::Label)?;
        let label = parse_label(label)?;
        let (base64, after_end) = split_at_mark(body, END).ok_or(PemError::NoEnd)?;
        let (end_label, tail) = split_at_mark(after_end, DASHES).ok_or(PemError::NoEnd)?;
        if end_label != label.as_bytes() {
            return Err(PemError::LabelMismatch);
        }
        blocks.push(Block { label, der: decode_body(base64)? });
        rest = tail;
    }
    Ok(blocks)
}

/// The contents are not shown: they may be a private key.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("label", &self.label).field("octets", &self.der.len()).finish()
    }
}

fn parse_label(label: &[u8]) -> Result<String, PemError> {
    let printable = label.iter().all(|byte| matches!(byte, b' '..=b'~'));
    if label.is_empty() || label.len() > LONGEST_LABEL || !printable {
        return Err(PemError::Label);
    }
    String::from_utf8(label.to_vec()).map_err(|_| PemError::Label)
}

fn decode_body(base64: &[u8]) -> Result<Vec<u8>, PemError> {
    if base64.contains(&b':') {
        return Err(PemError::Headers);
    }
    let mut compact = Vec::with_capacity(base64.len());
    compact.extend(base64.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let decoded = STANDARD.decode(&compact).map_err(|_| PemError::Base64);
    compact.zeroize();
    match decoded {
        Ok(der) if der.is_empty() => Err(PemError::Empty),
        decoded => decoded,
    }
}

/// What comes before and after the first `mark`.
fn split_at_mark<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = find(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}
