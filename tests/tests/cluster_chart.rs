//! The chart on a real cluster: from nothing to certificates, upgrade and rollback under load, what an uninstallation leaves.
//!
//! These tests remove Chancery from the cluster and install it again. Where the cluster holds resources of Chancery that no test
//! made, they refuse to begin.
//!
//! | file | what |
//! | --- | --- |
//! | `empty.rs` | an empty cluster, or no test |
//! | `installation.rs` | the chart and `examples/cluster`, nothing else |
//! | `upgrade.rs` | another template of every pod and back, while devices enrol |
//! | `killed.rs` | a server's pod killed without warning, while devices enrol |
//! | `removal.rs` | what stays, and is taken up again |
//! | `pages.rs` | the commands of `docs/install.md`, `devices.md`, `cert-manager.md`, `upgrade.md`, `backup.md`, `troubleshooting.md` |
//! | `load.rs`, `office.rs` | devices, and a server for them |
#![allow(clippy::print_stdout, reason = "how many requests there were, and what became of them, is a result")]
#![allow(
    clippy::indexing_slicing,
    reason = "a member that a JSON document lacks is null, which no test expects"
)]

#[path = "cluster_chart/empty.rs"]
mod empty;
#[path = "cluster_chart/installation.rs"]
mod installation;
#[path = "cluster_chart/killed.rs"]
mod killed;
#[path = "cluster_chart/load.rs"]
mod load;
#[path = "cluster_chart/office.rs"]
mod office;
#[path = "cluster_chart/pages.rs"]
mod pages;
#[path = "cluster_chart/removal.rs"]
mod removal;
#[path = "cluster_chart/upgrade.rs"]
mod upgrade;
