//! CertificateAuthorities: where each comes from, what it may sign, and what is still to be made.
//!
//! | file | decides |
//! | --- | --- |
//! | `made.rs` | key and certificate of a root or an intermediate |
//! | `imported.rs` | key and certificates from a Secret |
//! | `identifiers.rs` | whose a key identifier is |
//! | `bounds.rs` | what an authority and those above it allow below |
//! | `constraints.rs` | name constraints (RFC 5280 §4.2.1.10) |
//! | `successor.rs` | which authority will take over |

mod bounds;
mod constraints;
mod identifiers;
mod imported;
mod made;
mod successor;

use std::collections::BTreeMap;

use crds::{
    AuthoritySource, CertificateAuthoritySpec,
    conditions::{ConditionStatus, Reason},
};
use issuance::identity::ResourceName;
use pki::{certificate::Certificate, general_name::GeneralName, time::Time};

use crate::{
    compiled::{CompiledAuthority, CompiledCrl},
    observed::Observed,
    resources::{Index, Judged},
    server,
    status::{IssuedState, Problem, Problems},
    want::Want,
};

use self::identifiers::Identifiers;
pub(crate) use self::{
    bounds::Bounds,
    constraints::network,
    imported::{read_chain, read_key},
    made::{check_grant, key_algorithm},
};

/// An authority that is accepted.
#[derive(Debug)]
pub(crate) struct Authority<'a> {
    pub(crate) name: ResourceName,
    pub(crate) spec: &'a CertificateAuthoritySpec,
    /// The server it belongs to.
    pub(crate) server: ResourceName,
    pub(crate) bounds: Bounds,
    pub(crate) issued: IssuedState,
    /// How many authorities here are above it.
    depth: usize,
    /// From its own certificate upwards, where it has one.
    chain: Option<Vec<Certificate>>,
    /// The authority that will take over, accepted or not.
    successor: Option<ResourceName>,
    want: Option<Want>,
}

impl Authority<'_> {
    /// Whether it has a certificate, valid now or not.
    pub(crate) fn has_certificate(&self) -> bool {
        self.chain.is_some()
    }

    /// Its own certificate, where it has one.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.chain.as_ref()?.first()
    }

    /// Whether it can sign now.
    pub(crate) fn is_issued(&self) -> bool {
        self.issued.status == ConditionStatus::True
    }

    /// Why certificates it signs cannot carry this name, where they cannot.
    pub(crate) fn refuse_name(&self, name: &GeneralName) -> Option<String> {
        let refused = constraints::refuse_name(&self.bounds.constraints, name)?;
        Some(format!("{refused} of {} or above it", self.name))
    }

    pub(crate) fn compiled(&self) -> Option<CompiledAuthority> {
        let chain = self.chain.as_ref()?;
        Some(CompiledAuthority {
            name: self.name.clone(),
            certificate: chain.first()?.der().to_vec(),
            chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            crl: CompiledCrl {
                validity: self.spec.crl.validity.as_std(),
                renew_before: self.spec.crl.renew_before.as_std(),
            },
            deletion_policy: self.spec.deletion_policy,
            successor: self.successor.clone(),
        })
    }
}

/// What is still to be made for the authorities of a server, parents first.
pub(crate) fn wants(authorities: &Judged<Authority<'_>>, server: &ResourceName) -> Vec<Want> {
    let mut wanting: Vec<&Authority<'_>> =
        authorities.values().flatten().filter(|authority| authority.server == *server).collect();
    wanting.sort_by_key(|authority| (authority.depth, &authority.name));
    wanting.into_iter().filter_map(|authority| authority.want.clone()).collect()
}

/// Judges every authority, parents before those that hang on them.
pub(crate) fn judge_all<'a>(index: &Index<'a>, observed: &Observed) -> Judged<Authority<'a>> {
    let identifiers = Identifiers::of(index, observed);
    let mut judged = BTreeMap::new();
    for name in index.authorities.keys() {
        let mut path: Vec<ResourceName> = Vec::new();
        let mut next = Some(name.clone());
        while let Some(current) = next.filter(|current| !judged.contains_key(current)) {
            if let Some(start) = path.iter().position(|seen| *seen == current) {
                refuse_cycle(&mut judged, path.get(start..).unwrap_or_default());
                break;
            }
            next = parent_of(index, &current);
            path.push(current);
        }
        // Those in a cycle are judged already.
        for current in path.into_iter().rev() {
            if let Some(found) = index.authorities.get(&current).filter(|_| !judged.contains_key(&current)) {
                let outcome = match &found.resource {
                    Ok(resource) => judge(index, observed, &identifiers, &judged, &current, &resource.spec),
                    Err(problem) => Err(Problems::unread(problem.clone())),
                };
                judged.insert(current, outcome);
            }
        }
    }
    judged
}

fn parent_of(index: &Index<'_>, name: &ResourceName) -> Option<ResourceName> {
    let spec = &index.authorities.get(name)?.resource.as_ref().ok()?.spec;
    let parent = &spec.intermediate.as_ref()?.parent_ref;
    Some(ResourceName::new(parent.namespace_or(name.namespace()), &parent.name))
}

fn refuse_cycle(judged: &mut Judged<Authority<'_>>, cycle: &[ResourceName]) {
    let names: Vec<String> = cycle.iter().chain(cycle.first()).map(ToString::to_string).collect();
    for name in cycle {
        let problem = Problem::new(
            Reason::ReferenceCycle,
            made::PARENT_REF,
            format!("the references lead back: {}", names.join(", ")),
        );
        judged.insert(name.clone(), Err(problem.into()));
    }
}

