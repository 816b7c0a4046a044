//! CertificateProfiles: the policy of each, presets filled in, every text parsed.
//!
//! | file | compiles |
//! | --- | --- |
//! | `names.rs` | subject and alternative names |
//! | `usages.rs` | keys, usages, basic constraints, extensions of the request |

mod names;
mod usages;

use crate::{
    authority::{self, Authority},
    resources::{Index, Judged, follow},
    status::{Problem, Problems},
};
use crds::{
    AuthenticationLevel, BasicConstraintsPolicy, CertificateProfileSpec, EffectivePolicy, Inclusion,
    KeyUsage, Kind, Presence, Preset, ProfileSigner, RequestedValidity, ValidityPolicy, conditions::Reason,
};
use issuance::{
    identity::{Protocol, ResourceName},
    policy::{self, Profile, ProtocolRule, Strength},
};

const AUTHORITY_REF: &str = "spec.authorityRef";

/// A profile that is accepted.
#[derive(Debug)]
pub(crate) struct ResolvedProfile<'a> {
    pub(crate) spec: &'a CertificateProfileSpec,
    pub(crate) policy: Profile,
    /// None: self-signed.
    pub(crate) authority: Option<ResourceName>,
}

impl ResolvedProfile<'_> {
    /// Whether a server can issue by it now; a self-signed profile needs no authority and belongs to no server.
    pub(crate) fn is_served_by(&self, server: &ResourceName, authorities: &Judged<Authority<'_>>) -> bool {
        let Some(name) = &self.authority else { return true };
        let authority = authorities.get(name).and_then(|authority| authority.as_ref().ok());
        authority.is_some_and(|authority| authority.server == *server && authority.has_certificate())
    }
}

pub(crate) fn judge_all<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
) -> Judged<ResolvedProfile<'a>> {
    let judge_one =
        |(name, found): (&ResourceName, &crate::resources::Indexed<'a, crds::CertificateProfile>)| {
            let judged = match &found.resource {
                Ok(resource) => judge(index, authorities, name, &resource.spec),
                Err(problem) => Err(Problems::unread(problem.clone())),
            };
            (name.clone(), judged)
        };
    index.profiles.iter().map(judge_one).collect()
}

fn judge<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
    name: &ResourceName,
    spec: &'a CertificateProfileSpec,
) -> Result<ResolvedProfile<'a>, Problems> {
    let mut problems = Problems::default();
    let authority = match spec.signer() {
        None => {
            problems.invalid("spec", "give exactly one of authorityRef and selfSigned");
            None
        }
        Some(ProfileSigner::SelfSigned) => None,
        Some(ProfileSigner::Authority(reference)) => {
            let target = ResourceName::new(reference.namespace_or(name.namespace()), &reference.name);
            let found = follow(authorities, Kind::CertificateAuthority, AUTHORITY_REF, &target)
                .and_then(|found| authority::check_grant(index, AUTHORITY_REF, found, name).map(|()| found));
            problems.note(found)
        }
    };
    let Some(effective) = spec.effective_policy() else {
        problems.invalid("spec", "give a preset, or else keyUsage and extendedKeyUsage");
        return Err(problems);
    };
    check_authority_profile(spec, &effective, &mut problems);
    let issuer = match authority {
        Some(authority) => policy::IssuerChoice::Authority(authority.name.clone()),
        None => policy::IssuerChoice::SelfSigned,
    };
    let policy = compile(name, spec, &effective, issuer, &mut problems);
    if let Some(authority) = authority {
        check_within(&policy, spec, effective.basic_constraints, authority, &mut problems);
    }
    problems.extend(index.check_size("spec", &policy));
    let authority = authority.map(|authority| authority.name.clone());
    problems.or(Some(ResolvedProfile { spec, policy, authority }))
}

