//! Requests against a server in memory.

mod audit;
mod control;
mod credentials;
mod desk;
mod reports;
mod requests;
pub(super) mod scene;
