//! EST's settings and the successor of an authority: what resolves, to what, and what does not and why.
//!
//! Certificates and revocation lists are those of `fixtures/recorded`. Authorities here have them as if they had been made.
#![cfg(test)]

mod support;

use std::time::Duration;

use crds::{EstAuthentication, Kind, ReenrollKeys, RevocationCheck, conditions::Reason};
use issuance::{
    policy::Strength::{self, Certificate, CertificateAndSecret, PersonalSecret, SharedSecret},
    secret::Secret,
};
use pki::algorithm::KeyAlgorithm;
use resolve::{Compiled, CompiledEst, CompiledReenroll, CompiledTrust, MethodSettings};
use serde_json::{Value, json};

use self::support::{World, der, pem};

/// Settings of the method with these trusted authorities.
fn trusting(authorities: Value) -> Value {
    json!({"authentication": "Certificate", "clientCertificates": {"authorities": authorities}})
}

fn bundle(names: &[&str]) -> Value {
    json!({"bundle": names.iter().map(|name| pem(name)).collect::<String>()})
}

fn with_lists(crls: Value) -> Value {
    let authorities = [bundle(&["root", "devices"])];
    json!({"authentication": "Both", "clientCertificates": {"authorities": authorities, "crls": crls}})
}

fn notice(url: &str) -> Value {
    json!({"notices": [{"before": ["7d", "30d", "1w"], "webhook": {"url": url, "secretRef": {"name": "hook"}}}]})
}

fn hook(key: &str, value: &str) -> Value {
    support::secret("hook", key, value)
}

fn rejects(world: &World, est: Value, reason: Reason, message: &str) {
    world.clone().est(est).rejects(Kind::EnrollmentMethod, "pki/method", reason, message);
}

fn compile(world: &World, est: Value) -> CompiledEst {
    let compiled = world.clone().est(est).compiled();
    let method = compiled.methods.into_iter().next().expect("the method is not compiled");
    match method.settings {
        MethodSettings::Est(est) => est,
        MethodSettings::Acme(_) | MethodSettings::Rest(_) | MethodSettings::Issuer(_) => {
            panic!("this is no method of EST")
        }
    }
}

fn trust(world: &World, est: Value) -> CompiledTrust {
    compile(world, est).trust.expect("nothing is trusted")
}

fn minimum(est: Value) -> Strength {
    World::base().est(est).compiled().methods[0].minimum
}

#[test]
fn client_certificates_are_there_where_they_are_looked_at_and_nowhere_else() {
    let world = World::base();
    let needed = "spec.est.clientCertificates: is needed";
    for authentication in ["Certificate", "Either", "Both"] {
        rejects(&world, json!({"authentication": authentication}), Reason::Invalid, needed);
    }
    let mut given = trusting(json!([bundle(&["root"])]));
    given["authentication"] = "Basic".into();
    rejects(&world, given, Reason::Invalid, "spec.est.clientCertificates: is refused");
}

#[test]
fn a_bundle_that_cannot_be_trusted_is_refused_with_its_reason() {
    let world = World::base();
    for (bundle, message) in [
        (json!({"bundle": "hello"}), "authorities[0].bundle: holds no certificate"),
        (json!({"bundle": "-----BEGIN CERTIFICATE-----\nAA"}), "authorities[0].bundle: is not PEM"),
        (
            json!({"bundle": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}),
            "authorities[0].bundle: holds",
        ),
        (json!({"bundle": pem("root.crl")}), "authorities[0].bundle: holds a X509 CRL"),
        (bundle(&["root", "leaf"]), "\"CN=Device\" is no authority"),
        (bundle(&["signer"]), "\"CN=Signer\" may not sign certificates"),
        (bundle(&["root", "batch"]), "\"CN=Manufacturer Batch\" is not self-signed, and no certificate here"),
        (bundle(&["other", "devices"]), "add \"CN=Manufacturer Root\""),
        (bundle(&["root"; 65]), "holds 65 certificates; 64 are the most"),
        (json!({}), "authorities[0]: give exactly one of"),
        (json!({"bundle": pem("root"), "secretRef": {"name": "s"}}), "authorities[0]: give exactly one of"),
    ] {
        rejects(&world, trusting(json!([bundle])), Reason::Invalid, message);
    }
    rejects(&world, trusting(json!([])), Reason::Invalid, "authorities: give at least one");
}

