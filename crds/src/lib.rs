//! The Kubernetes resource types of Chancery, group `chancery.dev/v1alpha1`, and the CRDs generated from them.
//!
//! ```text
//! EnrollmentCredential ─► EnrollmentMethod ─► CertificateProfile ─► CertificateAuthority ─► (parent) CertificateAuthority
//!                               └──────────────────────┬─────────────────────┘
//!   ChanceryIssuer, ChanceryClusterIssuer ─► CertificateProfile        EnrollmentServer
//!   CertificateRevocation ─► one certificate
//! ```
//!
//! One kind per file. What one object alone can say is checked by its schema and its CEL rules, which the API server applies in a
//! cluster; what only several objects together can say is checked by the crate `resolve`. The documentation of each
//! field becomes the CRD's, and `docs/crd-reference.md`.
//!
//! Specs refuse unknown members also without an API server (`deny_unknown_fields`): a misspelt member of a policy must not be
//! taken for an absent one. Statuses do not, so that an older program reads what a newer one wrote.

#![allow(unreachable_pub, reason = "KubeSchema copies each struct, with its visibility, into a function")]
#![allow(
    clippy::duplicated_attributes,
    reason = "every printer column has a type of its own, often the same"
)]

mod acme_method;
#[cfg(feature = "admission")]
pub mod admission;
mod authority_bundle;
mod certificate_authority;
mod certificate_profile;
mod certificate_revocation;
mod chancery_issuer;
mod common;
pub mod conditions;
mod duration;
mod enrollment_credential;
mod enrollment_method;
mod enrollment_server;
mod est_method;
pub mod generate;
mod grant;
pub mod labels;
mod oid;
mod policy;
mod reference;
mod resource;
mod rest_method;
mod server_workload;
mod storage;
mod string_enum;
#[cfg(test)]
mod tests;

pub use self::{
    acme_method::*, authority_bundle::*, certificate_authority::*, certificate_profile::*,
    certificate_revocation::*, chancery_issuer::*, common::*, duration::*, enrollment_credential::*,
    enrollment_method::*, enrollment_server::*, est_method::*, grant::*, oid::*, policy::*, resource::*,
    rest_method::*, server_workload::*, storage::*,
};

/// The API group of every kind.
pub const GROUP: &str = "chancery.dev";

/// The API version of every kind.
pub const VERSION: &str = "v1alpha1";

/// Group and version, as `apiVersion` spells them.
pub const API_VERSION: &str = "chancery.dev/v1alpha1";
