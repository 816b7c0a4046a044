//! Makes what is declared and does not exist: keys and certificates of authorities, identities of the operator and of servers,
//! values of credentials.
//!
//! Everything is a Secret that was made here and carries the label that says so. **What something else made is never
//! overwritten**: whoever may create a Secret could else have a key of their own used, or somebody's data replaced. Keys are made by
//! creating their Secret, which succeeds once, and changed only in the version that was read, so that two operators that act
//! at the same time end with the same key.
//!
//! | file | what | in |
//! | --- | --- | --- |
//! | `authorities/` | keys, certificates and revocation lists of authorities | the operator's namespace |
//! | `identities/` | the internal authority and what it issues, the key of manifests, sealing keys | the operator's, the server's |
//! | `credentials/` | values of credentials | the credential's |
//! | `vault.rs` | Secrets of ours: created, replaced, never taken over | |

pub mod authorities;
pub mod credentials;
pub mod identities;
#[cfg(test)]
pub(crate) mod tests;
mod vault;

use issuance::identity::ResourceName;

/// Why something could not be made. Other things are made all the same.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It is left alone.
    #[error("the Secret {0} is in the way: it was not made for this")]
    Foreign(ResourceName),
    #[error("the Secret {secret} {what}")]
    Unusable { secret: ResourceName, what: String },
    /// A new key under the same name would cut off everything that was ever issued.
    #[error(
        "its key is lost: the Secret {0} is gone; restore it, or delete the authority and make it again with a new key"
    )]
    KeyLost(ResourceName),
    /// Another key would open nothing of what the server has sealed.
    #[error(
        "the sealing key is lost: the Secret {sealing} is gone, and the server has begun with it; restore it, or delete the Secret \
         {manifest} to begin with another key, without what was sealed"
    )]
    SealingLost { sealing: ResourceName, manifest: ResourceName },
    #[error("its parent {0} has no certificate yet")]
    ParentMissing(ResourceName),
    /// Somebody changed it at the same time; the next pass sees what they did.
    #[error("the Secret {0} was changed at the same time")]
    Conflict(ResourceName),
    #[error("the Secret {secret} cannot be {what}")]
    Api {
        secret: ResourceName,
        what: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("the Secrets of the operator cannot be listed")]
    List(#[source] Box<kube::Error>),
    #[error(transparent)]
    Key(#[from] signers::KeyError),
    #[error(transparent)]
    Sign(#[from] issuance::Error),
    #[error(transparent)]
    Sealing(#[from] issuance::sealing::SealingError),
    #[error("a key could not be made")]
    Interrupted,
}

impl ProvisionError {
    /// Whether it may be gone by itself: the next pass is to come soon.
    pub fn is_retried(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::Api { .. } | Self::List(_) | Self::Sign(_) | Self::Interrupted => true,
            // What the parent lacks is said of the parent.
            Self::ParentMissing(_)
            | Self::Foreign(_)
            | Self::Unusable { .. }
            | Self::KeyLost(_)
            | Self::SealingLost { .. }
            | Self::Key(_)
            | Self::Sealing(_) => false,
        }
    }

    /// With what caused it, in one sentence.
    pub fn sentence(&self) -> String {
        crate::api::sentence(self)
    }
}