#[test]
fn a_secret_that_holds_no_bundle_is_refused_with_its_reason() {
    let settings = || trusting(json!([{"secretRef": {"name": "bundle"}}]));
    let path = "spec.est.clientCertificates.authorities[0].secretRef: the Secret pki/bundle";
    let world = World::base();
    let reason = Reason::SecretInvalid;
    rejects(&world, settings(), reason, &format!("{path} does not exist"));
    let other_key = world.clone().with(support::secret("bundle", "tls.crt", &pem("root")));
    rejects(&other_key, settings(), reason, &format!("{path}: ca.crt is missing"));
    let leaf = world.clone().with(support::secret("bundle", "ca.crt", &pem("leaf")));
    rejects(&leaf, settings(), reason, &format!("{path}: ca.crt \"CN=Device\" is no authority"));
    let elsewhere = world.with(support::secret_in("other", "bundle", "ca.crt", &pem("root")));
    rejects(&elsewhere, settings(), reason, &format!("{path} does not exist"));
}

#[test]
fn an_authority_that_may_not_be_trusted_is_refused_with_its_reason() {
    let by = |reference: Value| trusting(json!([{"certificateAuthorityRef": reference}]));
    let path = "spec.est.clientCertificates.authorities[0].certificateAuthorityRef";
    let world = World::base();
    rejects(&world, by(json!({"name": "none"})), Reason::ReferenceNotFound, path);
    let broken = world.clone().with(support::authority("pki", "broken", json!({"validity": "0d"})));
    rejects(&broken, by(json!({"name": "broken"})), Reason::ReferenceNotAccepted, path);
    let foreign = world.clone().with(support::authority("factory", "root", json!({})));
    let reference = json!({"name": "root", "namespace": "factory"});
    rejects(&foreign, by(reference.clone()), Reason::ReferenceNotPermitted, path);
    let granted = json!({"allowedNamespaces": {"namespaces": ["pki"]}});
    let foreign = world.with(support::authority("factory", "root", granted));
    foreign.est(by(reference)).accepts();
}

#[test]
fn revocation_lists_that_would_never_be_used_are_refused() {
    let world = World::base();
    for (list, message) in [
        (json!({"bundle": "hello"}), "crls[0].bundle: holds no revocation list"),
        (json!({"bundle": pem("root")}), "crls[0].bundle: holds a CERTIFICATE"),
        (
            json!({"bundle": "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"}),
            "crls[0].bundle: holds",
        ),
        (json!({"bundle": pem("delta.crl")}), "crls[0].bundle: holds a delta"),
        (json!({"bundle": pem("other.crl")}), "no certificate under authorities signed"),
        (json!({"bundle": pem("root.crl").repeat(17)}), "holds 17 revocation lists"),
        (json!({}), "crls[0]: give exactly one of secretRef and bundle"),
        (
            json!({"bundle": pem("root.crl"), "secretRef": {"name": "s"}}),
            "crls[0]: give exactly one of secretRef and bundle",
        ),
    ] {
        rejects(&world, with_lists(json!([list])), Reason::Invalid, message);
    }
    let from_secret = with_lists(json!([{"secretRef": {"name": "lists", "key": "all"}}]));
    let path = "crls[0].secretRef: the Secret pki/lists";
    rejects(&world, from_secret.clone(), Reason::SecretInvalid, &format!("{path} does not exist"));
    let world = world.with(support::secret("lists", "all", &pem("delta.crl")));
    rejects(&world, from_secret, Reason::SecretInvalid, &format!("{path}: all holds a delta"));
}

#[test]
fn a_key_that_the_profile_does_not_allow_is_not_made() {
    let world = World::base();
    let made = |key: &str| json!({"serverKeyGeneration": {"delivery": "Plain", "key": key}});
    let message = "serverKeyGeneration.key: the profile pki/profile does not allow RSA-4096 keys";
    rejects(&world, made("RSA-4096"), Reason::Invalid, message);
    let key_generation = compile(&world, made("ECDSA-P384")).server_key_generation.unwrap();
    assert_eq!(
        (key_generation.key, key_generation.delivery),
        (KeyAlgorithm::EcdsaP384, crds::KeyDelivery::Plain)
    );
}