/// What is to be there, by the resource alone.
enum Plan<'n, 'a> {
    Made(Box<made::Made<'n, 'a>>),
    Imported(Box<imported::Imported>),
}

fn judge<'a>(
    index: &Index<'a>,
    observed: &Observed,
    identifiers: &Identifiers,
    judged: &Judged<Authority<'a>>,
    name: &ResourceName,
    spec: &'a CertificateAuthoritySpec,
) -> Result<Authority<'a>, Problems> {
    let mut problems = Problems::default();
    let server = problems.note(server::home_of_authority(index, name, spec.server_ref.as_ref()));
    check_crl(spec, &mut problems);
    let successor = problems.note(successor::judge(index, name, spec, server.as_ref())).flatten();
    let made = |plan| Plan::Made(Box::new(plan));
    let plan = match spec.source() {
        None => {
            problems.invalid("spec", "give exactly one of selfSigned, intermediate and imported");
            None
        }
        Some(AuthoritySource::Imported(source)) => imported::plan(index, name, spec, source, &mut problems)
            .map(|plan| Plan::Imported(Box::new(plan))),
        Some(AuthoritySource::SelfSigned) => made::plan(spec, None, &mut problems).map(made),
        Some(AuthoritySource::Intermediate(source)) => {
            let parent = problems.note(made::parent(index, judged, name, source, server.as_ref()));
            // What is wrong with the resource itself is said also where its parent is not there.
            let plan = made::plan(spec, parent, &mut problems);
            parent.and(plan).map(made)
        }
    };
    let (server, plan) = problems.or(server.zip(plan))?;
    let chain = existing(observed, name)?;
    if let Some(chain) = &chain {
        match &plan {
            Plan::Made(plan) => plan.check_existing(chain)?,
            Plan::Imported(plan) => plan.check_existing(chain)?,
        }
    }
    if let Plan::Imported(plan) = &plan {
        // Of those that are made here the identifier is the hash of the key.
        let existing = chain.iter().flat_map(|chain| chain.first());
        std::iter::once(plan.certificate()).chain(existing).try_for_each(|own| identifiers.check(own))?;
    }
    Ok(Authority { successor, ..assemble(name, spec, server, plan, chain, observed.now) })
}

fn assemble<'a>(
    name: &ResourceName,
    spec: &'a CertificateAuthoritySpec,
    server: ResourceName,
    plan: Plan<'_, 'a>,
    chain: Option<Vec<Certificate>>,
    now: Time,
) -> Authority<'a> {
    let own = chain.as_ref().and_then(|chain| chain.first());
    let (depth, bounds, want, pending) = match plan {
        Plan::Made(plan) => {
            let (want, pending) = match own {
                Some(_) => (None, None),
                None => plan.want(name, spec, now),
            };
            let bounds = chain.as_ref().map_or_else(|| plan.bounds(), |chain| plan.bounds_of(chain));
            (plan.depth(), bounds, want, pending)
        }
        Plan::Imported(plan) => {
            let bounds = chain.as_deref().map_or_else(|| plan.bounds(), Bounds::of_chain);
            (0, bounds, plan.want(name, spec, own), Some(imported::pending()))
        }
    };
    let issued = match (own, pending) {
        (Some(own), _) => state(own, now),
        (None, Some(pending)) => pending,
        (None, None) => waiting(Reason::CertificatePending, "its certificate is still to be signed"),
    };
    Authority { name: name.clone(), spec, server, bounds, issued, depth, chain, successor: None, want }
}

/// How far a certificate that is there is.
fn state(certificate: &Certificate, now: Time) -> IssuedState {
    let (from, until) = (certificate.not_before(), certificate.not_after());
    if now < from {
        waiting(Reason::NotYetValid, format!("its certificate is valid from {from}"))
    } else if until <= now {
        waiting(Reason::Expired, format!("its certificate ended at {until}"))
    } else {
        IssuedState { status: ConditionStatus::True, reason: Reason::Issued, message: String::new() }
    }
}

fn waiting(reason: Reason, message: impl Into<String>) -> IssuedState {
    IssuedState { status: ConditionStatus::False, reason, message: message.into() }
}

/// The certificates that exist, parsed.
fn existing(observed: &Observed, name: &ResourceName) -> Result<Option<Vec<Certificate>>, Problem> {
    let Some(found) = observed.authorities.get(name) else { return Ok(None) };
    let above = found.chain.iter().filter(|certificate| **certificate != found.certificate);
    let parsed: Result<Vec<Certificate>, _> =
        std::iter::once(&found.certificate).chain(above).map(|der| Certificate::from_der(der)).collect();
    parsed.map(Some).map_err(|error| {
        Problem::invalid(
            "status.chain",
            format!("the certificates kept for it cannot be read: {}", causes(&error)),
        )
    })
}

fn check_crl(spec: &CertificateAuthoritySpec, problems: &mut Problems) {
    let crl = &spec.crl;
    for (path, duration) in
        [("spec.crl.validity", &crl.validity), ("spec.crl.renewBefore", &crl.renew_before)]
    {
        if duration.seconds() == 0 {
            problems.invalid(path, "must be longer than zero");
        }
    }
    if crl.renew_before >= crl.validity {
        problems.invalid(
            "spec.crl.renewBefore",
            format!("{} is not shorter than the validity of a list, {}", crl.renew_before, crl.validity),
        );
    }
}

/// An error with what caused it, in one sentence.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
