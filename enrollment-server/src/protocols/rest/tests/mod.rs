//! Requests against a server in memory.

mod audit;
mod certificates;
mod certificates_issue;
mod control;
mod credentials;
mod desk;
mod openssl;
mod renewal;
mod reports;
mod requests;
pub(super) mod scene;
