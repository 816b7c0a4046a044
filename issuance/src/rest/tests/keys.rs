use crate::{
    rest::OrderKey,
    sealing::{SealingError, SealingKeys},
    secret::Secret,
    store::suite::samples::{NOW, rest_order_id},
};

#[test]
fn a_key_is_sealed_for_its_order_and_never_printed() {
    let keys = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
    let pkcs8 = Secret::new("a private key");
    let (own, other) = (rest_order_id(1), rest_order_id(2));
    let key = OrderKey::seal(&keys, &own, &pkcs8).unwrap();
    assert_eq!(key.unseal(&keys, &own).unwrap(), Some(pkcs8));
    assert_eq!(key.unseal(&keys, &other), Err(SealingError::Tampered));
    assert_eq!(format!("{key:?}"), "Held(sealed)");
    let stored = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<OrderKey>(&stored).unwrap(), key);
    for gone in [OrderKey::Requester, OrderKey::HandedOut { at: NOW }, OrderKey::Discarded] {
        assert_eq!(gone.unseal(&keys, &own).unwrap(), None);
        assert_eq!(gone.resealed(&keys, &own).unwrap(), None);
    }
}

#[test]
fn a_key_moves_to_the_newest_sealing_key() {
    let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
    let id = rest_order_id(1);
    let pkcs8 = Secret::new("a private key");
    let sealed = OrderKey::seal(&SealingKeys::parse(&old).unwrap(), &id, &pkcs8).unwrap();
    let both = SealingKeys::parse(&format!("{}\n{}", *new, *old)).unwrap();
    let moved = sealed.resealed(&both, &id).unwrap().unwrap();
    assert_eq!(moved.unseal(&SealingKeys::parse(&new).unwrap(), &id).unwrap(), Some(pkcs8));
    assert_eq!(moved.resealed(&both, &id).unwrap(), None);
}
