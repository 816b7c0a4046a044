//! Who may connect to a server, and where it may connect to.
//!
//! | port | from |
//! | --- | --- |
//! | device, public | whom the spec names as clients; everyone where it names none |
//! | internal | the operator's namespace |
//! | private | whom the spec names for metrics; the kubelet, which asks for the health, is not held up by policies |
//!
//! Out go the API server, DNS, the database, webhooks, and validations of methods that speak ACME, by HTTP, TLS and DNS. Policies
//! cannot name the API server (its address is the node's, its port the cluster's own), and hosts and ports of databases and webhooks
//! are in Secrets and profiles: so all of TCP is open, and UDP for DNS, on its own port and on those of resolvers that methods name.
//! Which addresses a validation may contact says the method itself (`allowedNetworks`), and the server keeps to it: clients choose
//! the names, so that a policy could not list them. Whoever wants less switches this policy off and writes one; policies only ever
//! add.

use std::collections::BTreeSet;

use crds::{FeatureState, labels};
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use resolve::{Compiled, MethodSettings};

use super::blueprint::Blueprint;

const DNS_PORT: u16 = 53;

/// The ports of the resolvers that the methods of a server name.
pub fn resolver_ports(compiled: &Compiled) -> BTreeSet<u16> {
    let named = compiled.methods.iter().flat_map(|method| match &method.settings {
        MethodSettings::Acme(acme) => acme.validation.resolvers.as_slice(),
        MethodSettings::Rest(rest) => {
            let control = rest.domain_validation.as_ref();
            control.map(|control| control.validation.resolvers.as_slice()).unwrap_or_default()
        }
        MethodSettings::Est(_) | MethodSettings::Issuer(_) => &[],
    });
    named.map(std::net::SocketAddr::port).collect()
}

/// None where the spec wants none.
pub(super) fn render(blueprint: &Blueprint<'_>) -> Option<NetworkPolicy> {
    match blueprint.spec.network_policy.state {
        FeatureState::Disabled => None,
        FeatureState::Enabled => Some(NetworkPolicy {
            metadata: blueprint.meta(blueprint.name),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(blueprint.label_selector()),
                policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
                ingress: Some(ingress(blueprint)),
                egress: Some(vec![NetworkPolicyEgressRule { ports: Some(outgoing(blueprint)), to: None }]),
            }),
        }),
    }
}

/// Ports of UDP in their order, so that the same methods render the same policy.
fn outgoing(blueprint: &Blueprint<'_>) -> Vec<NetworkPolicyPort> {
    let mut dns = blueprint.inputs.resolver_ports.clone();
    dns.insert(DNS_PORT);
    let dns = dns.into_iter().map(|number| port("UDP", number));
    [every_port("TCP")].into_iter().chain(dns).collect()
}

fn ingress(blueprint: &Blueprint<'_>) -> Vec<NetworkPolicyIngressRule> {
    let policy = &blueprint.spec.network_policy;
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(
                [("kubernetes.io/metadata.name".to_owned(), blueprint.inputs.operator_namespace.clone())]
                    .into(),
            ),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let clients = match &policy.clients {
        None => Some(rule(None, &[labels::DEVICE_PORT, labels::PUBLIC_PORT])),
        Some(clients) => from(clients, &[labels::DEVICE_PORT, labels::PUBLIC_PORT]),
    };
    let metrics = policy.metrics.as_ref().and_then(|peers| from(peers, &[labels::PRIVATE_PORT]));
    let internal = from(&[operator], &[labels::INTERNAL_PORT]);
    [clients, internal, metrics].into_iter().flatten().collect()
}

/// A rule without peers would let everyone in; nobody named means nobody let in.
fn from(peers: &[NetworkPolicyPeer], ports: &[u16]) -> Option<NetworkPolicyIngressRule> {
    (!peers.is_empty()).then(|| rule(Some(peers.to_vec()), ports))
}

fn rule(from: Option<Vec<NetworkPolicyPeer>>, ports: &[u16]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from, ports: Some(ports.iter().map(|number| port("TCP", *number)).collect()) }
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number.into())), ..every_port(protocol) }
}

fn every_port(protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.to_owned()), ..NetworkPolicyPort::default() }
}
