use crate::{
    rest::Idempotency,
    store::suite::samples::{credential_id, request},
};

#[test]
fn the_words_of_one_credential_say_nothing_of_anothers() {
    let ann = request(1).requester;
    let mut bob = ann.clone();
    bob.credential = Some(credential_id(2));
    let mut certificate = ann.clone();
    certificate.credential = None;
    let mut namesake = certificate.clone();
    namesake.name = credential_id(1).to_string();
    let key = |requester, words| Idempotency::new(requester, words, b"{}").key;
    let all = [key(&ann, "1"), key(&ann, "2"), key(&bob, "1"), key(&certificate, "1"), key(&namesake, "1")];
    for (place, one) in all.iter().enumerate() {
        assert!(!all[..place].contains(one), "{place}");
    }
    // The same from another address.
    let elsewhere = crate::authn::Requester { address: None, ..ann.clone() };
    assert_eq!(key(&elsewhere, "1"), key(&ann, "1"));
}

#[test]
fn another_content_is_another_order_under_the_same_key() {
    let ann = request(1).requester;
    let (one, other) = (Idempotency::new(&ann, "1", b"{}"), Idempotency::new(&ann, "1", b"{ }"));
    assert_eq!(one.key, other.key);
    assert_ne!(one.content, other.content);
    let stored = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Idempotency>(&stored).unwrap(), one);
}