/// The policy in the words of the core, every member said.
fn compile(
    name: &ResourceName,
    spec: &CertificateProfileSpec,
    effective: &EffectivePolicy,
    issuer: policy::IssuerChoice,
    problems: &mut Problems,
) -> Profile {
    Profile {
        name: name.clone(),
        issuer,
        subject: names::subject(&effective.subject, problems),
        subject_alt_names: names::subject_alt_names(&effective.subject_alt_names, problems),
        keys: usages::keys(&effective.keys, problems),
        key_usage: usages::key_usage(&effective.key_usage, problems),
        extended_key_usage: usages::extended_key_usage(&effective.extended_key_usage, problems),
        basic_constraints: usages::basic_constraints(effective.basic_constraints),
        validity: validity(&spec.validity, problems),
        request_extensions: usages::request_extensions(&spec.request_extensions, problems),
        approval: match spec.approval {
            crds::Approval::Automatic => policy::Approval::Automatic,
            crds::Approval::Manual => policy::Approval::Manual,
        },
        proof_of_control: proof_of_control(spec, effective, problems),
        protocols: protocols(spec, problems),
        certificate_policies: usages::oids("spec.certificatePolicies", &spec.certificate_policies, problems),
        publish: policy::PublishPolicy {
            crl_distribution_point: inclusion(spec.publish.crl_distribution_point),
            authority_info_access: inclusion(spec.publish.authority_info_access),
        },
    }
}

/// Nothing but the preset CA makes certificates that can sign others, and what that makes can.
fn check_authority_profile(
    spec: &CertificateProfileSpec,
    effective: &EffectivePolicy,
    problems: &mut Problems,
) {
    let is_authority = spec.preset == Some(Preset::Ca);
    let signs = |usage: &KeyUsage| matches!(usage, KeyUsage::KeyCertSign | KeyUsage::CrlSign);
    if is_authority && spec.self_signed.is_some() {
        problems.invalid(
            "spec.preset",
            "a self-signed profile cannot have the preset CA: make a CertificateAuthority",
        );
    }
    if !is_authority && effective.basic_constraints.is_some() {
        problems.invalid("spec.basicConstraints", "needs the preset CA");
    }
    if !is_authority && effective.key_usage.usages.iter().any(signs) {
        problems.invalid("spec.keyUsage", "keyCertSign and cRLSign need the preset CA");
    }
    // RFC 5280 §4.2.1.9: cA TRUE needs keyCertSign, in every certificate.
    let fixed = effective.key_usage.mode == crds::UsageMode::Fixed;
    if is_authority && !(fixed && effective.key_usage.usages.contains(&KeyUsage::KeyCertSign)) {
        problems.invalid("spec.keyUsage", "with the preset CA it must have mode Fixed and hold keyCertSign");
    }
}

/// What the authority, and those above it, do not allow.
fn check_within(
    policy: &Profile,
    spec: &CertificateProfileSpec,
    basic_constraints: Option<BasicConstraintsPolicy>,
    authority: &Authority<'_>,
    problems: &mut Problems,
) {
    let refuse = |path: &str, what: String| Problem::new(Reason::NotPermittedByParent, path, what);
    let bounds = &authority.bounds;
    match (basic_constraints, bounds.path_length) {
        (Some(_), Some(0)) => problems.push(refuse(
            AUTHORITY_REF,
            format!("the path length of {} lets no authority follow below it", authority.name),
        )),
        (Some(wished), Some(most)) if wished.path_length >= most => problems.push(refuse(
            "spec.basicConstraints.pathLength",
            format!(
                "{} is too long: {} lets {most} authorities follow below it",
                wished.path_length, authority.name
            ),
        )),
        (Some(_), Some(_) | None) | (None, _) => {}
    }
    // Where nothing is said, certificates are shortened to the authority's own validity.
    if spec.validity != ValidityPolicy::default() && policy.validity.maximum > bounds.lifetime {
        problems.push(refuse(
            "spec.validity",
            format!("{} is longer than {} is valid", spec.validity.effective_maximum(), authority.name),
        ));
    }
    for (path, name) in names::fixed(&policy.subject_alt_names) {
        if let Some(refused) = authority.refuse_name(&name) {
            problems.push(refuse(&path, refused));
        }
    }
}