#[test]
fn a_shared_key_for_handing_over_keys_is_one_for_aes() {
    let settings = json!({"serverKeyGeneration": {
        "delivery": "Encrypted",
        "decryptKeys": [{"identifier": "press-1", "secretRef": {"name": "shared"}}],
    }});
    let path = "spec.est.serverKeyGeneration.decryptKeys[0].secretRef: the Secret pki/shared";
    let reason = Reason::SecretInvalid;
    rejects(&World::base(), settings.clone(), reason, &format!("{path} does not exist"));
    for (key, value, message) in [
        ("password", "0123456789abcdef", "key is missing"),
        ("key", "0123456789abcde", "key must have 16 or 32 octets"),
        ("key", "0123456789abcdef0123456789abcdef0", "key must have 16 or 32 octets"),
    ] {
        let world = World::base().with(support::secret("shared", key, value));
        rejects(&world, settings.clone(), reason, &format!("{path}: {message}"));
    }
    let world = World::base().with(support::secret("shared", "key", "0123456789abcdef"));
    let keys = compile(&world, settings).server_key_generation.unwrap().decrypt_keys;
    let [shared] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(
        (shared.identifier.as_slice(), &shared.key),
        (&b"press-1"[..], &Secret::new("0123456789abcdef"))
    );
}

#[test]
fn notices_are_refused_with_their_reason() {
    let secret = "spec.est.notices[0].webhook.secretRef: the Secret pki/hook";
    let url = "https://operations.example/hook";
    let reason = Reason::SecretInvalid;
    rejects(&World::base(), notice(url), reason, &format!("{secret} does not exist"));
    for (key, value, message) in [
        ("password", "0123456789abcdef", "secret is missing"),
        ("secret", "0123456789abcde", "secret must have 16 to 1024 octets"),
        ("secret", &"0".repeat(1025), "secret must have 16 to 1024 octets"),
        ("secret", "0123456789abcdef\n", "secret ends with a line break"),
    ] {
        let world = World::base().with(hook(key, value));
        rejects(&world, notice(url), reason, &format!("{secret}: {message}"));
    }
    let world = World::base().with(hook("secret", "0123456789abcdef"));
    for url in [
        "http://operations.example/hook",
        "http://127.0.0.1@operations.example/",
        "http://localhost.example/",
        "http://localhost:80@operations.example/",
        "https://user:password@operations.example/",
        "https://operations.example/#x",
        "https://operations.example/ x",
        "https://operations.example:0/",
        "https://operations.example:99999/",
        "https://:443/",
        "https:///hook",
        "https://",
        "ftp://operations.example/",
    ] {
        rejects(&world, notice(url), Reason::Invalid, "spec.est.notices[0].webhook.url");
    }
    for before in [json!([]), json!(["0s"]), json!(["7d", "0h"])] {
        let mut settings = notice(url);
        settings["notices"][0]["before"] = before;
        rejects(&world, settings, Reason::Invalid, "spec.est.notices[0].before");
    }
}

#[test]
fn notices_are_compiled_with_the_longest_time_first() {
    let world = World::base().with(hook("secret", "0123456789abcdef"));
    let week = Duration::from_secs(7 * 86_400);
    let month = Duration::from_secs(30 * 86_400);
    for url in [
        "https://operations.example",
        "https://operations.example:8443/hook?a=b@c",
        "https://[2001:db8::1]:8443/",
        "http://localhost:9000/hook",
        "http://127.0.0.1/",
        "http://[::1]",
        "http://[::1]:9000/",
    ] {
        let notices = compile(&world, notice(url)).notices;
        let [notice] = notices.as_slice() else { panic!("{notices:?}") };
        assert_eq!(notice.before, [month, week]);
        assert_eq!(notice.url, url);
        assert_eq!(notice.secret, Secret::new("0123456789abcdef"));
    }
}

