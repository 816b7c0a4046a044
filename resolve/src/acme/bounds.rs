//! Which networks a server leaves to its methods.
//!
//! The server is what connects, from where it stands: so whoever decides over the server decides how far the methods of other
//! namespaces may send it. A method in the server's own namespace is of the same people.

use std::net::IpAddr;

use crds::{Kind, ServerValidation, conditions::Reason};
use ipnet::IpNet;
use issuance::identity::ResourceName;

use crate::{
    authority::network,
    guard::AddressGuard,
    method::Context,
    status::{Problem, Problems},
};

const ALLOWED: &str = "spec.validation.allowedNetworks";
const DENIED: &str = "spec.validation.deniedNetworks";

/// What is wrong with the networks of a server.
pub(crate) fn check_server(given: &ServerValidation, problems: &mut Problems) {
    networks(ALLOWED, &given.allowed_networks, problems);
    networks(DENIED, &given.denied_networks, problems);
}

/// Networks in CIDR notation, each with its place in the list; what is none is noted, and left out.
pub(super) fn networks(path: &str, given: &[String], problems: &mut Problems) -> Vec<(usize, IpNet)> {
    let read = |(index, cidr): (usize, &String)| match network(cidr) {
        Ok(network) => Some((index, network)),
        Err(what) => {
            problems.invalid(format!("{path}[{index}]"), what);
            None
        }
    };
    given.iter().enumerate().filter_map(read).collect()
}

/// The networks of one server, as they bind one method.
#[derive(Debug, Default)]
pub(super) struct Bounds<'n> {
    /// Where the method is in another namespace than the server: only what that allows may be listed.
    foreign_to: Option<&'n ResourceName>,
    server: Option<&'n ResourceName>,
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
}

impl<'n> Bounds<'n> {
    /// Those of the server that answers. One that nobody declared bounds nothing: it has no namespace that others could be
    /// strangers to.
    /// `path` is the member of the method that they bind.
    pub(super) fn of(context: &Context<'n, '_>, path: &str, problems: &mut Problems) -> Self {
        let Some(server) = context.server else { return Self::default() };
        let Some(found) = context.index.servers.get(server) else { return Self::default() };
        let foreign_to = (server.namespace() != context.name.namespace()).then_some(server);
        let mut bounds = Self { foreign_to, server: Some(server), ..Self::default() };
        let Ok(resource) = &found.resource else { return bounds };
        let given = &resource.spec.validation;
        // Its own condition says what is wrong with them. What is allowed may be missing, what is denied must not.
        let mut wrong = Problems::default();
        let read = |path, given, wrong: &mut Problems| {
            networks(path, given, wrong).into_iter().map(|(_, network)| network).collect()
        };
        bounds.allowed = read(ALLOWED, &given.allowed_networks, &mut Problems::default());
        bounds.denied = read(DENIED, &given.denied_networks, &mut wrong);
        if !wrong.is_empty() {
            problems.push(Problem::new(
                Reason::ReferenceNotAccepted,
                path,
                format!("{DENIED} of the {} {server} cannot be read", Kind::EnrollmentServer),
            ));
        }
        bounds
    }

    /// What nobody may contact.
    pub(super) fn denied(&self) -> Vec<IpNet> {
        self.denied.clone()
    }

    /// Why a method may not list this network; `path` is the member that does.
    pub(super) fn refuse_network(&self, path: &str, network: &IpNet) -> Option<Problem> {
        if covers(&self.denied, network) {
            return Some(self.is_denied(path, network));
        }
        let server = self.foreign_to.filter(|_| !covers(&self.allowed, network))?;
        Some(Problem::new(
            Reason::ReferenceNotPermitted,
            path,
            format!(
                "{network} is not within {ALLOWED} of the {} {server}: for a method of another namespace \
                 whoever decides over that server must add it there",
                Kind::EnrollmentServer
            ),
        ))
    }

    /// Why a method may not have this DNS server asked; `path` is the member that names it.
    pub(super) fn refuse_resolver(&self, path: &str, address: IpAddr) -> Option<Problem> {
        let guard = AddressGuard::new(self.allowed.clone(), self.denied.clone());
        if guard.denies(address) {
            return Some(self.is_denied(path, &address));
        }
        let server = self.foreign_to.filter(|_| guard.judge(address).is_none())?;
        Some(Problem::new(
            Reason::ReferenceNotPermitted,
            path,
            format!(
                "{address} is not public, and not within {ALLOWED} of the {} {server}: for a method of another \
                 namespace whoever decides over that server must add its network there",
                Kind::EnrollmentServer
            ),
        ))
    }

    fn is_denied(&self, path: &str, what: &dyn std::fmt::Display) -> Problem {
        let server = self.server.map(ToString::to_string).unwrap_or_default();
        Problem::new(
            Reason::ReferenceNotPermitted,
            path,
            format!("{what} is within {DENIED} of the {} {server}", Kind::EnrollmentServer),
        )
    }
}

/// Whether all of a network is within these, taken together.
fn covers(networks: &[IpNet], network: &IpNet) -> bool {
    IpNet::aggregate(&networks.to_vec()).iter().any(|wide| wide.contains(network))
}
