//! An operator in memory: resolves, makes what is wanted, signs manifests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::internal::server_dns_name;
use crds::{Kind, Resource};
use issuance::{
    authority::CrlSettings,
    ceremony::{AuthorityTemplate, sign_intermediate, sign_root},
    credential::generate,
    identity::ResourceName,
    ports::{Clock as _, Signer, SystemClock},
    publication::sign_crl,
    secret::Secret,
};
use pki::{algorithm::KeyAlgorithm, crl::RevokedEntry};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use resolve::{
    AuthorityIssuer, AuthorityWant, CompiledInternal, CredentialValue, Observed, ObservedAuthority,
    Resolution, Resources, Want,
    parts::{Manifest, Part, PartContent, WrittenManifest, split},
    resolve,
};
use signers::SoftwareSigner;

use super::super::{
    candidate::ManifestKey,
    watch::{Found, SignedManifest},
};
use crate::configuration::runtime_authority;

/// A root that signs elsewhere, an authority below it, a method with two credentials, and two issuers.
pub(super) const RESOURCES: &str = r#"
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentServer
metadata: {name: enroll, namespace: enrollment}
spec:
  publicBaseUrl: http://pki.acme.com
  tls: {authorityRef: {name: issuing}, dnsNames: [enroll.acme.com]}
  labels: [{label: devices, methodRef: {name: devices}}]
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: root, namespace: enrollment}
spec: {selfSigned: {}, subject: {commonName: Acme Root}, validity: 20y}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: issuing, namespace: enrollment}
spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Acme Issuing}, validity: 5y}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: device, namespace: enrollment}
spec: {authorityRef: {name: issuing}, preset: Device, protocols: [{protocol: est}]}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: devices, namespace: enrollment}
spec: {profileRef: {name: device}, est: {}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: factory, namespace: enrollment}
spec: {methodRef: {name: devices}, est: {username: factory}, owner: {group: factory}}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: service, namespace: enrollment}
spec:
  authorityRef: {name: issuing}
  preset: TLSServer
  keyUsage: {mode: FromRequest, usages: [digitalSignature, keyEncipherment]}
  extendedKeyUsage: {mode: FromRequest, usages: [serverAuth, clientAuth]}
  validity: {default: 90d, maximum: 1y}
  protocols: [{protocol: issuer}]
  grants: {issue: {namespaces: [shop]}}
---
apiVersion: chancery.dev/v1alpha1
kind: ChanceryClusterIssuer
metadata: {name: services}
spec: {profileRef: {namespace: enrollment, name: service}}
---
apiVersion: chancery.dev/v1alpha1
kind: ChanceryIssuer
metadata: {name: own, namespace: shop}
spec: {profileRef: {namespace: enrollment, name: service}}
"#;

/// The server that the operator looks after.
pub(super) fn server() -> ResourceName {
    ResourceName::new("enrollment", "enroll")
}

pub(super) struct FakeOperator {
    pub(super) documents: BTreeMap<(Kind, String), serde_json::Value>,
    pub(super) generation: u64,
    pub(super) internal: InternalAuthority,
    observed: Observed,
    keys: BTreeMap<ResourceName, Arc<SoftwareSigner>>,
    pub(super) values: BTreeMap<ResourceName, Secret>,
    manifest_key: EcdsaKeyPair,
}

/// What an operator writes.
#[derive(Clone)]
pub(super) struct Publication {
    pub(super) manifest: Manifest,
    pub(super) signed: SignedManifest,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
}

impl Publication {
    pub(super) fn found(&self) -> Found {
        let parts = self.secrets.iter().map(|(name, json)| (name.clone(), json.clone().into()));
        Found { manifest: Some(self.signed.clone()), parts: parts.collect() }
    }
}

impl FakeOperator {
    pub(super) fn new() -> Self {
        let mut operator = Self {
            documents: BTreeMap::new(),
            generation: 0,
            internal: InternalAuthority::new(),
            observed: Observed::nothing(SystemClock.now()),
            keys: BTreeMap::new(),
            values: BTreeMap::new(),
            manifest_key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
        };
        for document in RESOURCES.split("\n---\n") {
            operator.apply(document);
        }
        operator
    }

    /// As `kubectl apply`.
    pub(super) fn apply(&mut self, yaml: &str) {
        let document: serde_json::Value = serde_yaml_ng::from_str(yaml).unwrap();
        let kind: Kind = document["kind"].as_str().unwrap().parse().unwrap();
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        self.documents.insert((kind, name), document);
    }

    pub(super) fn delete(&mut self, kind: Kind, name: &str) {
        self.documents.remove(&(kind, name.to_owned())).unwrap();
    }

    /// A member of a document's spec.
    pub(super) fn change(&mut self, kind: Kind, name: &str, member: &str, value: serde_json::Value) {
        let document = self.documents.get_mut(&(kind, name.to_owned())).unwrap();
        document["spec"][member] = value;
    }

    /// What the server is to believe.
    pub(super) fn key(&self) -> ManifestKey {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(self.manifest_key.public_key()).unwrap();
        STANDARD.encode(spki.as_ref()).parse().unwrap()
    }

    /// What follows from the documents, with the next generation.
    pub(super) async fn publish(&mut self) -> Publication {
        let parts = self.parts().await;
        self.publish_parts(&parts)
    }

