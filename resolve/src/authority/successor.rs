//! The authority that will take over from another.
//!
//! It is judged by what is declared and not by what became of it: an authority does not stop signing because its successor is
//! not ready. Until it is, it is left out of what is compiled.

use crds::{CertificateAuthoritySpec, Kind, ObjectRef, conditions::Reason};
use issuance::identity::ResourceName;

use super::made::permit;
use crate::{resources::Index, server, status::Problem};

const SUCCESSOR_REF: &str = "spec.successorRef";

/// The successor that an authority names, where it may name it.
pub(super) fn judge(
    index: &Index<'_>,
    name: &ResourceName,
    spec: &CertificateAuthoritySpec,
    server: Option<&ResourceName>,
) -> Result<Option<ResourceName>, Problem> {
    let Some(reference) = &spec.successor_ref else { return Ok(None) };
    let target = target(name, reference);
    if target == *name {
        return Err(Problem::invalid(SUCCESSOR_REF, "names the authority itself"));
    }
    let successor = match index.authorities.get(&target).map(|found| &found.resource) {
        Some(Ok(successor)) => &successor.spec,
        Some(Err(_)) => {
            let what = format!("the {} {target} is not accepted", Kind::CertificateAuthority);
            return Err(Problem::new(Reason::ReferenceNotAccepted, SUCCESSOR_REF, what));
        }
        None => {
            let what = format!("there is no {} {target}", Kind::CertificateAuthority);
            return Err(Problem::new(Reason::ReferenceNotFound, SUCCESSOR_REF, what));
        }
    };
    permit(index, SUCCESSOR_REF, &target, successor, name)?;
    check_server(index, &target, successor, server)?;
    check_loop(index, name, &target)?;
    Ok(Some(target))
}

/// A peer gets both chains from one server.
fn check_server(
    index: &Index<'_>,
    target: &ResourceName,
    successor: &CertificateAuthoritySpec,
    own: Option<&ResourceName>,
) -> Result<(), Problem> {
    // Where one of the two servers is not decided, that is said elsewhere.
    let theirs = server::home_of_authority(index, target, successor.server_ref.as_ref());
    match (own, theirs) {
        (Some(own), Ok(theirs)) if *own != theirs => Err(Problem::new(
            Reason::ServerMismatch,
            SUCCESSOR_REF,
            format!("{target} belongs to the EnrollmentServer {theirs}, this authority to {own}"),
        )),
        (Some(_) | None, Ok(_) | Err(_)) => Ok(()),
    }
}

/// Whether this authority would take over from itself in the end.
fn check_loop(index: &Index<'_>, name: &ResourceName, first: &ResourceName) -> Result<(), Problem> {
    let mut seen = vec![name.clone()];
    let mut next = Some(first.clone());
    while let Some(current) = next {
        if current == *name {
            let names: Vec<String> = seen.iter().chain([name]).map(ToString::to_string).collect();
            let what = format!("the references lead back: {}", names.join(", "));
            return Err(Problem::new(Reason::ReferenceCycle, SUCCESSOR_REF, what));
        }
        // A loop that this authority is not in is said of those that are.
        if seen.contains(&current) {
            break;
        }
        let found = index.authorities.get(&current).and_then(|found| found.resource.as_ref().ok());
        next = found
            .and_then(|authority| authority.spec.successor_ref.as_ref())
            .map(|reference| target(&current, reference));
        seen.push(current);
    }
    Ok(())
}

fn target(name: &ResourceName, reference: &ObjectRef) -> ResourceName {
    ResourceName::new(reference.namespace_or(name.namespace()), &reference.name)
}
