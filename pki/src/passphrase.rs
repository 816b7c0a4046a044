//! Passphrases that protect a private key in a file, and how much work one guess at them takes.

use std::{fmt, num::NonZeroU32};

use zeroize::Zeroizing;

/// What opens an encrypted key ([`crate::encrypted_key`]) or a PKCS #12 file ([`crate::pkcs12`]); wiped, never shown.
///
/// One set of rules serves both, so that who gave a passphrase may choose the form of the file later. The text is taken
/// as it is, without Unicode normalisation, which none of the standards has. How hard it must be to guess is for
/// policy: nothing here asks for more than one character.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// Why text is not taken for a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// In PKCS #12, no passphrase and an empty one are two things that programs take for each other.
    #[error("the passphrase is empty")]
    Empty,
    #[error("the passphrase is longer than {} characters", Passphrase::LONGEST)]
    TooLong,
    /// U+0000 would end the passphrase for programs in C; nobody can type the others.
    #[error("the passphrase has control characters, such as line breaks or tabs")]
    ControlCharacter,
    /// RFC 7292 §B.1 wants a BMPString, which has no code for them.
    #[error("the passphrase has characters beyond U+FFFF, such as emoji")]
    BeyondBmp,
}

/// How often a function is repeated to get a key from a passphrase: what each guess costs whoever has the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iterations(NonZeroU32);

/// A count that is too small to hinder anybody, or larger than clients compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the iteration count is not from {} to {}", Iterations::FEWEST, Iterations::MOST)]
pub struct IterationsError;

impl Passphrase {
    /// In characters.
    pub const LONGEST: usize = 256;

    /// Takes a copy; the caller wipes its own.
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.chars().count() > Self::LONGEST {
            return Err(PassphraseError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PassphraseError::ControlCharacter);
        }
        if !is_bmp(text) {
            return Err(PassphraseError::BeyondBmp);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether every program opens the file: Java's key stores take a PKCS #12 passphrase in ASCII only.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// UTF-8, as PBES2 takes it in PKCS #8 and in PKCS #12 (RFC 8018 §3).
    pub(crate) fn utf8(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The value of a BMPString and two octets of zero, as the MAC of PKCS #12 takes it (RFC 7292 §B.1).
    pub(crate) fn bmp_with_terminator(&self) -> Zeroizing<Vec<u8>> {
        // Room for everything at once, so that no copy is left behind: two octets for each of UTF-8, or fewer.
        let mut octets = Zeroizing::new(Vec::with_capacity(2 * self.0.len() + 2));
        octets.extend(utf16_be(&self.0));
        octets.extend([0, 0]);
        octets
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl Iterations {
    /// RFC 8018 §4.2 recommends at least this.
    pub const FEWEST: u32 = 1_000;
    /// Java's key stores refuse more.
    pub const MOST: u32 = 5_000_000;

    /// For an encrypted key: what OWASP recommends for PBKDF2 with HMAC-SHA-256.
    pub const ENCRYPTED_KEY: Self = Self::fixed(600_000);
    /// For PKCS #12: the most that .NET reads unless told otherwise (`Pkcs12LoaderLimits`: 300,000 each for the MAC
    /// and for each encrypted part, 1,000,000 together). A guess is tried on the MAC, where it takes half the work that
    /// it takes on the parts and a quarter of that for [`Iterations::ENCRYPTED_KEY`].
    pub const PKCS12: Self = Self::fixed(300_000);

    pub fn new(count: u32) -> Result<Self, IterationsError> {
        if !(Self::FEWEST..=Self::MOST).contains(&count) {
            return Err(IterationsError);
        }
        NonZeroU32::new(count).map(Self).ok_or(IterationsError)
    }

    pub const fn get(self) -> NonZeroU32 {
        self.0
    }

    const fn fixed(count: u32) -> Self {
        match NonZeroU32::new(count) {
            Some(count) => Self(count),
            None => Self(NonZeroU32::MIN),
        }
    }
}

/// Whether a BMPString can hold the text: the Basic Multilingual Plane has no more (X.680 §41.15).
pub(crate) fn is_bmp(text: &str) -> bool {
    text.chars().all(|character| u32::from(character) <= 0xffff)
}

/// The value of a BMPString, for text that [`is_bmp`].
pub(crate) fn utf16_be(text: &str) -> impl Iterator<Item = u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes)
}
