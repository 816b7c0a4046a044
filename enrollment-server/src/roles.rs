//! Certificates of the server itself, issued through the pipeline like everybody's, stored sealed, shared by replicas.

use std::{net::IpAddr, sync::Arc, time::Duration};

use issuance::{
    Engine, Error,
    authority::{Authority, IssuingProfile, Method},
    identity::{Protocol, ResourceName},
    policy::{
        Approval, BasicConstraintsPolicy, CommonNameUse, DnsRule, ExtendedKeyUsagePolicy, Inclusion, IpRule,
        IssuerChoice, KeyUsagePolicy, KeysPolicy, NameRule, Oid, Permission, Presence, Profile,
        ProofOfControl, ProtocolRule, PublishPolicy, Request, RequestExtensionsPolicy, Strength,
        SubjectAltNamesPolicy, SubjectPolicy, Unlisted, UsageMode, ValidityPolicy,
    },
    ports::Signer as _,
    request::{Asked, AskedKey, AskedValidity, Exactness},
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Expect, SealedRow, Write},
};
use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    extension::{KeyUsage, KeyUsageBit, eku_oid},
    general_name::GeneralName,
    name::{Attribute, AttributeType, Name},
    pem,
};
use signers::SoftwareSigner;

/// What a certificate of the server must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Which one, for the log and the audit trail.
    pub kind: RoleKind,
    /// The server it belongs to; with kind and authority it names the stored row.
    pub server: ResourceName,
    pub names: Vec<GeneralName>,
    pub validity: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleKind {
    /// The device listener.
    Tls,
    /// Signs the keys that the server makes for others (RFC 7030 §4.4.2).
    KeyGeneration,
}

impl RoleKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::KeyGeneration => "keyGeneration",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Tls => "enrollment server",
            Self::KeyGeneration => "key generation",
        }
    }

    fn extended_key_usages(self) -> Vec<Oid> {
        match self {
            Self::Tls => eku_oid("serverAuth").map(Oid).into_iter().collect(),
            // None: programs that verify signed messages want none or e-mail protection.
            Self::KeyGeneration => Vec::new(),
        }
    }
}

impl Role {
    pub fn tls(server: ResourceName, dns_names: &[String], addresses: &[IpAddr], validity: Duration) -> Self {
        let dns = dns_names.iter().map(|name| GeneralName::Dns(name.to_ascii_lowercase()));
        let names = dns.chain(addresses.iter().copied().map(GeneralName::Ip)).collect();
        Self { kind: RoleKind::Tls, server, names, validity }
    }

    pub fn key_generation(server: ResourceName) -> Self {
        let validity = Duration::from_secs(90 * 24 * 3600);
        Self { kind: RoleKind::KeyGeneration, server, names: Vec::new(), validity }
    }

    fn row_name(&self, authority: &Authority) -> String {
        match self.kind {
            // One listener, whichever authority signs for it now.
            RoleKind::Tls => format!("role/tls/{}", self.server),
            RoleKind::KeyGeneration => format!("role/keyGeneration/{}/{}", self.server, authority.key_id()),
        }
    }
}

/// A key and the chain that goes with it.
#[derive(Clone, Debug)]
pub struct RoleCertificate {
    /// PKCS #8.
    pub key: Secret,
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    pub leaf: Certificate,
}

impl RoleCertificate {
    /// Seconds until a third of its life is left.
    pub fn renew_in(&self, now: pki::time::Time) -> i64 {
        let life = self.leaf.not_after().unix() - self.leaf.not_before().unix();
        self.leaf.not_after().unix() - life / 3 - now.unix()
    }
}

/// A certificate of the server: the stored one while it is good and says what it must, else a new one. All replicas
/// share it; where two make one at the same time, the first stands.
///
/// # Errors
/// Where store or signer do not answer, or the stored key was sealed with a key that is not at hand.
pub async fn role_certificate(
    engine: &Engine,
    sealing: &SealingKeys,
    authority: &Arc<Authority>,
    role: &Role,
) -> Result<RoleCertificate, Error> {
    let name = role.row_name(authority);
    for _ in 0..2 {
        let stored = engine.store().sealed(&name).await?;
        if let Some(row) = &stored {
            let certificate = open(sealing, row)?;
            if certificate.renew_in(engine.clock().now()) > 0 && says(&certificate.leaf, role, authority) {
                return Ok(certificate);
            }
        }
        let version = stored.map_or(0, |row| row.version);
        let certificate = issue(engine, authority, role).await?;
        let row = SealedRow {
            name: name.clone(),
            version: version + 1,
            sealed: sealing.seal(&name, &certificate.key)?,
            public: certificate
                .chain
                .iter()
                .map(|der| pem::encode("CERTIFICATE", der))
                .collect::<String>()
                .into_bytes(),
        };
        let commit = Commit {
            expect: vec![Expect::SealedVersion { name: name.clone(), version }],
            writes: vec![Write::PutSealed(Box::new(row))],
            audit: Vec::new(),
        };
        if engine.store().commit(commit).await?.is_ok() {
            return Ok(certificate);
        }
    }
    Err(Error::Conflict("the server's own certificate is being renewed elsewhere".into()))
}

