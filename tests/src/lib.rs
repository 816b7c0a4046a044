//! The one harness of every test that runs Chancery as a program.
//!
//! ```text
//! Workspace ──holds──► Resources ──read by──► Server ──writes──► Endpoints, Status
//!                                                ▲
//!   curl, openssl, estclient, strongSwan, zlint, est::Client (in process) enrol against it and judge the answers
//!   certbot, lego, Caddy, InstantAcme (in process) order of the methods of an AcmeScene, whose names Bind knows
//!   Web and Bind answer when the server asks whether a name is somebody's
//! ```
//!
//! Everything that runs is owned: a [`Server`] that goes out of scope is dead, and prints its log if the test failed.
//! The tests that run on a Kubernetes cluster have a harness of their own in [`cluster`], which uses the same programs.
//! Programs that are missing say how to get them ([`program`]). The tests themselves are in `tests/tests`; what their
//! prefixes mean is in `tests/README.md`.

#[cfg(feature = "acme-client")]
pub mod acme;
pub mod bind;
#[cfg(feature = "acme-client")]
pub mod caddy;
#[cfg(feature = "acme-client")]
pub mod certbot;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(all(feature = "cluster", feature = "est-client"))]
pub mod conformance;
pub mod curl;
pub mod endpoints;
#[cfg(feature = "est-client")]
pub mod est;
pub mod estclient;
#[cfg(feature = "acme-client")]
pub mod front;
#[cfg(feature = "acme-client")]
pub mod http;
#[cfg(feature = "acme-client")]
pub mod instant_acme;
pub mod kubectl_chancery;
#[cfg(feature = "acme-client")]
pub mod lego;
#[cfg(feature = "est-client")]
pub mod manufacturer;
pub mod openssl;
pub mod page;
pub mod plain_http;
pub mod program;
pub mod random;
pub mod replicas;
pub mod resources;
pub mod rest;
pub mod scene;
pub mod server;
pub mod status;
pub mod strongswan;
#[cfg(feature = "acme-client")]
pub mod web;
pub mod workspace;
pub mod zlint;

#[cfg(feature = "acme-client")]
pub use acme::AcmeScene;
pub use endpoints::{Credential, Endpoint, Endpoints};
pub use resources::Resources;
pub use scene::Scene;
pub use server::{Server, Settings};
pub use status::Status;
pub use workspace::Workspace;
