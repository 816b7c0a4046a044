//! How the owner of an account is reached (RFC 8555 §7.3).

use pki::general_name::is_valid_email;

use super::PayloadError;
use crate::protocols::acme::wire::json::quoted;

/// Contacts of one account.
const MAX_CONTACTS: usize = 10;

/// Only `mailto:` with one address and no header fields (RFC 6068), which is all that RFC 8555 §7.3 makes servers take.
///
/// # Errors
/// [`PayloadError::UnsupportedContact`], [`PayloadError::InvalidContact`].
pub(super) fn check(contacts: &[&str]) -> Result<Vec<String>, PayloadError> {
    if contacts.len() > MAX_CONTACTS {
        return Err(PayloadError::TooManyContacts);
    }
    contacts.iter().map(|contact| check_one(contact)).collect()
}

fn check_one(contact: &str) -> Result<String, PayloadError> {
    let Some((scheme, address)) = contact.split_once(':') else {
        return Err(PayloadError::InvalidContact(quoted(contact)));
    };
    if !scheme.eq_ignore_ascii_case("mailto") {
        return Err(PayloadError::UnsupportedContact(quoted(contact)));
    }
    // Header fields follow `?`, further addresses `,`; percent signs would hide both.
    let plain = !address.contains(['?', ',', '%']);
    if plain && is_valid_email(address) {
        Ok(contact.to_owned())
    } else {
        Err(PayloadError::InvalidContact(quoted(contact)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_that_mail_could_not_reach_is_refused() {
        let refused = [
            "",
            "admin@example.org",
            "mailto:",
            "mailto:admin",
            "mailto:@example.org",
            "mailto:admin@",
            "mailto:a@example.org,b@example.org",
            "mailto:a@example.org?subject=hi",
            "mailto:a%2cb@example.org",
            "mailto:a b@example.org",
            "mailto:Admin <a@example.org>",
            "mailto:a@example.org\r\nBcc: b@example.org",
            "mailto:a@[192.0.2.1]",
            "mailto:a@ex_ample.org",
        ];
        for contact in refused {
            assert!(matches!(check(&[contact]), Err(PayloadError::InvalidContact(_))), "{contact:?}");
        }
        for contact in ["tel:+12025550100", "https://example.org/contact", ":", "mail:a@example.org"] {
            assert!(matches!(check(&[contact]), Err(PayloadError::UnsupportedContact(_))), "{contact:?}");
        }
        let many = ["mailto:a@example.org"; 11];
        assert!(matches!(check(&many), Err(PayloadError::TooManyContacts)));
    }

    #[test]
    fn contacts_stay_as_they_came() {
        let contacts = ["mailto:Admin+acme@Example.org", "MAILTO:b@example.org"];
        assert_eq!(check(&contacts).unwrap(), contacts);
        assert_eq!(check(&[]).unwrap(), Vec::<String>::new());
    }
}