    pub(super) async fn parts(&mut self) -> Vec<Part> {
        let resources = self.resources();
        let resolution = self.settle(&resources).await;
        let mut compiled = resolution.compiled.clone().unwrap();
        compiled.server.internal = Some(self.internal.of_server(&server()));
        for credential in &mut compiled.credentials {
            if let CredentialValue::Generate { .. } = credential.value {
                let value = self.values.entry(credential.name.clone()).or_insert_with(|| generate().unwrap());
                credential.value = CredentialValue::Generated(value.clone());
            }
        }
        let keys = self.keys.iter().map(|(name, key)| (name.clone(), key.to_pkcs8().unwrap())).collect();
        let root = ResourceName::new("enrollment", "root");
        let lists = BTreeMap::from([(root.clone(), self.list(&root, Vec::new()).await)]);
        split(&resolution, &compiled, &keys, &lists)
    }

    pub(super) fn publish_parts(&mut self, parts: &[Part]) -> Publication {
        self.generation += 1;
        let (manifest, secrets) = Manifest::of(server(), self.generation, parts).unwrap();
        let credentials = self.documents.keys().filter(|(kind, _)| *kind == Kind::EnrollmentCredential);
        let declared = credentials.map(|(_, name)| ResourceName::new("enrollment", name));
        self.sign(manifest.declaring(declared), secrets)
    }

    /// With so many credentials more that have a resource and are not served.
    pub(super) fn publish_declaring(&mut self, parts: &[Part], count: usize) -> Publication {
        self.generation += 1;
        let (manifest, secrets) = Manifest::of(server(), self.generation, parts).unwrap();
        let declared = (0..count).map(|number| ResourceName::new("enrollment", format!("c{number}")));
        self.sign(manifest.declaring(declared), secrets)
    }

    pub(super) fn sign(&self, manifest: Manifest, mut secrets: BTreeMap<String, Vec<u8>>) -> Publication {
        let WrittenManifest { json, lists } = manifest.write().unwrap();
        secrets.extend(lists);
        let signature = self.manifest_key.sign(&SystemRandom::new(), &json).unwrap().as_ref().to_vec();
        let signed = SignedManifest { json: json.into(), signature: signature.into() };
        Publication { manifest, signed, secrets }
    }

    /// A revocation list of an authority whose key stays with the operator.
    pub(super) async fn list(&self, name: &ResourceName, entries: Vec<RevokedEntry>) -> Vec<u8> {
        let authority = self.authority(name);
        sign_crl(&authority, 7, entries, SystemClock.now()).await.unwrap().der
    }

    pub(super) fn authority(&self, name: &ResourceName) -> issuance::authority::Authority {
        let day = Duration::from_secs(24 * 3600);
        let crl = CrlSettings { validity: 7 * day, renew_before: day };
        let signer: Arc<dyn Signer> = self.keys[name].clone();
        runtime_authority(name, &self.observed.authorities[name].chain, signer, crl, None).unwrap()
    }

    fn resources(&self) -> Resources {
        let read = |((kind, _), document): (&(Kind, String), &serde_json::Value)| {
            Resource::from_value(*kind, document.clone()).unwrap()
        };
        let mut resources: Resources = self.documents.iter().map(read).collect();
        resources.cluster = Some(resolve::Cluster::default());
        resources
    }

    async fn settle(&mut self, resources: &Resources) -> Resolution {
        loop {
            let resolution = resolve(resources, &self.observed, Some(&server()));
            if resolution.wants.is_empty() {
                return resolution;
            }
            for want in &resolution.wants {
                let Want::Authority(want) = want else { panic!("nothing is imported") };
                let chain = self.make(want).await;
                let made = ObservedAuthority { certificate: chain[0].clone(), chain };
                self.observed.authorities.insert(want.name.clone(), made);
            }
        }
    }

    async fn make(&mut self, want: &AuthorityWant) -> Vec<Vec<u8>> {
        let key = Arc::new(SoftwareSigner::generate(KeyAlgorithm::EcdsaP256).unwrap());
        self.keys.insert(want.name.clone(), key.clone());
        let template = AuthorityTemplate {
            name: want.name.clone(),
            subject: want.certificate.subject_name.clone(),
            validity: want.certificate.validity,
            path_length: want.certificate.path_length,
            name_constraints: want.certificate.name_constraints.clone(),
        };
        let now = SystemClock.now();
        match &want.certificate.issuer {
            AuthorityIssuer::SelfSigned => {
                let signer: Arc<dyn Signer> = key;
                vec![sign_root(&template, &signer, now).await.unwrap()]
            }
            AuthorityIssuer::Authority(parent) => {
                let above = self.authority(parent);
                let own = sign_intermediate(&template, key.public_key(), &above, now).await.unwrap();
                std::iter::once(own).chain(above.chain).collect()
            }
        }
    }
}

/// The part of this kind and name.
pub(super) fn part_mut<'a>(parts: &'a mut [Part], name: &str) -> &'a mut Part {
    parts.iter_mut().find(|part| part.name().name() == name).unwrap()
}

/// The content of an authority's part.
pub(super) fn authority_mut(part: &mut Part) -> &mut resolve::CompiledAuthority {
    match &mut part.content {
        PartContent::Authority(authority) => authority,
        other => panic!("{other:?}"),
    }
}

/// The authority that operator and servers trust for each other.
pub(super) struct InternalAuthority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) der: Vec<u8>,
}

impl InternalAuthority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// A certificate and its key, changed before it is signed.
    pub(super) fn issue(
        &self,
        name: &str,
        purpose: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().to_vec(), key.serialize_der())
    }

    fn of_server(&self, server: &ResourceName) -> CompiledInternal {
        let name = server_dns_name(server.namespace(), server.name());
        let (certificate, key) = self.issue(&name, ExtendedKeyUsagePurpose::ServerAuth, |_| {});
        CompiledInternal { chain: vec![certificate], key: Secret::new(key), authority: self.der.clone() }
    }
}
