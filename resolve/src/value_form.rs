//! In which form the value of a credential is handed out, in a Secret or in files: the same for the operator and for standalone.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    Error,
    credential::{MAX_SECRET_LENGTH, MIN_HMAC_KEY_LENGTH, generate, generate_hmac_key},
    identity::Protocol,
    rest::AccessKey,
    secret::Secret,
};

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// As it is sent: `password`, beside `username` where there is one.
    Password,
    /// Octets, handed out as base64url without padding (RFC 4648 §5), as clients of ACME take them: `hmac`, beside `kid`.
    HmacKey,
    /// As it is sent: `accessKey`. It holds its own name.
    AccessKey,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFormError {
    #[error("is not base64url without padding (RFC 4648 §5)")]
    Encoding,
    #[error("must be a key of {MIN_HMAC_KEY_LENGTH} to {MAX_SECRET_LENGTH} octets; it has {0}")]
    Length(usize),
    #[error(
        "is no access key: chancery_, 16 hexadecimal digits in small letters, _, and 27 characters of base64url, \
         without a line break"
    )]
    AccessKey,
}

impl ValueForm {
    /// What credentials of this protocol have.
    pub const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Acme => Self::HmacKey,
            Protocol::Rest => Self::AccessKey,
            Protocol::Est
            | Protocol::Scep
            | Protocol::Cmp
            | Protocol::Waep
            | Protocol::Issuer
            | Protocol::Internal => Self::Password,
        }
    }

    /// What the name of whoever has the value lies under; none where the value says it.
    pub const fn name_key(self) -> Option<&'static str> {
        match self {
            Self::Password => Some("username"),
            Self::HmacKey => Some("kid"),
            Self::AccessKey => None,
        }
    }

    /// What the value lies under.
    pub const fn value_key(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::HmacKey => "hmac",
            Self::AccessKey => "accessKey",
        }
    }

    /// A new value that nobody can guess.
    ///
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn generate(self) -> Result<Secret, Error> {
        match self {
            Self::Password => generate(),
            Self::HmacKey => generate_hmac_key(),
            Self::AccessKey => Ok(AccessKey::generate()?.secret().clone()),
        }
    }

    /// A new value beside which the one before can be accepted: the row of an access key is found by its name.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn succeed(self, before: &Secret) -> Result<Secret, Error> {
        match (self, AccessKey::parse(before)) {
            (Self::AccessKey, Some(key)) => Ok(AccessKey::regenerate(key.name())?.secret().clone()),
            (Self::AccessKey, None) | (Self::Password | Self::HmacKey, _) => self.generate(),
        }
    }

    /// A value as it is handed out.
    pub fn write(self, value: &Secret) -> Secret {
        match self {
            Self::Password | Self::AccessKey => value.clone(),
            Self::HmacKey => Secret::new(URL_SAFE_NO_PAD.encode(value.expose())),
        }
    }

    /// What [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`ValueFormError`] for what is no key of the form. Any text is a password.
    pub fn read(self, text: &[u8]) -> Result<Secret, ValueFormError> {
        match self {
            Self::Password => Ok(Secret::new(text)),
            Self::HmacKey => {
                let key =
                    URL_SAFE_NO_PAD.decode(text).map(Secret::new).map_err(|_| ValueFormError::Encoding)?;
                match key.expose().len() {
                    MIN_HMAC_KEY_LENGTH..=MAX_SECRET_LENGTH => Ok(key),
                    length => Err(ValueFormError::Length(length)),
                }
            }
            Self::AccessKey => {
                let value = Secret::new(text);
                AccessKey::parse(&value).map(|_| value).ok_or(ValueFormError::AccessKey)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_read_as_it_was_written() {
        for form in [ValueForm::Password, ValueForm::HmacKey, ValueForm::AccessKey] {
            let value = form.generate().unwrap();
            assert_eq!(form.read(form.write(&value).expose()), Ok(value.clone()), "{form:?}");
            assert_ne!(form.generate().unwrap(), value, "{form:?}");
            let next = form.succeed(&value).unwrap();
            assert_eq!(form.read(form.write(&next).expose()), Ok(next.clone()), "{form:?}");
            assert_ne!(next, value, "{form:?}");
            let name = |value| AccessKey::parse(value).map(|key| key.name().to_owned());
            assert_eq!(name(&next), name(&value), "{form:?}");
        }
        let key = ValueForm::HmacKey.generate().unwrap();
        assert_eq!(key.expose().len(), 32);
        // As the clients of RFC 8555 §7.3.4 take it.
        assert_eq!(
            ValueForm::HmacKey.write(&Secret::new([0xfb; 32])).expose(),
            b"-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let read = |text: &str| ValueForm::HmacKey.read(text.as_bytes());
        let key = URL_SAFE_NO_PAD.encode([0xfb; 32]);
        assert!(read(&key).is_ok());
        for text in [
            format!("{key}="),
            format!("{key}\n"),
            format!(" {key}"),
            key.replace('-', "+"),
            key.replace('_', "/"),
            // The last letter has bits that are not zero.
            format!("{}t", &key[..key.len() - 1]),
            "not a key".to_owned(),
        ] {
            assert_eq!(read(&text), Err(ValueFormError::Encoding), "{text:?}");
        }
        for length in [0, 31, 1025] {
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(vec![1; length])), Err(ValueFormError::Length(length)));
        }
        assert!(read(&URL_SAFE_NO_PAD.encode(vec![1; 1024])).is_ok());

        let read = |text: &str| ValueForm::AccessKey.read(text.as_bytes());
        let key = "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0";
        assert!(read(key).is_ok());
        for text in ["", &key[9..], &key[..52], &format!("{key}\n"), &key.to_uppercase()] {
            assert_eq!(read(text), Err(ValueFormError::AccessKey), "{text:?}");
        }
    }
}