#[test]
fn a_profile_can_insist_on_what_the_method_asks_for_and_on_no_more() {
    let certificates = || json!({"authorities": [bundle(&["root"])]});
    let settings = |authentication: EstAuthentication| match authentication {
        EstAuthentication::Basic => json!({}),
        EstAuthentication::Certificate | EstAuthentication::Either | EstAuthentication::Both => {
            json!({"authentication": authentication, "clientCertificates": certificates()})
        }
    };
    for (authentication, least, most) in [
        (EstAuthentication::Basic, SharedSecret, PersonalSecret),
        // Whoever has the password needs no certificate, so that a profile that wants one cannot have it.
        (EstAuthentication::Either, SharedSecret, PersonalSecret),
        (EstAuthentication::Certificate, Certificate, Certificate),
        (EstAuthentication::Both, CertificateAndSecret, CertificateAndSecret),
    ] {
        assert_eq!(minimum(settings(authentication)), least, "{authentication}");
        for (word, wanted) in [
            ("SharedSecret", SharedSecret),
            ("PersonalSecret", PersonalSecret),
            ("Certificate", Certificate),
            ("CertificateAndSecret", CertificateAndSecret),
        ] {
            let world = World::base().with(support::profile(word)).est(settings(authentication));
            if wanted <= most {
                assert_eq!(
                    world.compiled().methods[0].minimum,
                    least.max(wanted),
                    "{authentication} for {word}"
                );
            } else {
                let message = format!("asks for {word}, which this method cannot ask for");
                world.rejects(Kind::EnrollmentMethod, "pki/method", Reason::AuthenticationTooWeak, &message);
            }
        }
    }
}

#[test]
fn a_password_is_declared_only_where_one_is_taken() {
    let passphrase = || support::credential(json!({}));
    let world = World::base().with(passphrase()).est(trusting(json!([bundle(&["root"])])));
    let message = "spec.methodRef: the method pki/method takes certificates only";
    world.rejects(Kind::EnrollmentCredential, "pki/credential", Reason::Invalid, message);
    for authentication in ["Either", "Both"] {
        let mut settings = trusting(json!([bundle(&["root"])]));
        settings["authentication"] = authentication.into();
        World::base().with(passphrase()).est(settings).accepts();
    }
}

#[test]
fn self_signed_certificates_are_anchors_and_the_others_lead_to_them() {
    let found = trust(&World::base(), trusting(json!([bundle(&["devices", "root", "batch", "root"])])));
    assert_eq!(found.anchors, [der("root")]);
    assert_eq!(found.intermediates, [der("devices"), der("batch")]);
    assert_eq!(found.revocation, RevocationCheck::IfGiven);
    assert!(found.authorities.is_empty());
}

#[test]
fn without_a_self_signed_certificate_all_of_a_bundle_are_anchors() {
    let found = trust(&World::base(), trusting(json!([bundle(&["devices", "batch"])])));
    assert_eq!(found.anchors, [der("devices"), der("batch")]);
    assert!(found.intermediates.is_empty());
}

#[test]
fn each_bundle_is_taken_by_itself() {
    let world = World::base().with(support::secret("more", "bundle.pem", &pem("batch")));
    let settings = trusting(json!([
        bundle(&["other"]),
        {"secretRef": {"name": "more", "key": "bundle.pem"}},
        bundle(&["root", "devices"]),
        bundle(&["root", "devices", "batch"]),
    ]));
    let found = trust(&world, settings);
    assert_eq!(found.anchors, [der("other"), der("batch"), der("root")]);
    assert_eq!(found.intermediates, [der("devices")], "an anchor is no intermediate as well");
}

#[test]
fn a_root_whose_own_signature_is_too_weak_to_check_is_an_anchor_all_the_same() {
    let found = trust(&World::base(), trusting(json!([bundle(&["old-devices", "old"])])));
    assert_eq!((found.anchors, found.intermediates), (vec![der("old")], vec![der("old-devices")]));
}

#[test]
fn a_root_that_changes_its_key_does_not_make_the_new_key_an_anchor() {
    let found = trust(&World::base(), trusting(json!([bundle(&["rollover", "root"])])));
    assert_eq!((found.anchors, found.intermediates), (vec![der("root")], vec![der("rollover")]));
}

