//! A client of REST, `/api/v1`.
//!
//! ```text
//! Endpoint (URL) + TLS (trust) + Connect (how to get there) + BearerToken ─► Client ─► certificates, requests, credentials, …
//! ```
//!
//! The description that the server gives of itself (`/api/v1/openapi.json`) is the contract. Objects are read as it says, and
//! members that this release does not know are kept (`other`), so that a newer server loses nothing on its way through.
//!
//! | file | what |
//! | --- | --- |
//! | `endpoint.rs`, `trust.rs`, `connection.rs` | where the server is, how it is known, and how it is reached |
//! | `token.rs` | what is shown to it |
//! | `client.rs`, `answer.rs` | one request and its answer |
//! | `error.rs`, `problem.rs` | what can go wrong, here and there |
//! | `page.rs`, `query.rs` | lists, a page at a time |
//! | `orders.rs`, `certificates.rs`, `requests.rs`, `credentials.rs`, `audit.rs`, `reports.rs`, `status.rs` | the resources |

mod answer;
mod audit;
mod certificates;
mod client;
mod connection;
mod credentials;
mod endpoint;
mod error;
mod orders;
mod page;
mod problem;
mod query;
mod reports;
mod requests;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod trust;

pub use self::{
    answer::Answer,
    audit::{AuditActor, AuditRecord},
    certificates::{Certificate, CertificateStatus, Issued, Renewal},
    client::Client,
    connection::{Connect, Direct, Stream},
    credentials::{Credential, NewCredential, NewIdentifiers, SecretCredential},
    endpoint::{Endpoint, EndpointError},
    error::ClientError,
    orders::{Authorization, Challenge, KeyRequest, NewOrder, Order, OrderRenewal, OrderStatus, Waited},
    page::Items,
    problem::{Fault, Problem},
    query::Query,
    reports::{Report, ReportForm},
    requests::Request,
    status::{
        AuthorityStatus, ConfigurationStatus, CrlStatus, MethodStatus, PendingRequests, ProfileStatus,
        ServerStatus,
    },
    token::{BearerToken, TokenError},
    trust::{ClientIdentity, Trust, TrustError},
};

/// Members of an object that this release does not know.
pub type Other = serde_json::Map<String, serde_json::Value>;
