//! The form of access keys: `chancery_` ‖ 16 hexadecimal digits ‖ `_` ‖ 27 characters. The digits are the key's name, by
//! which its row is found; the whole is the secret.

use crate::{credential::generate, error::Error, ports::random, secret::Secret};

const PREFIX: &[u8] = b"chancery_";
const NAME_LENGTH: usize = 16;
const SECRET_LENGTH: usize = 27;

/// One access key, of the right form; whether it is anybody's is another question.
#[derive(Clone, Debug)]
pub struct AccessKey {
    name: String,
    whole: Secret,
}

impl AccessKey {
    /// A new one: 64 random bits that name it, and 160 that nobody guesses.
    ///
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn generate() -> Result<Self, Error> {
        Self::named(hex::encode(random::<{ NAME_LENGTH / 2 }>()?))
    }

    /// Another one with the name of one that there was, in place of it.
    ///
    /// # Errors
    /// [`Error::Internal`] where the random generator fails, and where no key has such a name.
    pub fn regenerate(name: &str) -> Result<Self, Error> {
        let key = Self::named(name.to_owned())?;
        Self::parse(&key.whole).ok_or_else(|| Error::Internal("no access key has such a name".into()))
    }

    fn named(name: String) -> Result<Self, Error> {
        let secret = generate()?;
        let whole = [PREFIX, name.as_bytes(), b"_", secret.expose()].concat();
        Ok(Self { name, whole: Secret::new(whole) })
    }

    /// None where it has another form.
    pub fn parse(presented: &Secret) -> Option<Self> {
        let rest = presented.expose().strip_prefix(PREFIX)?;
        let (name, secret) = rest.split_at_checked(NAME_LENGTH)?;
        let secret = secret.strip_prefix(b"_")?;
        let of_form = name.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
            && secret.len() == SECRET_LENGTH
            && secret.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        let name = of_form.then(|| String::from_utf8_lossy(name).into_owned())?;
        Some(Self { name, whole: presented.clone() })
    }

    /// The user name of its row; unique among all credentials of REST. No secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole: what is handed out, presented and hashed
    /// ([`Verifier::of_generated`](crate::credential::Verifier::of_generated)).
    pub fn secret(&self) -> &Secret {
        &self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_form_and_a_name_of_its_own() {
        let (one, other) = (AccessKey::generate().unwrap(), AccessKey::generate().unwrap());
        assert_ne!(one.name(), other.name());
        assert_eq!(one.secret().expose().len(), 53);
        let parsed = AccessKey::parse(one.secret()).unwrap();
        assert_eq!((parsed.name(), parsed.secret()), (one.name(), one.secret()));
        assert!(!format!("{one:?}").contains(std::str::from_utf8(&one.secret().expose()[26..]).unwrap()));
    }

    #[test]
    fn a_regenerated_key_has_the_name_and_another_secret() {
        let key = AccessKey::generate().unwrap();
        let again = AccessKey::regenerate(key.name()).unwrap();
        assert_eq!(again.name(), key.name());
        assert_ne!(again.secret(), key.secret());
        assert_eq!(AccessKey::parse(again.secret()).unwrap().name(), key.name());
        for name in ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef_"] {
            assert!(AccessKey::regenerate(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_has_another_form_is_no_key() {
        let good = "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0";
        assert_eq!(AccessKey::parse(&Secret::new(good)).unwrap().name(), "0123456789abcdef");
        for bad in [
            "",
            "chancery_",
            "chancery_0123456789abcdef",
            "chancery_0123456789abcdef_",
            "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_",
            "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_00",
            "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_ ",
            "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_\u{e9}",
            "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_\0",
            "chancery_0123456789ABCDEF_abcdefghijklmnopqrstuvwx-_0",
            "chancery_0123456789abcdeg_abcdefghijklmnopqrstuvwx-_0",
            "chancery_0123456789abcdef-abcdefghijklmnopqrstuvwx-_0",
            "Chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0",
            " chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0",
            "chancery_\u{e9}123456789abcde_abcdefghijklmnopqrstuvwx-_0",
        ] {
            assert!(AccessKey::parse(&Secret::new(bad)).is_none(), "{bad:?}");
        }
    }
}