#[test]
fn an_expired_root_is_left_to_whoever_checks_a_path() {
    let found = trust(&World::base(), trusting(json!([bundle(&["expired"])])));
    assert_eq!(found.anchors, [der("expired")]);
}

#[test]
fn revocation_lists_are_compiled_with_what_is_asked_of_them() {
    let world = World::base().with(support::secret("lists", "ca.crl", &pem("devices.crl")));
    let mut settings = with_lists(json!([{"bundle": pem("root.crl")}, {"secretRef": {"name": "lists"}}]));
    settings["clientCertificates"]["revocation"] = "Required".into();
    let found = trust(&world, settings);
    assert_eq!(found.crls, [der("root.crl"), der("devices.crl")]);
    assert_eq!(found.revocation, RevocationCheck::Required);
}

#[test]
fn of_an_authority_here_it_alone_is_trusted_and_not_its_root() {
    let settings = trusting(json!([{"certificateAuthorityRef": {"name": "factory-devices"}}]));
    let world = World::base().with_factory();
    let found = trust(&world, settings);
    assert_eq!(found.anchors, [der("devices")]);
    assert!(found.intermediates.is_empty());
    assert_eq!(found.authorities, [support::name("pki/factory-devices")]);
}

#[test]
fn the_store_of_this_server_does_not_speak_for_authorities_of_another() {
    let settings = trusting(json!([{"certificateAuthorityRef": {"name": "factory"}}]));
    let world = World::base().with_second_server().with_factory_of("other-server");
    let compiled = world.est(settings).compiled_for("pki/server");
    let MethodSettings::Est(est) = &compiled.methods[0].settings else { panic!("not EST") };
    let trust = est.trust.as_ref().unwrap();
    assert_eq!(trust.anchors, [der("root")]);
    assert!(trust.authorities.is_empty(), "{:?}", trust.authorities);
}

#[test]
fn a_method_waits_for_an_authority_that_it_trusts() {
    let settings = trusting(json!([{"certificateAuthorityRef": {"name": "factory"}}]));
    let world = World::base().with(support::authority("pki", "factory", json!({}))).est(settings);
    world.accepts();
    let compiled = world.compiled();
    assert!(compiled.methods.is_empty() && compiled.server.default_method.is_none(), "{compiled:?}");
}

#[test]
fn renewal_is_on_until_it_is_switched_off() {
    let world = World::base();
    let reenroll = |settings: Value| compile(&world, json!({"reenroll": settings})).reenroll;
    let default = CompiledReenroll { grace: Duration::ZERO, keys: ReenrollKeys::Any };
    assert_eq!(compile(&world, json!({})).reenroll, Some(default));
    assert_eq!(reenroll(json!({"graceAfterExpiry": "0s"})), Some(default));
    let late = CompiledReenroll { grace: Duration::from_secs(30 * 86_400), keys: ReenrollKeys::New };
    assert_eq!(reenroll(json!({"graceAfterExpiry": "30d", "keys": "New"})), Some(late));
    assert_eq!(reenroll(json!({"state": "Disabled", "graceAfterExpiry": "30d"})), None);
}

#[test]
fn what_is_compiled_reads_back_and_what_was_written_before_est_had_settings_is_read_too() {
    let world = World::base().with_factory().with(hook("secret", "0123456789abcdef")).est(json!({
        "authentication": "Both",
        "clientCertificates": {
            "authorities": [bundle(&["root", "devices"]), {"certificateAuthorityRef": {"name": "factory-devices"}}],
            "crls": [{"bundle": pem("root.crl")}],
        },
        "reenroll": {"state": "Disabled"},
        "serverKeyGeneration": {"delivery": "Encrypted"},
        "notices": notice("https://operations.example")["notices"],
    }));
    let compiled = world.compiled();
    assert_eq!(Compiled::from_json(&compiled.to_json().unwrap()).unwrap(), compiled);

    let basic = World::base().est(json!({})).compiled();
    let mut old: Value = serde_json::from_slice(&basic.to_json().unwrap()).unwrap();
    old["methods"][0]["settings"] = json!({"est": {}});
    for authority in old["authorities"].as_array_mut().unwrap() {
        authority.as_object_mut().unwrap().remove("successor");
    }
    assert_eq!(Compiled::from_json(old.to_string().as_bytes()).unwrap(), basic);
}

