//! Methods whose credentials callers make and change.

use crds::ExternalAccountBinding;
use issuance::{
    administration::Target,
    credential::CredentialRow,
    identity::{Protocol, ResourceName},
};

use crate::serving::{Labelled, Serving};

/// A method that is served now.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) target: Target,
    /// None: credentials open it. Why they open nothing there, otherwise.
    pub(super) closed: Option<&'static str>,
}

/// The method of this name; none where it is not served now, or knows no credentials.
pub(super) fn served(serving: &Serving, name: &ResourceName) -> Option<Served> {
    rest(serving, name).or_else(|| est(serving, name)).or_else(|| acme(serving, name))
}

/// The method of a row as it is served now; none where it is not, or is another under the same name.
pub(super) fn served_of(serving: &Serving, row: &CredentialRow) -> Option<Target> {
    let served = served(serving, &row.method)?.target;
    (served.protocol == row.protocol).then_some(served)
}

/// As [`served_of`]; where it is not served the row can still be ended.
pub(super) fn target_of(serving: &Serving, row: &CredentialRow) -> Target {
    let gone = || Target { method: row.method.clone(), protocol: row.protocol, scope: None };
    served_of(serving, row).unwrap_or_else(gone)
}

fn rest(serving: &Serving, name: &ResourceName) -> Option<Served> {
    let service = serving.rest.get(name)?;
    let scope = Some(service.scope.clone());
    let target = Target { method: name.clone(), protocol: Protocol::Rest, scope };
    Some(Served { target, closed: (!service.access_keys).then_some("the method takes no access keys") })
}

fn est(serving: &Serving, name: &ResourceName) -> Option<Served> {
    let service = labelled(&serving.est, name).filter(|service| service.method.name == *name)?;
    let target = Target { method: name.clone(), protocol: Protocol::Est, scope: None };
    let takes_passwords = service.authentication.takes_passwords();
    Some(Served { target, closed: (!takes_passwords).then_some("the method takes certificates only") })
}

fn acme(serving: &Serving, name: &ResourceName) -> Option<Served> {
    let service = labelled(&serving.acme, name).filter(|service| service.method.name == *name)?;
    let target = Target { method: name.clone(), protocol: Protocol::Acme, scope: None };
    let closed = match service.settings.external_account_binding {
        ExternalAccountBinding::Required | ExternalAccountBinding::Optional => None,
        ExternalAccountBinding::Disabled => Some("the method takes no external account binding"),
    };
    Some(Served { target, closed })
}

/// A short label may look like one that is not.
fn labelled<'s, T>(services: &'s Labelled<T>, name: &ResourceName) -> Option<&'s T> {
    services.by_label.get(&name.dotted()).map(std::sync::Arc::as_ref)
}
