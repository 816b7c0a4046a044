//! What a request of the cluster asks for: its certificate request, and what stands beside it. Both must say the same.

use std::{collections::BTreeSet, time::Duration};

use client::internal::IssueRequest;
use issuance::{
    Error,
    error::Result,
    request::{Asked, AskedValidity, Exactness},
};
use pki::{
    ObjectIdentifier,
    csr::UnverifiedCsr,
    extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsageBit},
};

/// Reads what is asked for; it is given exactly so, or refused.
///
/// # Errors
/// [`Error::Malformed`] where the certificate request cannot be read, is not signed by its key, or says something else than
/// what stands beside it.
pub(super) fn asked(request: &IssueRequest) -> Result<Asked> {
    let csr = UnverifiedCsr::from_der(&request.csr).and_then(UnverifiedCsr::verify);
    let csr = csr.map_err(|error| Error::Malformed(format!("the certificate request: {error}")))?;
    let mut asked = Asked::from_csr(&csr)?;
    asked.exactness = Exactness::Exact;
    asked.validity = AskedValidity {
        duration: request.duration_seconds.map(Duration::from_secs),
        ..AskedValidity::default()
    };
    asked.basic_constraints = basic_constraints(request.is_ca, asked.basic_constraints)?;
    let listed = Usages::read(&request.usages, request.is_ca)?;
    asked.key_usage = key_usage(listed.key, asked.key_usage)?;
    asked.extended_key_usage = extended_key_usage(listed.extended, asked.extended_key_usage)?;
    Ok(asked)
}

fn basic_constraints(is_ca: bool, csr: Option<BasicConstraints>) -> Result<Option<BasicConstraints>> {
    match (is_ca, csr) {
        (false, Some(BasicConstraints { ca: true, .. })) => Err(Error::Malformed(
            "isCA: no authority is asked for, and the certificate request asks for one".into(),
        )),
        (false, _) => Ok(None),
        (true, Some(found @ BasicConstraints { ca: true, .. })) => Ok(Some(found)),
        (true, _) => Ok(Some(BasicConstraints { ca: true, path_length: None })),
    }
}

/// None where neither says anything.
fn key_usage(listed: KeyUsage, csr: Option<KeyUsage>) -> Result<Option<KeyUsage>> {
    let csr = csr.filter(|usage| !usage.is_empty());
    match csr {
        Some(csr) if !listed.is_empty() && listed != csr => Err(Error::Malformed(format!(
            "usages: [{listed}] is asked for, and the certificate request asks for [{csr}]"
        ))),
        Some(csr) => Ok(Some(csr)),
        None => Ok(Some(listed).filter(|listed| !listed.is_empty())),
    }
}

fn extended_key_usage(
    listed: Vec<ObjectIdentifier>,
    csr: Option<ExtendedKeyUsage>,
) -> Result<Option<ExtendedKeyUsage>> {
    let set = |purposes: &[ObjectIdentifier]| purposes.iter().copied().collect::<BTreeSet<_>>();
    match csr {
        Some(csr) if !listed.is_empty() && set(&listed) != set(&csr.0) => Err(Error::Malformed(
            "usages: other purposes are asked for than by the certificate request (extKeyUsage)".into(),
        )),
        Some(csr) => Ok(Some(csr)),
        None if listed.is_empty() => Ok(None),
        None => Ok(Some(ExtendedKeyUsage(listed))),
    }
}

/// Usages in the words of Kubernetes, sorted into the two extensions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Usages {
    key: KeyUsage,
    extended: Vec<ObjectIdentifier>,
}

/// One word of Kubernetes.
enum Word {
    Key(KeyUsageBit),
    Extended(ObjectIdentifier),
}

impl Usages {
    fn read(words: &[String], is_ca: bool) -> Result<Self> {
        let mut usages = Self::default();
        for word in words {
            match self::word(word) {
                Some(Word::Key(bit)) => usages.key = usages.key.with(bit),
                Some(Word::Extended(purpose)) if usages.extended.contains(&purpose) => {}
                Some(Word::Extended(purpose)) => usages.extended.push(purpose),
                None => {
                    let shown: String = word.chars().take(64).collect();
                    return Err(Error::Malformed(format!("usages: {shown:?} is not known")));
                }
            }
        }
        // cert-manager puts it into the certificate request of an authority without listing it.
        if is_ca && !usages.key.is_empty() {
            usages.key = usages.key.with(KeyUsageBit::KeyCertSign);
        }
        Ok(usages)
    }
}