#[test]
fn a_successor_is_refused_with_its_reason() {
    let succeeded_by = |reference: Value| {
        World::base().with_factory().with(support::authority(
            "pki",
            "issuing",
            json!({"subject": {"commonName": "Other Root"}, "successorRef": reference}),
        ))
    };
    let rejects = |world: &World, reason, message: &str| {
        world.rejects(
            Kind::CertificateAuthority,
            "pki/issuing",
            reason,
            &format!("spec.successorRef: {message}"),
        )
    };
    rejects(&succeeded_by(json!({"name": "issuing"})), Reason::Invalid, "names the authority itself");
    rejects(&succeeded_by(json!({"name": "none"})), Reason::ReferenceNotFound, "there is no");
    let foreign = json!({"name": "next", "namespace": "factory"});
    let next = |spec| support::authority("factory", "next", spec);
    let world = succeeded_by(foreign.clone()).with(next(json!({})));
    rejects(&world, Reason::ReferenceNotPermitted, "factory/next does not list the namespace pki");
    let world = succeeded_by(foreign).with(next(json!({"allowedNamespaces": {"namespaces": ["pki"]}})));
    world.accepts();
    let world = succeeded_by(json!({"name": "factory"})).with_second_server().with_factory_of("other-server");
    rejects(&world, Reason::ServerMismatch, "pki/factory belongs to the EnrollmentServer pki/other-server");
}

#[test]
fn successors_do_not_lead_back() {
    let authority = |name: &str, successor: &str| {
        support::authority("pki", name, json!({"successorRef": {"name": successor}}))
    };
    let world = World::base()
        .with(authority("before", "one"))
        .with(authority("one", "two"))
        .with(authority("two", "three"))
        .with(authority("three", "one"));
    let resolution = world.resolve();
    for name in ["pki/one", "pki/two", "pki/three"] {
        support::assert_rejected(
            &resolution,
            Kind::CertificateAuthority,
            name,
            Reason::ReferenceCycle,
            "lead back",
        );
    }
    let before = resolution.status(Kind::CertificateAuthority, &support::name("pki/before")).unwrap();
    assert!(before.is_accepted(), "what leads into a loop is not in it: {before:?}");
}

#[test]
fn a_successor_is_compiled_once_it_has_its_certificate() {
    let succeeded = || {
        World::base().with(support::authority(
            "pki",
            "issuing",
            json!({"subject": {"commonName": "Other Root"}, "successorRef": {"name": "factory"}}),
        ))
    };
    let successor = |world: World| {
        let compiled = world.compiled();
        let issuing =
            compiled.authorities.into_iter().find(|authority| authority.name == support::name("pki/issuing"));
        issuing.expect("the authority went down with its successor").successor
    };
    assert_eq!(successor(succeeded().with_factory()), Some(support::name("pki/factory")));
    assert_eq!(successor(succeeded().with(support::authority("pki", "factory", json!({})))), None);
    let broken = support::authority("pki", "factory", json!({"validity": "0d"}));
    assert_eq!(successor(succeeded().with_factory().with(broken)), None);
    assert_eq!(successor(World::base()), None);
}

#[test]
fn the_example_resolves_as_it_lies_there() {
    let world = World::example("est");
    world.accepts();
    let wanted: Vec<String> = world.resolve().wants.iter().map(|want| want.name().to_string()).collect();
    assert_eq!(wanted, ["devices/devices-2026", "devices/devices-2030"]);
}

#[test]
fn a_server_has_one_storage() {
    for (storage, accepted) in [
        (json!({"sqlite": {}}), true),
        (json!({"postgres": {"secretRef": {"name": "database"}}}), true),
        (json!({}), false),
        (json!({"sqlite": {}, "postgres": {"secretRef": {"name": "database"}}}), false),
    ] {
        let world = World::base().with(support::server("server", storage.clone()));
        if accepted {
            world.accepts();
        } else {
            let message = "spec.storage: give exactly one storage";
            world.rejects(Kind::EnrollmentServer, "pki/server", Reason::Invalid, message);
        }
    }
}
