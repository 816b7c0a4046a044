//! What may be used once.

use std::sync::Arc;

use super::samples::*;
use crate::store::Store;

pub async fn a_token_is_claimed_once_among_a_hundred(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..100)
        .map(|number: u8| {
            let store = Arc::clone(&store);
            // Of ten tokens, ten times each.
            tokio::spawn(async move { store.claim_once("nonce", &[number % 10; 16], LATER).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        first += usize::from(task.await.unwrap());
    }
    assert_eq!(first, 10);
    for number in 0..10_u8 {
        assert!(!store.claim_once("nonce", &[number; 16], LATER).await.unwrap());
        // Nor with another end.
        assert!(!store.claim_once("nonce", &[number; 16], LATER.plus_seconds(3600)).await.unwrap());
    }
}

pub async fn claims_of_different_scopes_are_apart_and_end(store: Arc<dyn Store>) {
    let claim = async |scope: &str, token: &[u8], until| store.claim_once(scope, token, until).await.unwrap();
    assert!(claim("a", b"token", NOW).await);
    assert!(claim("b", b"token", LATER).await);
    assert!(claim("", b"", LATER).await);
    assert!(!claim("", b"", LATER).await);
    // Before its end nothing is forgotten; a while after it everything is.
    store.sweep_claims(EARLIER).await.unwrap();
    assert!(!claim("a", b"token", NOW).await);
    store.sweep_claims(NOW.plus_seconds(600)).await.unwrap();
    assert!(claim("a", b"token", NOW.plus_seconds(1200)).await);
    assert!(!claim("b", b"token", LATER).await);
    store.sweep_claims(LATER.plus_seconds(600)).await.unwrap();
    assert!(claim("b", b"token", LATER).await);
}
