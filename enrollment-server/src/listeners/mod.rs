//! The edge of the server: sockets, TLS, limits, and what every request goes through before a protocol sees it.
//!
//! | listener | default port | transport | serves | to a stranger |
//! | --- | --- | --- | --- | --- |
//! | device | 8443 | TLS 1.2, 1.3; h2, http/1.1; client certificate optional | the enrollment protocols | what each protocol gives to anyone: EST `cacerts`, ACME `directory`; everything else asks for authentication |
//! | public | 8080 | plain http/1.1 | CRL and authority certificates under `/pki/{key id}/…` | all of it: each answer is signed and public |
//! | internal | 8444, in a cluster only | TLS 1.3; a client certificate of the operator | `/internal/v1/…` | no handshake |
//! | private | 8081 | plain http/1.1 | `/healthz`, `/readyz`, `/metrics` | all of it: keep it inside the cluster |
//!
//! A connection goes through [`accept`] (connection cap, handshake timeout), `connection` (header and idle timeouts,
//! graceful end) and `edge` (requests in flight, declared size, [`Peer`]) to the router; a handler reads its body
//! with [`read_body`] and so answers 413 and 408 in the words of its protocol.
//!
//! Who the peer is comes from the socket and the handshake only, or, where the configuration says so, from the header by which a
//! trusted load balancer begins a connection ([`proxy`]). `Forwarded`, `X-Forwarded-For` and forwarded client
//! certificates are never read: whoever can reach the listener could write them.

pub mod accept;
pub mod body;
mod connection;
mod edge;
pub mod limits;
pub mod mutual;
pub mod peer;
pub mod private;
pub mod proxy;
pub mod throttle;
pub mod tls;

pub use accept::{Drained, Listener};
pub use body::{BodyError, read_body};
pub use limits::{FailedAuthentications, Limits};
pub use mutual::{MutualTls, OperatorGate};
pub use peer::{Peer, TlsVersion};
pub use private::{Check, Readiness, ReadinessReport, private_router};
pub use proxy::{ProxyError, ProxyProtocol};
pub use throttle::{AuthenticationThrottle, RetryAfter};
pub use tls::{ServerCertificate, ServerIdentity, TlsError, TlsSettings};

#[cfg(test)]
mod tests;
