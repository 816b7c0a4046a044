//! The methods that are looked after from one.

use crds::RestAdministration;
use issuance::identity::ResourceName;

use crate::{compiled_rest::Administered, method::Context, resources::is_dns_subdomain, status::Problems};

const METHODS: &str = "spec.rest.administers.methods";

/// Most methods that are named.
const MOST_METHODS: usize = 64;

/// What is seen beside the method itself; what is wrong is noted. Only names of its own namespace can be said: whoever writes
/// this method may write those others as well. Nothing is asked of them, because what a deleted one issued must still be revoked.
pub(super) fn compile(
    context: &Context<'_, '_>,
    given: Option<&RestAdministration>,
    problems: &mut Problems,
) -> Administered {
    let Some(RestAdministration { methods }) = given else { return Administered::None };
    if methods.is_empty() || methods.len() > MOST_METHODS {
        problems.invalid(METHODS, format!("give 1 to {MOST_METHODS}"));
    }
    if methods.iter().any(|name| name == RestAdministration::ALL) {
        if methods.len() > 1 {
            problems.invalid(METHODS, "* is every method: give it alone");
        }
        return Administered::Namespace;
    }
    let mut compiled: Vec<ResourceName> = Vec::with_capacity(methods.len());
    for (index, name) in methods.iter().enumerate() {
        let path = format!("{METHODS}[{index}]");
        if !is_dns_subdomain(name) {
            problems.invalid(&path, format!("{name:?} is not a name of an EnrollmentMethod"));
        }
        let method = ResourceName::new(context.name.namespace(), name);
        if compiled.contains(&method) {
            problems.invalid(&path, format!("{name:?} is there twice"));
        }
        compiled.push(method);
    }
    compiled.sort();
    Administered::Methods(compiled)
}
