//! The harness of tests that run on a Kubernetes cluster: `tests/tests/cluster_*.rs`.
//!
//! ```text
//! Cluster (KUBECONFIG and a few parameters) ──► in_namespace(purpose, test)
//!    │                                             Namespace: made for one test, shown if it failed, deleted
//!    ├─► Kubectl   apply, get, wait until, exec, logs, as whom one likes
//!    ├─► Helm      a release of charts/chancery (`Cluster::install_chancery`) or of another chart
//!    └─► Route     the way from the test to a Service or a pod
//! ```
//!
//! A test here is marked `#[ignore = "needs a cluster: cargo xtask cluster test"]`, so that `cargo test` says what it
//! leaves out; `cargo xtask cluster test` and `cargo xtask test` run them. They know nothing of what kind of cluster it is.

pub mod cert_manager;
mod chancery;
mod conditions;
#[cfg(feature = "est-client")]
pub mod database;
mod dump;
mod helm;
mod kubectl;
mod namespace;
pub mod office;
pub mod page;
mod parameters;
mod restart;
mod route;
mod toolbox;
mod watch;

pub use conditions::{condition, conditions};
pub use dump::dump;
pub use helm::{Helm, Release};
pub use kubectl::{Kubectl, secret_data};
pub use namespace::{Namespace, in_namespace};
pub use parameters::{Cluster, Reach};
pub use route::Route;
pub use toolbox::{ToolboxPod, Volume};
