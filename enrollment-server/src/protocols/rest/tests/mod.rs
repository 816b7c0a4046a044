//! Requests against a server in memory.

mod audit;
mod callers;
mod callers_signed;
mod certificates;
mod certificates_issue;
mod control;
mod credentials;
mod credentials_administered;
mod desk;
mod keys;
mod openssl;
mod orders;
mod proved;
mod renewal;
mod renewal_news;
mod reports;
mod requests;
mod routes;
pub(super) mod scene;
mod scope;
mod status;
mod waiting;