/// The words of `certificates.k8s.io/v1` and `cert-manager.io/v1`, which are the same.
fn word(word: &str) -> Option<Word> {
    const fn oid(text: &str) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(text)
    }
    Some(match word {
        "signing" | "digital signature" => Word::Key(KeyUsageBit::DigitalSignature),
        "content commitment" => Word::Key(KeyUsageBit::NonRepudiation),
        "key encipherment" => Word::Key(KeyUsageBit::KeyEncipherment),
        "key agreement" => Word::Key(KeyUsageBit::KeyAgreement),
        "data encipherment" => Word::Key(KeyUsageBit::DataEncipherment),
        "cert sign" => Word::Key(KeyUsageBit::KeyCertSign),
        "crl sign" => Word::Key(KeyUsageBit::CrlSign),
        "encipher only" => Word::Key(KeyUsageBit::EncipherOnly),
        "decipher only" => Word::Key(KeyUsageBit::DecipherOnly),
        "any" => Word::Extended(ExtendedKeyUsage::ANY),
        "server auth" => Word::Extended(ExtendedKeyUsage::SERVER_AUTH),
        "client auth" => Word::Extended(ExtendedKeyUsage::CLIENT_AUTH),
        "code signing" => Word::Extended(ExtendedKeyUsage::CODE_SIGNING),
        "email protection" | "s/mime" => Word::Extended(ExtendedKeyUsage::EMAIL_PROTECTION),
        "ipsec end system" => Word::Extended(oid("1.3.6.1.5.5.7.3.5")),
        "ipsec tunnel" => Word::Extended(oid("1.3.6.1.5.5.7.3.6")),
        "ipsec user" => Word::Extended(oid("1.3.6.1.5.5.7.3.7")),
        "timestamping" => Word::Extended(ExtendedKeyUsage::TIME_STAMPING),
        "ocsp signing" => Word::Extended(ExtendedKeyUsage::OCSP_SIGNING),
        "microsoft sgc" => Word::Extended(oid("1.3.6.1.4.1.311.10.3.3")),
        "netscape sgc" => Word::Extended(oid("2.16.840.1.113730.4.1")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str], is_ca: bool) -> Result<Usages> {
        Usages::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>(), is_ca)
    }

    fn bits(bits: &[KeyUsageBit]) -> KeyUsage {
        bits.iter().copied().collect()
    }

    #[test]
    fn words_are_sorted_into_their_extensions() {
        let found =
            read(&["signing", "data encipherment", "server auth", "client auth", "server auth"], false);
        let expected = Usages {
            key: bits(&[KeyUsageBit::DigitalSignature, KeyUsageBit::DataEncipherment]),
            extended: vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH],
        };
        assert_eq!(found.unwrap(), expected);
        assert_eq!(read(&[], true).unwrap(), Usages::default());
        let of_ca = read(&["digital signature"], true).unwrap();
        assert_eq!(of_ca.key, bits(&[KeyUsageBit::DigitalSignature, KeyUsageBit::KeyCertSign]));
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        for word in ["", "Server Auth", "server-auth", "everything"] {
            assert!(matches!(read(&[word], false), Err(Error::Malformed(_))), "{word}");
        }
    }

    #[test]
    fn what_stands_beside_the_certificate_request_must_say_the_same() {
        let (signature, agreement) =
            (bits(&[KeyUsageBit::DigitalSignature]), bits(&[KeyUsageBit::KeyAgreement]));
        assert_eq!(key_usage(KeyUsage::empty(), None).unwrap(), None);
        assert_eq!(key_usage(KeyUsage::empty(), Some(signature)).unwrap(), Some(signature));
        assert_eq!(key_usage(signature, None).unwrap(), Some(signature));
        assert_eq!(key_usage(signature, Some(KeyUsage::empty())).unwrap(), Some(signature));
        assert!(key_usage(signature, Some(agreement)).is_err());
        let server = || vec![ExtendedKeyUsage::SERVER_AUTH];
        let client = ExtendedKeyUsage(vec![ExtendedKeyUsage::CLIENT_AUTH]);
        assert_eq!(extended_key_usage(Vec::new(), Some(client.clone())).unwrap(), Some(client.clone()));
        assert_eq!(extended_key_usage(server(), None).unwrap(), Some(ExtendedKeyUsage(server())));
        assert!(extended_key_usage(server(), Some(client)).is_err());
    }

    #[test]
    fn an_authority_must_be_asked_for_beside_the_certificate_request() {
        let authority = BasicConstraints { ca: true, path_length: Some(1) };
        let leaf = BasicConstraints { ca: false, path_length: None };
        assert!(basic_constraints(false, Some(authority)).is_err());
        assert_eq!(basic_constraints(false, Some(leaf)).unwrap(), None);
        assert_eq!(basic_constraints(true, Some(authority)).unwrap(), Some(authority));
        for csr in [None, Some(leaf)] {
            let found = basic_constraints(true, csr).unwrap();
            assert_eq!(found, Some(BasicConstraints { ca: true, path_length: None }));
        }
    }
}
