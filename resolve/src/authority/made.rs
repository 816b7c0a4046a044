//! Roots and intermediates: key and certificate are made here.

use crds::{
    CertificateAuthoritySpec, DistinguishedName, IntermediateSource, KeyAlgorithm, Kind, conditions::Reason,
};
use issuance::identity::ResourceName;
use pki::{
    algorithm,
    certificate::Certificate,
    extension::NameConstraints,
    key::KeyType,
    name::{Attribute, AttributeType, Name},
    time::Time,
};

use super::{Authority, Bounds, constraints, waiting};
use crate::{
    resources::{Index, Judged, follow},
    status::{IssuedState, Problem, Problems},
    want::{AuthorityCertificate, AuthorityIssuer, AuthorityWant, Want},
};

pub(super) const PARENT_REF: &str = "spec.intermediate.parentRef";

/// Longest path length that a resource may give.
const LONGEST_PATH: u8 = 10;

/// What is to be made.
pub(super) struct Made<'n, 'a> {
    parent: Option<&'n Authority<'a>>,
    key: algorithm::KeyAlgorithm,
    certificate: AuthorityCertificate,
}

/// The parent, where this authority may name it.
pub(super) fn parent<'n, 'a>(
    index: &Index<'a>,
    judged: &'n Judged<Authority<'a>>,
    name: &ResourceName,
    source: &IntermediateSource,
    server: Option<&ResourceName>,
) -> Result<&'n Authority<'a>, Problem> {
    let parent = &source.parent_ref;
    let parent = ResourceName::new(parent.namespace_or(name.namespace()), &parent.name);
    let parent = follow(judged, Kind::CertificateAuthority, PARENT_REF, &parent)?;
    check_grant(index, PARENT_REF, parent, name)?;
    match server {
        Some(server) if *server != parent.server => Err(Problem::new(
            Reason::ServerMismatch,
            PARENT_REF,
            format!(
                "{} belongs to the EnrollmentServer {}, this authority to {server}",
                parent.name, parent.server
            ),
        )),
        Some(_) | None => Ok(parent),
    }
}

/// Whether a resource may name this authority.
pub(crate) fn check_grant(
    index: &Index<'_>,
    path: &str,
    authority: &Authority<'_>,
    from: &ResourceName,
) -> Result<(), Problem> {
    permit(index, path, &authority.name, authority.spec, from)
}

/// The same for an authority that is not judged yet.
pub(super) fn permit(
    index: &Index<'_>,
    path: &str,
    authority: &ResourceName,
    spec: &CertificateAuthoritySpec,
    from: &ResourceName,
) -> Result<(), Problem> {
    if index.permits(spec.allowed_namespaces.as_ref(), authority.namespace(), from.namespace()) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::ReferenceNotPermitted,
        path,
        format!("{authority} does not list the namespace {} under allowedNamespaces", from.namespace()),
    ))
}

/// What is to be made, by the resource and its parent.
pub(super) fn plan<'n, 'a>(
    spec: &CertificateAuthoritySpec,
    parent: Option<&'n Authority<'a>>,
    problems: &mut Problems,
) -> Option<Made<'n, 'a>> {
    let subject = spec.subject.as_ref();
    if subject.is_none() {
        problems.invalid("spec.subject", "is needed, except with imported");
    }
    let subject = attributes(subject?);
    let subject_name = problems.note(encode(&subject));
    let name_constraints =
        spec.name_constraints.as_ref().and_then(|given| constraints::compile(given, problems));
    check_validity(spec, problems);
    if let Some(parent) = parent {
        check_below(spec, subject_name.as_ref(), name_constraints.as_ref(), parent, problems);
    }
    if spec.path_length.is_some_and(|length| length > LONGEST_PATH) {
        problems.invalid("spec.pathLength", format!("is more than {LONGEST_PATH}"));
    }
    let issuer = match parent {
        None => AuthorityIssuer::SelfSigned,
        Some(parent) => AuthorityIssuer::Authority(parent.name.clone()),
    };
    let certificate = AuthorityCertificate {
        issuer,
        subject,
        subject_name: subject_name?,
        validity: spec.effective_validity().as_std(),
        path_length: spec.path_length,
        name_constraints,
    };
    Some(Made { parent, key: key_algorithm(spec.key_algorithm().into()), certificate })
}

