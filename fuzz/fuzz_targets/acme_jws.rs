//! JSON that is taken reads as any reader reads it. An external account binding is shown as it came, and the nonce of a
//! request is base64url.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/acme/wire"]
mod wire {
    pub mod algorithm;
    pub mod base64url;
    pub mod identifier;
    #[path = "../../json.rs"]
    pub mod json;
    pub mod jwk;
    pub mod jws;
    pub mod problem;
}

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use wire::{
    base64url,
    json::Object,
    jws::{Binding, Request, Signer},
};

fuzz_target!(|data: &[u8]| {
    same_json(data);
    request(data);
    // A header and a payload of any octets, so that base64url and JSON around them need not be guessed.
    let (header, payload) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    let (protected, payload) = (base64url::encode(header), base64url::encode(payload));
    let jws = json!({ "protected": protected, "payload": payload, "signature": "AAAA" }).to_string();
    request(jws.as_bytes());
    let Ok(binding) = Object::parse(jws.as_bytes()).map(|object| Binding::parse(&object)) else {
        panic!("{jws} is no object");
    };
    if let Ok(binding) = binding {
        let shown: Value = serde_json::from_str(&binding.to_json()).unwrap();
        assert_eq!(shown, serde_json::from_str::<Value>(&jws).unwrap());
    }
});

fn same_json(data: &[u8]) {
    let Ok(object) = Object::parse(data) else { return };
    let value: Value = serde_json::from_slice(data).unwrap();
    // Fractions need not survive being written.
    if !has_fraction(&value) {
        assert_eq!(Object::parse(value.to_string().as_bytes()), Ok(object));
    }
}

fn request(jws: &[u8]) {
    let Ok(request) = Request::parse(jws) else { return };
    assert!(base64url::decode(request.nonce(), 2048).is_ok());
    if let Signer::Jwk(key) = request.signer().clone()
        && let Ok(verified) = request.verify(&key)
    {
        // Only a seed can come here.
        let _ =
            (verified.object(), verified.key_change("https://ca.example", "https://ca.example/acct/1", &key));
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(elements) => elements.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
