//! How much of the server one peer, and all of them together, may use.

use std::time::Duration;

/// Limits of one listener. They may change while it runs: a connection takes those in force when it is accepted,
/// a request those in force when it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head, with its request line. HTTP/1 cannot be held below [`Limits::LEAST_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Bytes of a request body. A protocol may ask for less when it reads.
    pub body_bytes: usize,
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request head (for the first request: from the connection) to its last.
    pub header_timeout: Duration,
    /// From the end of the request head to the end of the body.
    pub read_timeout: Duration,
    /// How long a connection may stay open with no request in flight and no answer being written.
    pub idle_timeout: Duration,
    /// Open connections. When they are reached no more are accepted: they wait in the kernel's backlog.
    pub connections: usize,
    /// Requests being worked on. The next one is answered 503 at once: a queue would only turn load into timeouts.
    pub requests_in_flight: usize,
    /// How long a shutdown waits for requests in flight.
    pub drain_timeout: Duration,
    /// Failed authentications of one address.
    pub failed_authentications: FailedAuthentications,
}

impl Limits {
    /// The smallest buffer the HTTP/1 parser works with.
    pub const LEAST_HEADER_BYTES: usize = 8 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            connections: 4096,
            requests_in_flight: 1024,
            drain_timeout: Duration::from_secs(20),
            failed_authentications: FailedAuthentications::default(),
        }
    }
}

/// How often one address may fail to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAuthentications {
    /// Failures that an address may have open at once; each is forgotten after `window / per_address`.
    pub per_address: u32,
    /// How long a full count takes to be forgotten.
    pub window: Duration,
    /// Whether to refuse, or only to count. Where a NAT or a load balancer gives every device one address, refusing
    /// would lock all of them out for the failures of one.
    pub enforced: bool,
}

impl Default for FailedAuthentications {
    fn default() -> Self {
        Self { per_address: 30, window: Duration::from_secs(60), enforced: true }
    }
}