impl<'a> Made<'_, 'a> {
    pub(super) fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth.saturating_add(1))
    }

    /// What it will allow below.
    pub(super) fn bounds(&self) -> Bounds {
        let own = Bounds {
            path_length: self.certificate.path_length,
            lifetime: self.certificate.validity,
            constraints: self.certificate.name_constraints.clone().into_iter().collect(),
        };
        match self.parent {
            Some(parent) => own.under(&parent.bounds),
            None => own,
        }
    }

    /// What it allows below with the certificates it has. Of the two lifetimes the longer counts, so that nothing is refused
    /// because the certificate was cut short by its parent's; what is issued is cut short the same way.
    pub(super) fn bounds_of(&self, chain: &[Certificate]) -> Bounds {
        let bounds = Bounds::of_chain(chain);
        Bounds { lifetime: bounds.lifetime.max(self.bounds().lifetime), ..bounds }
    }

    /// The want, or why there is none although there is no certificate.
    pub(super) fn want(
        &self,
        name: &ResourceName,
        spec: &'a CertificateAuthoritySpec,
        now: Time,
    ) -> (Option<Want>, Option<IssuedState>) {
        if let Some(parent) = self.parent {
            let certificate = parent.chain.as_ref().and_then(|chain| chain.first());
            // A parent that can never sign again is not asked to; one that has no certificate gets it before.
            if certificate.is_some_and(|certificate| certificate.not_after() <= now) {
                let message = format!("its parent {} cannot sign: its certificate has ended", parent.name);
                return (None, Some(waiting(Reason::CertificatePending, message)));
            }
            if certificate.is_none() && parent.want.is_none() {
                let message = format!("its parent {} has no certificate", parent.name);
                return (None, Some(waiting(Reason::CertificatePending, message)));
            }
        }
        let pending = match self.parent {
            Some(parent) if !parent.is_issued() => waiting(
                Reason::CertificatePending,
                format!("its parent {} has no valid certificate yet", parent.name),
            ),
            Some(_) | None => waiting(Reason::KeyPending, "its key and its certificate are still to be made"),
        };
        let want = Want::Authority(AuthorityWant {
            name: name.clone(),
            key: self.key,
            certificate: self.certificate.clone(),
            deletion_policy: spec.deletion_policy,
        });
        (Some(want), Some(pending))
    }

    /// Whether the certificate that is there is still the one declared: what identifies an authority cannot change, and
    /// standalone has no API server that would refuse the change.
    pub(super) fn check_existing(&self, chain: &[Certificate]) -> Result<(), Problem> {
        let Some(own) = chain.first() else { return Ok(()) };
        let changed = |path: &str, what: String| {
            let what = format!("{what}; it cannot change: make a new authority");
            Err(Problem::new(Reason::ImmutableMember, path, what))
        };
        if !own.subject().attributes().eq(&self.certificate.subject) {
            return changed("spec.subject", format!("its certificate names \"{}\"", own.subject()));
        }
        if own.public_key().key_type() != KeyType::from(self.key) {
            return changed("spec.key.algorithm", format!("its key is {}", own.public_key().key_type()));
        }
        match self.parent {
            None if !own.is_self_signed() => {
                changed("spec.selfSigned", format!("its certificate is signed by \"{}\"", own.issuer()))
            }
            None => Ok(()),
            Some(parent) => match parent.chain.as_ref().and_then(|chain| chain.first()) {
                Some(signer) if own.verify_signed_by(signer.public_key()).is_err() => {
                    changed(PARENT_REF, format!("its certificate is signed by \"{}\"", own.issuer()))
                }
                Some(_) | None => Ok(()),
            },
        }
    }
}

