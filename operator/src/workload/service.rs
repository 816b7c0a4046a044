//! The Services of a server: one for devices and relying parties, one for those who want each replica.

use crds::{ServerService, ServiceType, labels};
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{blueprint::Blueprint, pod::ports};

/// Where devices enrol and everybody fetches revocation lists. The internal listener is not there.
pub(super) fn render(blueprint: &Blueprint<'_>) -> Service {
    let wished = &blueprint.spec.service;
    let mut metadata = blueprint.meta(&labels::service_name(blueprint.name));
    metadata.annotations = (!wished.annotations.is_empty()).then(|| wished.annotations.clone());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(wished.type_.as_str().to_owned()),
            selector: Some(blueprint.selector()),
            ports: Some(vec![
                port(ports::DEVICE, wished.ports.device),
                port(ports::PUBLIC, wished.ports.public),
            ]),
            external_traffic_policy: wished
                .effective_external_traffic_policy()
                .map(|policy| policy.as_str().to_owned()),
            ..load_balancer(wished)
        }),
        status: None,
    }
}

/// The name of each replica, and what is not for devices: metrics, and the operator's interface.
pub(super) fn headless(blueprint: &Blueprint<'_>) -> Service {
    Service {
        metadata: blueprint.meta(&labels::headless_service_name(blueprint.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(blueprint.selector()),
            ports: Some(vec![
                port(ports::INTERNAL, labels::INTERNAL_PORT),
                port(ports::PRIVATE, labels::PRIVATE_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// What only a load balancer has.
fn load_balancer(wished: &ServerService) -> ServiceSpec {
    match wished.type_ {
        ServiceType::ClusterIp => ServiceSpec::default(),
        ServiceType::LoadBalancer => ServiceSpec {
            load_balancer_class: wished.load_balancer_class.clone(),
            load_balancer_source_ranges: (!wished.load_balancer_source_ranges.is_empty())
                .then(|| wished.load_balancer_source_ranges.clone()),
            ..ServiceSpec::default()
        },
    }
}

/// A port that leads to the pods' port of the same name.
fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number.into(),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

/// The addresses and host names that a load balancer gave.
pub(super) fn addresses(service: &Service) -> Vec<String> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|ingress| ingress.ip.clone().or_else(|| ingress.hostname.clone())).collect()
}
