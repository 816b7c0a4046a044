//! Who asks. Verifiers here return [`Evidence`], whose fields nobody else can set; only evidence makes
//! [`Authenticated`].

mod access_key;
mod acme;
mod cache;
mod certificate;
mod evidence;
mod operator;
mod password;
mod renewal;
#[cfg(test)]
mod tests;
mod token;

pub use access_key::KeyHolder;
pub use acme::{AcmeRefusal, ActingAccount, CsrFault, OnCredentialRevoked};
pub use cache::{CredentialCache, Freshness};
pub use certificate::{ClientTrust, CurrentCertificate, RevocationCheck, TrustError, TrustMaterial};
pub use evidence::{Authenticated, Certified, Evidence, Requester};
pub use operator::{CLUSTER_SCOPE, GrantedNamespaces, Operator, OperatorTrust, namespace_owner};
pub use password::PasswordVerifier;
pub use token::{KeySetError, ServiceAccount, TokenFault, TokenHolder, TokenVerifier};
