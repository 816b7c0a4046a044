//! What leaves the engine is recorded, what is not recorded does not leave it.

mod acme;
mod approval;
mod issue;
mod order;
mod repeat;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use pki::{algorithm::SignatureAlgorithm, key::PublicKey};

use crate::{
    authority::{Authority, CrlSettings, PublicationUrls},
    error::{Error, Refusal, Rule},
    ports::{SignError, Signer},
    testing::{AuthoritySpec, authority},
};

/// A key that counts what it signs, says so in a log, and can be out of reach.
#[derive(Debug)]
struct WatchedKey {
    key: Arc<dyn Signer>,
    signatures: AtomicUsize,
    gone: AtomicBool,
    log: Arc<Mutex<Vec<String>>>,
}

impl WatchedKey {
    fn signatures(&self) -> usize {
        self.signatures.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Signer for WatchedKey {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.key.signature_algorithm()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(SignError::Unavailable("the token was pulled out".into()));
        }
        self.signatures.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push("sign".into());
        self.key.sign(message).await
    }
}

/// An authority whose key is watched, writing to this log.
fn watched(log: Arc<Mutex<Vec<String>>>) -> (Arc<Authority>, Arc<WatchedKey>) {
    let plain = authority(AuthoritySpec::default());
    let key = Arc::new(WatchedKey {
        key: plain.signer.clone(),
        signatures: AtomicUsize::new(0),
        gone: AtomicBool::new(false),
        log,
    });
    let crl = CrlSettings { ..plain.crl };
    let authority = Authority::new(
        plain.name.clone(),
        plain.certificate.clone(),
        plain.chain.clone(),
        key.clone(),
        crl,
        &PublicationUrls::default(),
    );
    (Arc::new(authority.unwrap()), key)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, rule: Rule) -> Refusal {
    match outcome {
        Err(Error::Refused(refusal)) if refusal.rule() == rule => refusal,
        other => panic!("not refused by {rule:?}: {other:?}"),
    }
}
