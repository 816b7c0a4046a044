//! Whether an account, or whoever orders over REST, controls a name: the challenges of [RFC 8555 §8](https://www.rfc-editor.org/rfc/rfc8555#section-8),
//! [RFC 8737](https://www.rfc-editor.org/rfc/rfc8737) and [RFC 8738](https://www.rfc-editor.org/rfc/rfc8738), and whether
//! the owner of the domain permits it: [RFC 8659](https://www.rfc-editor.org/rfc/rfc8659) and
//! [RFC 8657](https://www.rfc-editor.org/rfc/rfc8657).
//!
//! | file | what |
//! | --- | --- |
//! | `http_01.rs`, `dns_01.rs`, `tls_alpn_01.rs` | one challenge each |
//! | `caa.rs` | what the owner of the domain permits |
//! | `recheck.rs` | the same again, before something is issued |
//! | `network.rs` | from a name to a connection, and where none may lead (`resolve::AddressGuard`) |
//! | `resolver.rs`, `tls.rs` | DNS and TLS, as validations need them |
//! | `failure.rs` | why it did not succeed, and the time a validation has |
//! | `places.rs` | how many at the same time, and of one account |
//! | `claim.rs` | what is validated: an order of either protocol, and whoever proves its names |
//! | `terms.rs` | how the method wants that |
//! | `run.rs`, `running.rs` | reads an order, validates, and commits what became of it, for whoever waits or by itself |

mod caa;
mod claim;
mod dns_01;
mod failure;
mod http_01;
mod network;
mod places;
mod recheck;
mod resolver;
mod run;
mod running;
mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod tls_alpn_01;

pub(crate) use claim::{Claimant, Ordered, Prover};
pub use failure::ValidationFailure;
pub use places::Validations;
pub(crate) use places::{OF_ONE_ACCOUNT, Permit, Place};
pub(crate) use recheck::{Forbidden, caa_again};
pub(crate) use run::{COMMITS, Ended, lease_seconds, run};
pub use run::{Planned, Planning};
pub use running::Running;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::acme::{ChallengeType, Identifier};
use resolve::{AddressGuard, CompiledValidation};

use self::{
    caa::Asked, failure::Deadline, http_01::Http01, network::Network, resolver::Resolver, tls::Tls,
    tls_alpn_01::TlsAlpn01,
};

/// Validates challenges as one method wants it. Holds no state: any number may run at once.
#[derive(Debug)]
pub struct Validator {
    network: Network,
    tls: Tls,
    http_port: u16,
    tls_alpn_port: u16,
    timeout: Duration,
}

/// Why there is no validator.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be spoken")]
pub struct ValidatorError(#[from] rustls::Error);

impl Validator {
    /// # Errors
    /// [`ValidatorError`] where the cryptography has no TLS 1.2 or 1.3.
    pub fn new(settings: &CompiledValidation) -> Result<Self, ValidatorError> {
        let guard = AddressGuard::new(settings.allowed_networks.clone(), settings.denied_networks.clone());
        Ok(Self {
            network: Network { resolver: Resolver::new(&settings.resolvers, &guard), guard },
            tls: Tls::new()?,
            http_port: settings.http_port,
            tls_alpn_port: settings.tls_alpn_port,
            timeout: settings.timeout,
        })
    }

    /// The longest that [`Validator::validate`] takes, and also [`Validator::caa`].
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the challenge is met now. `thumbprint`: of the account's key, base64url (RFC 8555 §8.1).
    ///
    /// # Errors
    /// [`ValidationFailure`].
    pub async fn validate(
        &self,
        kind: ChallengeType,
        identifier: &Identifier,
        wildcard: bool,
        token: &str,
        thumbprint: &str,
    ) -> Result<(), ValidationFailure> {
        if !kind.fits(identifier, wildcard) {
            let detail = format!("{} cannot prove control of such a name", kind.as_str());
            return Err(ValidationFailure::unauthorized(detail));
        }
        let deadline = Deadline::after(self.timeout);
        let key_authorization = format!("{token}.{thumbprint}");
        match kind {
            ChallengeType::Http01 => {
                let (network, tls, port) = (&self.network, &self.tls.unjudged, self.http_port);
                let http = Http01 { network, tls, port, deadline };
                http.validate(identifier, token, &key_authorization).await
            }
            ChallengeType::Dns01 => {
                let digest = URL_SAFE_NO_PAD.encode(sha256(&key_authorization));
                dns_01::validate(&self.network.resolver, identifier, &digest, deadline).await
            }
            ChallengeType::TlsAlpn01 => {
                let (network, tls, port) = (&self.network, &self.tls, self.tls_alpn_port);
                let tls_alpn = TlsAlpn01 { network, tls, port, deadline };
                tls_alpn.validate(identifier, sha256(&key_authorization)).await
            }
        }
    }

    /// Whether the CAA records of a name permit one of `issuers` to issue for it to this account. `kind`: by which
    /// challenge control was proved; none: by no challenge.
    ///
    /// # Errors
    /// [`ValidationFailure`]: `caa` where they forbid it, `dns` where they cannot be read.
    pub async fn caa(
        &self,
        identifier: &Identifier,
        wildcard: bool,
        kind: Option<ChallengeType>,
        account_uri: &str,
        issuers: &[String],
    ) -> Result<(), ValidationFailure> {
        let asked = Asked { wildcard, challenge: kind, account_uri, issuers };
        match identifier {
            Identifier::Dns(domain) => {
                caa::check(&self.network.resolver, domain, &asked, Deadline::after(self.timeout)).await
            }
            // RFC 8659 is about domains.
            Identifier::Ip(_) => Ok(()),
        }
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    octets
}
