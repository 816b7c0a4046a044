use issuance::secret::Secret;
use pki::time::Time;
use serde_json::{Value, json};

use super::{accepts_world, world::World};
use crate::{Compiled, CompiledError, CompiledPrevious, FORMAT};

fn compiled() -> Compiled {
    let world = World::base()
        .with("{kind: Secret, apiVersion: v1, metadata: {name: given, namespace: pki}, stringData: {password: hunter2}}")
        .with("{kind: EnrollmentCredential, metadata: {name: given, namespace: pki}, spec: {methodRef: {name: method}, est: {}, owner: {user: ann}, valueFrom: {secretKeyRef: {name: given}}}}");
    accepts_world(&world);
    world.settle().resolution.compiled.unwrap()
}

/// The configuration as JSON, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&compiled().to_json().unwrap()).unwrap();
    change(&mut json);
    json.to_string().into_bytes()
}

#[test]
fn a_configuration_survives_being_written() {
    let compiled = compiled();
    let json = compiled.to_json().unwrap();
    assert_eq!(Compiled::from_json(&json).unwrap(), compiled);
    assert_eq!(Compiled::from_json(&json).unwrap().to_json().unwrap(), json);
}

#[test]
fn a_value_before_survives_being_written_and_where_there_is_none_nothing_is_said_of_it() {
    let mut compiled = compiled();
    let without = compiled.to_json().unwrap();
    assert!(!String::from_utf8(without.clone()).unwrap().contains("previous"), "as it was before overlaps");
    assert_eq!(Compiled::from_json(&without).unwrap().credentials[1].previous, None);
    let previous = CompiledPrevious { value: Secret::new([0xfb; 32]), until: Time::from_unix(1_800_000_000) };
    compiled.credentials[1].previous = Some(previous);
    let json = compiled.to_json().unwrap();
    assert_eq!(Compiled::from_json(&json).unwrap(), compiled);
    let printed = format!("{:?}", compiled.credentials[1]);
    assert!(printed.contains("previous: Some") && !printed.contains("251"), "a secret is printed");
}

#[test]
fn another_format_is_refused_whatever_else_it_holds() {
    for format in [0, u64::from(FORMAT) + 1, u64::MAX] {
        let error =
            Compiled::from_json(json!({"format": format, "new": []}).to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, CompiledError::Format { found } if found == format), "{error}");
        assert!(error.to_string().contains(&format!("has format {format}")), "{error}");
    }
}

#[test]
fn what_is_no_configuration_is_refused_without_repeating_it() {
    let secret = "aHVudGVyMg==";
    assert!(
        String::from_utf8(compiled().to_json().unwrap()).unwrap().contains(secret),
        "the test looks for the wrong thing"
    );
    for bad in [
        Vec::new(),
        b"{".to_vec(),
        b"{}".to_vec(),
        b"{\"format\": \"1\"}".to_vec(),
        b"{\"format\": 1}".to_vec(),
        changed(|json| json["credentials"][1]["value"] = json!({"given": [secret]})),
        changed(|json| json["credentials"][1]["value"] = json!({"given": format!("{secret}!")})),
        changed(|json| json["credentials"][1]["value"] = json!({ "given": secret, "generate": secret })),
        changed(|json| json["authorities"][0]["chain"] = json!(["!"])),
        changed(|json| json["methods"][0]["name"] = json!("no-namespace")),
    ] {
        let error = Compiled::from_json(&bad).unwrap_err();
        assert!(matches!(error, CompiledError::Malformed { .. }), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2")
                && !format!("{error} {error:?}").contains(secret),
            "{error:?}"
        );
    }
}

#[test]
fn members_that_a_newer_release_adds_are_read_over() {
    let newer = changed(|json| {
        json["new"] = json!(1);
        json["server"]["new"] = json!({});
        json["methods"][0]["new"] = json!([]);
    });
    assert_eq!(Compiled::from_json(&newer).unwrap(), compiled_with_the_keys_of(&newer));
}

/// The same configuration as in this JSON: keys are made anew for every world, so that two worlds never compile alike.
fn compiled_with_the_keys_of(json: &[u8]) -> Compiled {
    let mut json: Value = serde_json::from_slice(json).unwrap();
    json.as_object_mut().unwrap().remove("new");
    json["server"].as_object_mut().unwrap().remove("new");
    json["methods"][0].as_object_mut().unwrap().remove("new");
    Compiled::from_json(json.to_string().as_bytes()).unwrap()
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", compiled());
    assert!(printed.contains("redacted") && !printed.contains("hunter2"), "{printed}");
}