fn validity(given: &ValidityPolicy, problems: &mut Problems) -> policy::ValidityPolicy {
    let maximum = given.effective_maximum();
    if given.default.seconds() == 0 {
        problems.invalid("spec.validity.default", "must be longer than zero");
    }
    if given.default > *maximum {
        problems.invalid(
            "spec.validity.maximum",
            format!("{maximum} is shorter than the default, {}", given.default),
        );
    }
    // Backdating shifts validity: what is backdated as far as it is valid is over when it is issued.
    if given.backdate >= given.default && given.default.seconds() > 0 {
        problems.invalid(
            "spec.validity.backdate",
            format!("{} is not shorter than the default, {}", given.backdate, given.default),
        );
    }
    policy::ValidityPolicy {
        default: given.default.as_std(),
        maximum: maximum.as_std(),
        backdate: given.backdate.as_std(),
        request: match given.request {
            RequestedValidity::Honour => policy::Request::Honour,
            RequestedValidity::Ignore => policy::Request::Ignore,
        },
    }
}

fn protocols(spec: &CertificateProfileSpec, problems: &mut Problems) -> Vec<ProtocolRule> {
    let listed = spec.protocols.iter().flatten();
    for (index, entry) in listed.clone().enumerate() {
        if listed.clone().take(index).any(|earlier| earlier.protocol == entry.protocol) {
            problems
                .invalid(format!("spec.protocols[{index}]"), format!("{} is there twice", entry.protocol));
        }
    }
    let rule = |given: &crds::Protocol| {
        let level = spec.minimum_authentication(*given)?;
        Some(ProtocolRule { protocol: protocol(*given), minimum_authentication: strength(level) })
    };
    crds::Protocol::ALL.iter().filter_map(rule).collect()
}

/// The same protocol in the words of the core.
pub(crate) fn protocol(protocol: crds::Protocol) -> Protocol {
    match protocol {
        crds::Protocol::Est => Protocol::Est,
        crds::Protocol::Scep => Protocol::Scep,
        crds::Protocol::Acme => Protocol::Acme,
        crds::Protocol::Cmp => Protocol::Cmp,
        crds::Protocol::Rest => Protocol::Rest,
        crds::Protocol::Waep => Protocol::Waep,
        crds::Protocol::Issuer => Protocol::Issuer,
    }
}

/// The same strength in the words of the core.
pub(crate) fn strength(level: AuthenticationLevel) -> Strength {
    match level {
        AuthenticationLevel::Anonymous => Strength::Anonymous,
        AuthenticationLevel::SharedSecret => Strength::SharedSecret,
        AuthenticationLevel::PersonalSecret => Strength::PersonalSecret,
        AuthenticationLevel::Certificate => Strength::Certificate,
        AuthenticationLevel::CertificateAndSecret => Strength::CertificateAndSecret,
    }
}

fn proof_of_control(
    spec: &CertificateProfileSpec,
    effective: &EffectivePolicy,
    problems: &mut Problems,
) -> policy::ProofOfControl {
    match spec.proof_of_control {
        crds::ProofOfControl::NotRequired => policy::ProofOfControl::NotRequired,
        crds::ProofOfControl::Required => {
            let names = &effective.subject_alt_names;
            let presences =
                [names.dns.as_ref().map(|dns| dns.presence), names.ip.as_ref().map(|ip| ip.presence)];
            if presences.contains(&Some(Presence::Fixed)) {
                problems.invalid(
                    "spec.proofOfControl",
                    "is Required, and DNS names or IP addresses are Fixed: those are proved by nobody",
                );
            }
            policy::ProofOfControl::Required
        }
    }
}

fn inclusion(given: Inclusion) -> policy::Inclusion {
    match given {
        Inclusion::Include => policy::Inclusion::Include,
        Inclusion::Omit => policy::Inclusion::Omit,
    }
}