fn open(sealing: &SealingKeys, row: &SealedRow) -> Result<RoleCertificate, Error> {
    let unreadable = || Error::Internal(format!("the stored certificate {} cannot be read", row.name));
    let key = sealing.unseal(&row.name, &row.sealed)?;
    let blocks = pem::decode_all(&row.public).map_err(|_| unreadable())?;
    let chain: Vec<Vec<u8>> = blocks.into_iter().map(|block| block.der).collect();
    let leaf = Certificate::from_der(chain.first().ok_or_else(unreadable)?).map_err(|_| unreadable())?;
    Ok(RoleCertificate { key, chain, leaf })
}

/// Whether the certificate still is the one we would issue: names, authority and its key.
fn says(leaf: &Certificate, role: &Role, authority: &Authority) -> bool {
    let names = leaf.subject_alt_names().unwrap_or_default();
    let same_names = names.len() == role.names.len() && role.names.iter().all(|name| names.contains(name));
    same_names && leaf.verify_signed_by(authority.certificate.public_key()).is_ok()
}

async fn issue(engine: &Engine, authority: &Arc<Authority>, role: &Role) -> Result<RoleCertificate, Error> {
    let signer = SoftwareSigner::generate(KeyAlgorithm::EcdsaP256)
        .map_err(|error| Error::Internal(error.to_string()))?;
    let key = signer.to_pkcs8().map_err(|error| Error::Internal(error.to_string()))?;
    let method = Arc::new(Method {
        name: role.server.clone(),
        protocol: Protocol::Internal,
        minimum: Strength::CertificateAndSecret,
        profile: Arc::new(IssuingProfile {
            policy: policy(role, &authority.name),
            authority: Some(authority.clone()),
        }),
        retry_after: Duration::ZERO,
    });
    let common_name = format!("{} {}", role.server.name(), role.kind.title());
    let subject = Name::from_attributes(&[Attribute {
        kind: AttributeType::CommonName,
        value: common_name.chars().take(64).collect(),
    }])
    .map_err(|error| Error::Internal(error.to_string()))?;
    let asked = Asked {
        subject,
        subject_alt_names: role.names.clone(),
        encoded: signer.public_key().spki_der().to_vec(),
        key: AskedKey::Server(Arc::new(signer)),
        key_usage: None,
        extended_key_usage: None,
        basic_constraints: None,
        other_extensions: Vec::new(),
        validity: AskedValidity::default(),
        exactness: Exactness::default(),
    };
    let issued = engine.issue_role(method, role.kind.as_str(), asked).await?;
    let leaf =
        Certificate::from_der(&issued.certificate).map_err(|error| Error::Internal(error.to_string()))?;
    // Clients have the root; sending it would only cost bytes (RFC 8446 §4.4.2).
    let above = authority.chain.iter().take(authority.chain.len().saturating_sub(1)).cloned();
    Ok(RoleCertificate { key, chain: std::iter::once(issued.certificate).chain(above).collect(), leaf })
}

pub(crate) fn policy(role: &Role, authority: &ResourceName) -> Profile {
    let any = || NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: Vec::new() };
    Profile {
        name: ResourceName::new(
            role.server.namespace(),
            format!("{}-{}", role.server.name(), role.kind.as_str().to_ascii_lowercase()),
        ),
        issuer: IssuerChoice::Authority(authority.clone()),
        subject: SubjectPolicy {
            attributes: vec![issuance::policy::AttributeRule {
                kind: AttributeType::CommonName,
                presence: Presence::Required,
                values: Vec::new(),
                patterns: Vec::new(),
            }],
            others: Unlisted::Refuse,
            empty: Permission::Refused,
        },
        subject_alt_names: SubjectAltNamesPolicy {
            maximum: 100,
            others: Unlisted::Refuse,
            dns: Some(DnsRule { name: any(), wildcards: Permission::Allowed }),
            ip: Some(IpRule { presence: Presence::Allowed, values: Vec::new(), networks: Vec::new() }),
            uri: None,
            email: None,
            other_names: Vec::new(),
            common_name: CommonNameUse::Ignore,
        },
        keys: KeysPolicy { allowed: vec![KeyAlgorithm::EcdsaP256], reuse: Permission::Allowed },
        key_usage: KeyUsagePolicy {
            mode: UsageMode::Fixed,
            usages: std::iter::once(KeyUsageBit::DigitalSignature).collect::<KeyUsage>(),
        },
        extended_key_usage: ExtendedKeyUsagePolicy {
            mode: UsageMode::Fixed,
            usages: role.kind.extended_key_usages(),
        },
        basic_constraints: BasicConstraintsPolicy::Leaf,
        validity: ValidityPolicy {
            default: role.validity,
            maximum: role.validity,
            backdate: Duration::from_secs(300),
            request: Request::Ignore,
        },
        request_extensions: RequestExtensionsPolicy { copy: Vec::new(), others: Unlisted::Refuse },
        approval: Approval::Automatic,
        proof_of_control: ProofOfControl::NotRequired,
        protocols: vec![ProtocolRule {
            protocol: Protocol::Internal,
            minimum_authentication: Strength::CertificateAndSecret,
        }],
        certificate_policies: Vec::new(),
        publish: PublishPolicy {
            crl_distribution_point: Inclusion::Include,
            authority_info_access: Inclusion::Include,
        },
    }
}
