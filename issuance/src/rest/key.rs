//! Keys that the server makes for those who cannot, until they are fetched.

use std::fmt;

use pki::time::Time;
use serde::{Deserialize, Serialize};

use crate::{
    identity::RestOrderId,
    sealing::{SealingError, SealingKeys},
    secret::Secret,
};

/// Where the private key of an order is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "where")]
pub enum OrderKey {
    /// With the requester, who made it.
    Requester,
    /// Here: made by the server, and not fetched yet.
    Held {
        /// PKCS #8, bound to the order.
        #[serde(with = "crate::octets")]
        sealed: Vec<u8>,
    },
    /// Fetched, and no longer here.
    HandedOut { at: Time },
    /// Nowhere: the order came to nothing.
    Discarded,
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requester => f.write_str("Requester"),
            Self::Held { .. } => f.write_str("Held(sealed)"),
            Self::HandedOut { at } => write!(f, "HandedOut({at})"),
            Self::Discarded => f.write_str("Discarded"),
        }
    }
}

impl OrderKey {
    /// Of a PKCS #8 key, for this order.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn seal(keys: &SealingKeys, order: &RestOrderId, pkcs8: &Secret) -> Result<Self, SealingError> {
        Ok(Self::Held { sealed: keys.seal(&purpose(order), pkcs8)? })
    }

    /// The PKCS #8 key of this order; none where it is not here.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn unseal(&self, keys: &SealingKeys, order: &RestOrderId) -> Result<Option<Secret>, SealingError> {
        match self {
            Self::Held { sealed } => keys.unseal(&purpose(order), sealed).map(Some),
            Self::Requester | Self::HandedOut { .. } | Self::Discarded => Ok(None),
        }
    }

    /// The same key sealed with the newest sealing key; none where nothing is to be done.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn resealed(&self, keys: &SealingKeys, order: &RestOrderId) -> Result<Option<Self>, SealingError> {
        match self {
            Self::Held { sealed } if !keys.is_current(sealed) => {
                let pkcs8 = keys.unseal(&purpose(order), sealed)?;
                Self::seal(keys, order, &pkcs8).map(Some)
            }
            Self::Held { .. } | Self::Requester | Self::HandedOut { .. } | Self::Discarded => Ok(None),
        }
    }
}

fn purpose(order: &RestOrderId) -> String {
    format!("rest order/{order}")
}
