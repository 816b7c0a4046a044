use crate::{
    authn::Requester,
    identity::HolderId,
    rest::{Idempotency, requester_thumbprint},
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
    let elsewhere = Requester { address: None, ..ann.clone() };
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

#[test]
fn two_certificates_without_a_subject_are_two_requesters() {
    let mut one = request(1).requester;
    (one.credential, one.name, one.holder) = (None, String::new(), Some(HolderId([1; 32])));
    let other = Requester { holder: Some(HolderId([2; 32])), ..one.clone() };
    let named = Requester { holder: None, ..one.clone() };
    let all = [one, other, named];
    for (place, one) in all.iter().enumerate() {
        for other in &all[..place] {
            assert_ne!(one.identity(), other.identity());
            assert_ne!(Idempotency::new(one, "1", b"{}").key, Idempotency::new(other, "1", b"{}").key);
            assert_ne!(requester_thumbprint(one), requester_thumbprint(other));
        }
    }
    let stored = serde_json::to_string(&all[0]).unwrap();
    assert_eq!(serde_json::from_str::<Requester>(&stored).unwrap(), all[0]);
}
