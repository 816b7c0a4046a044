//! Fulfils wants in memory, as the operator and standalone do for good.

use std::collections::BTreeMap;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _,
    },
};
use issuance::{identity::ResourceName, secret::Secret};
use pki::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    certificate::{Certificate, TbsCertificate, assemble},
    extension::{
        BasicConstraints, Extension, KeyUsage, KeyUsageBit, SubjectKeyIdentifier, TypedExtension as _,
    },
    key::PublicKey,
    name::{Attribute, AttributeType, Name},
    pem,
    serial::SerialNumber,
    time::Time,
};

use crate::{
    AuthorityCertificate, AuthorityIssuer, Observed, ObservedAuthority, Resolution, Resources, Want, resolve,
};

/// When every test takes place: 2027-01-15T08:00:00Z.
pub(super) const NOW: Time = Time::from_unix(1_800_000_000);

/// What is left when nothing more can be made.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) resolution: Resolution,
    pub(super) observed: Observed,
    /// What was made, in order.
    pub(super) made: Vec<ResourceName>,
}

/// Keys and certificates by name.
#[derive(Default)]
pub(super) struct Provisioner {
    keys: BTreeMap<ResourceName, Key>,
}

impl Provisioner {
    pub(super) fn settle(&mut self, resources: &Resources, server: Option<&ResourceName>) -> Settled {
        self.continue_from(Observed::nothing(NOW), resources, server)
    }

    pub(super) fn continue_from(
        &mut self,
        mut observed: Observed,
        resources: &Resources,
        server: Option<&ResourceName>,
    ) -> Settled {
        let mut made = Vec::new();
        for _ in 0..4 {
            let resolution = resolve(resources, &observed, server);
            if resolution.wants.is_empty() {
                return Settled { resolution, observed, made };
            }
            for want in &resolution.wants {
                let authority = self.fulfil(want, &observed);
                observed.authorities.insert(want.name().clone(), authority);
                made.push(want.name().clone());
            }
        }
        panic!("wants do not end: {made:?}");
    }

    fn fulfil(&mut self, want: &Want, observed: &Observed) -> ObservedAuthority {
        match want {
            Want::Authority(want) => {
                let key = self.keys.entry(want.name.clone()).or_insert_with(|| Key::generate(want.key));
                let public_key = key.public_key();
                let chain = self.sign(&want.name, &want.certificate, &public_key, observed);
                ObservedAuthority { certificate: chain[0].clone(), chain }
            }
            Want::ImportAuthority(want) => {
                self.keys.insert(want.name.clone(), Key::import(&want.key));
                ObservedAuthority { certificate: want.certificate.der().to_vec(), chain: want.chain.clone() }
            }
        }
    }

    fn sign(
        &self,
        name: &ResourceName,
        wanted: &AuthorityCertificate,
        public_key: &PublicKey,
        observed: &Observed,
    ) -> Vec<Vec<u8>> {
        let mut template = Template::authority(&wanted.subject_name, wanted.path_length);
        template
            .extensions
            .extend(wanted.name_constraints.as_ref().map(|constraints| constraints.to_extension()));
        template.not_before = observed.now;
        template.not_after = observed.now.plus_seconds(i64::try_from(wanted.validity.as_secs()).unwrap());
        match &wanted.issuer {
            AuthorityIssuer::SelfSigned => {
                vec![template.sign(public_key, &wanted.subject_name, &self.keys[name])]
            }
            AuthorityIssuer::Authority(parent) => {
                let above =
                    observed.authorities.get(parent).unwrap_or_else(|| panic!("{name} came before {parent}"));
                let issuer = Certificate::from_der(&above.certificate).unwrap();
                template.not_after = template.not_after.min(issuer.not_after());
                let own = template.sign(public_key, issuer.subject(), &self.keys[parent]);
                std::iter::once(own).chain(above.chain.iter().cloned()).collect()
            }
        }
    }
}

/// A key to sign with.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    algorithm: SignatureAlgorithm,
}

impl Key {
    /// RSA takes too long here, and nothing depends on it.
    pub(super) fn generate(algorithm: KeyAlgorithm) -> Self {
        let make = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
        match algorithm {
            KeyAlgorithm::EcdsaP256 => Self {
                pair: make(&ECDSA_P256_SHA256_ASN1_SIGNING),
                algorithm: SignatureAlgorithm::EcdsaSha256,
            },
            KeyAlgorithm::EcdsaP384 => Self {
                pair: make(&ECDSA_P384_SHA384_ASN1_SIGNING),
                algorithm: SignatureAlgorithm::EcdsaSha384,
            },
            other => panic!("no test makes a key of {other}"),
        }
    }

    /// A key on P-256, as all imported ones are here.
    fn import(pkcs8: &Secret) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.expose()).unwrap();
        Self { pair, algorithm: SignatureAlgorithm::EcdsaSha256 }
    }

    pub(super) fn public_key(&self) -> PublicKey {
        let spki: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        PublicKey::from_spki_der(spki.as_ref()).unwrap()
    }

    /// PKCS#8, PEM.
    pub(super) fn to_pem(&self) -> String {
        pem::encode("PRIVATE KEY", self.pair.to_pkcs8v1().unwrap().as_ref())
    }
}

/// A certificate to be signed; valid for ten years unless it is changed.
pub(super) struct Template {
    pub(super) subject: Name,
    pub(super) not_before: Time,
    pub(super) not_after: Time,
    pub(super) extensions: Vec<Extension>,
}

impl Template {
    pub(super) fn authority(subject: &Name, path_length: Option<u8>) -> Self {
        let usage: KeyUsage = [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign].into_iter().collect();
        let constraints = BasicConstraints { ca: true, path_length };
        Self {
            subject: subject.clone(),
            not_before: NOW,
            not_after: NOW.plus_seconds(10 * 365 * 86_400),
            extensions: vec![constraints.to_extension(), usage.to_extension()],
        }
    }

    /// DER.
    pub(super) fn sign(&self, public_key: &PublicKey, issuer: &Name, key: &Key) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        let of_key = SubjectKeyIdentifier(public_key.key_identifier().to_vec()).to_extension();
        if !extensions.iter().any(|extension| extension.oid == of_key.oid) {
            extensions.push(of_key);
        }
        let tbs = TbsCertificate {
            serial: &SerialNumber::from_random([7; 16]),
            signature_algorithm: key.algorithm,
            issuer,
            not_before: self.not_before,
            not_after: self.not_after,
            subject: &self.subject,
            public_key,
            extensions: &extensions,
        }
        .to_der();
        let signature = key.pair.sign(&SystemRandom::new(), &tbs).unwrap();
        assemble(&tbs, key.algorithm, signature.as_ref())
    }
}

pub(super) fn common_name(text: &str) -> Name {
    Name::from_attributes(&[Attribute { kind: AttributeType::CommonName, value: text.to_owned() }]).unwrap()
}