fn check_validity(spec: &CertificateAuthoritySpec, problems: &mut Problems) {
    if spec.effective_validity().seconds() == 0 {
        problems.invalid("spec.validity", "must be longer than zero");
    }
}

/// What the parent, and those above it, do not allow.
fn check_below(
    spec: &CertificateAuthoritySpec,
    subject: Option<&Name>,
    own: Option<&NameConstraints>,
    parent: &Authority<'_>,
    problems: &mut Problems,
) {
    let refuse = |path: &str, what: String| Problem::new(Reason::NotPermittedByParent, path, what);
    match (parent.bounds.path_length, spec.path_length) {
        (Some(0), _) => problems.push(refuse(
            PARENT_REF,
            format!("the path length of {} lets no authority follow below it", parent.name),
        )),
        (Some(most), Some(wished)) if wished >= most => problems.push(refuse(
            "spec.pathLength",
            format!(
                "{wished} is too long: {} lets {most} authorities follow below it, this one included",
                parent.name
            ),
        )),
        (Some(_) | None, _) => {}
    }
    // Without a wish of its own an intermediate is shortened to its parent's validity.
    if let Some(validity) =
        spec.validity.as_ref().filter(|validity| validity.as_std() > parent.bounds.lifetime)
    {
        problems.push(refuse(
            "spec.validity",
            format!("{validity} is longer than its parent {} is valid", parent.name),
        ));
    }
    if let Some(refused) =
        subject.and_then(|subject| constraints::refuse_subject(&parent.bounds.constraints, subject))
    {
        problems.push(refuse("spec.subject", format!("{refused} of {} or above it", parent.name)));
    }
    for subtree in own.into_iter().flat_map(|own| &own.permitted) {
        if let Some(refused) = constraints::refuse_subtree(&parent.bounds.constraints, subtree) {
            problems.push(refuse(
                "spec.nameConstraints.permitted",
                format!("{refused} of {} or above it", parent.name),
            ));
        }
    }
}

fn encode(subject: &[Attribute]) -> Result<Name, Problem> {
    if subject.is_empty() {
        return Err(Problem::invalid("spec.subject", "give at least one attribute of the name"));
    }
    Name::from_attributes(subject).map_err(|error| Problem::invalid("spec.subject", error))
}

/// In the order that `DistinguishedName` documents: broadest first.
fn attributes(name: &DistinguishedName) -> Vec<Attribute> {
    let one =
        |kind, value: &Option<String>| value.iter().map(|value| (kind, value.clone())).collect::<Vec<_>>();
    let many = |kind, values: &[String]| values.iter().map(|value| (kind, value.clone())).collect::<Vec<_>>();
    [
        many(AttributeType::DomainComponent, &name.domain_components),
        one(AttributeType::Country, &name.country),
        one(AttributeType::StateOrProvince, &name.state_or_province),
        one(AttributeType::Locality, &name.locality),
        one(AttributeType::Street, &name.street),
        one(AttributeType::PostalCode, &name.postal_code),
        many(AttributeType::Organization, &name.organization),
        many(AttributeType::OrganizationalUnit, &name.organizational_unit),
        one(AttributeType::CommonName, &name.common_name),
        one(AttributeType::SerialNumber, &name.serial_number),
    ]
    .into_iter()
    .flatten()
    .map(|(kind, value)| Attribute { kind, value })
    .collect()
}

/// The same algorithm in the words of the core.
pub(crate) fn key_algorithm(algorithm: KeyAlgorithm) -> algorithm::KeyAlgorithm {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => algorithm::KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384 => algorithm::KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521 => algorithm::KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Rsa2048 => algorithm::KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072 => algorithm::KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096 => algorithm::KeyAlgorithm::Rsa4096,
        KeyAlgorithm::Ed25519 => algorithm::KeyAlgorithm::Ed25519,
    }
}
