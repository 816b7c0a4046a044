//! Who is let in without a certificate of the profile: by a password, a certificate of somebody whom the method trusts,
//! either or both (RFC 7030 §3.2.3, §3.3.2).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::{EstAuthentication, RevocationCheck};
use http::{StatusCode, header::WWW_AUTHENTICATE};
use issuance::{
    approval::Verdict,
    audit::Actor,
    policy::{Approval, Oid, Strength},
    revocation::Revocation,
    store::{Page, RequestFilter},
};
use pki::{
    certificate::Certificate,
    extension::{ReasonCode, eku_oid},
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, SerialNumber, date_time_ymd};
use resolve::CompiledTrust;

use super::{
    scene::{Answer, Scene, Setup, basic, post},
    strangers::{Stranger, csr},
};

/// What the method is told to trust, and the lists it has.
fn trusting(mode: EstAuthentication, trust: CompiledTrust) -> Setup {
    Setup::default().settings(move |est, _| {
        est.authentication = mode;
        est.trust = Some(trust);
    })
}

fn trust(anchors: &[&Stranger], intermediates: &[&Stranger], crls: Vec<Vec<u8>>) -> CompiledTrust {
    let der = |strangers: &[&Stranger]| strangers.iter().map(|stranger| stranger.der.clone()).collect();
    CompiledTrust {
        anchors: der(anchors),
        intermediates: der(intermediates),
        crls,
        revocation: RevocationCheck::IfGiven,
        authorities: Vec::new(),
    }
}

/// The passwords a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Password {
    None,
    Right,
    Wrong,
}

async fn enroll(scene: &Scene, password: Password, chain: &[Vec<u8>]) -> Answer {
    let csr = csr("device-1");
    let authorization = match password {
        Password::None => return scene.with_certificate("simpleenroll", &csr, chain).await,
        Password::Right => scene.basic("anyone"),
        Password::Wrong => basic("anyone", b"wrong"),
    };
    let path = "/.well-known/est/devices/simpleenroll";
    scene.send_as(post(path, &authorization, STANDARD.encode(csr)), chain).await
}

/// A manufacturer with everything that can be wrong with a certificate of its devices.
struct Manufacturer {
    root: Stranger,
    intermediate: Stranger,
}

impl Manufacturer {
    fn new() -> Self {
        let root = Stranger::root("Manufacturer");
        let intermediate = root.intermediate("Manufacturer Devices");
        Self { root, intermediate }
    }

    fn good(&self) -> Vec<Vec<u8>> {
        vec![self.intermediate.device(|_| {}).der]
    }

    /// Number 13 is on the list of the intermediate.
    fn trust(&self) -> CompiledTrust {
        trust(&[&self.root], &[&self.intermediate], vec![self.intermediate.crl(13, 2049)])
    }

    fn bad(&self) -> Vec<(&'static str, Vec<Vec<u8>>)> {
        let device = |change: fn(&mut CertificateParams)| vec![self.intermediate.device(change).der];
        let foreign = Stranger::root("Foreign");
        let same_name = Stranger::root("Manufacturer Devices");
        vec![
            ("foreign", vec![foreign.device(|_| {}).der, foreign.der.clone()]),
            ("of another authority of the same name", vec![same_name.device(|_| {}).der]),
            ("expired", device(|params| params.not_after = date_time_ymd(2025, 1, 1))),
            ("not valid yet", device(|params| params.not_before = date_time_ymd(2040, 1, 1))),
            ("revoked", device(|params| params.serial_number = Some(SerialNumber::from(13u64)))),
            (
                "for servers",
                device(|params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }),
            ),
            (
                "not for signatures",
                device(|params| {
                    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
                }),
            ),
            ("the root itself", vec![self.root.der.clone()]),
            ("an authority", vec![self.intermediate.intermediate("Sub").der]),
            ("in a chain without end", [self.good(), vec![self.root.der.clone(); 10]].concat()),
            ("no certificate", vec![b"\x30\x03\x02\x01\x00".to_vec()]),
        ]
    }
}

#[tokio::test]
async fn each_mode_takes_what_it_says_and_nothing_less() {
    use EstAuthentication as Mode;
    use Password::{None, Right, Wrong};
    let manufacturer = Manufacturer::new();
    let (ok, asked, refused) = (StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    // For each mode and password: without a certificate, with a good one, with a bad one.
    let table = [
        (Mode::Basic, None, [asked, asked, asked]),
        (Mode::Basic, Right, [ok, ok, ok]),
        (Mode::Basic, Wrong, [asked, asked, asked]),
        (Mode::Certificate, None, [refused, ok, refused]),
        (Mode::Certificate, Right, [refused, ok, refused]),
        (Mode::Certificate, Wrong, [refused, ok, refused]),
        (Mode::Either, None, [asked, ok, asked]),
        (Mode::Either, Right, [ok, ok, ok]),
        (Mode::Either, Wrong, [asked, asked, asked]),
        // Where the certificate is what fails, no password would help.
        (Mode::Both, None, [refused, asked, refused]),
        (Mode::Both, Right, [refused, ok, refused]),
        (Mode::Both, Wrong, [refused, asked, refused]),
    ];
    for (mode, password, [without, good, bad]) in table {
        let setup = trusting(mode, manufacturer.trust());
        let scene = Scene::of(Setup { limits: unthrottled(), ..setup }).await;
        let mut cases = vec![("none", Vec::new(), without), ("good", manufacturer.good(), good)];
        cases.extend(manufacturer.bad().into_iter().map(|(what, chain)| (what, chain, bad)));
        for (what, chain, expected) in cases {
            let before = scene.issued().await;
            let answer = enroll(&scene, password, &chain).await;
            assert_eq!(answer.status, expected, "{mode:?}, {password:?}, {what}: {}", answer.text());
            let is_asked = answer.headers.contains_key(WWW_AUTHENTICATE);
            assert_eq!(is_asked, expected == asked, "{mode:?}, {password:?}, {what}");
            let more = usize::from(expected == ok);
            assert_eq!(scene.issued().await, before + more, "{mode:?}, {password:?}, {what}");
        }
    }
}

/// A table of refusals is more than one address may have.
fn unthrottled() -> crate::listeners::Limits {
    let mut limits = crate::listeners::Limits::default();
    limits.failed_authentications.enforced = false;
    limits
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_not_told_apart() {
    let manufacturer = Manufacturer::new();
    let setup = trusting(EstAuthentication::Certificate, manufacturer.trust());
    let scene = Scene::of(Setup { limits: unthrottled(), ..setup }).await;
    for (what, chain) in manufacturer.bad() {
        let answer = enroll(&scene, Password::None, &chain).await;
        assert_eq!(answer.text(), "the client certificate is not accepted here\n", "{what}");
    }
    let none = enroll(&scene, Password::None, &[]).await;
    none.refused(StatusCode::FORBIDDEN, "a client certificate is needed here, in the TLS handshake");
}

#[tokio::test]
async fn a_client_may_send_its_own_certificate_alone_where_the_method_knows_the_rest() {
    let Manufacturer { root, intermediate } = Manufacturer::new();
    let leaf = intermediate.device(|_| {}).der;
    let whole = [leaf.clone(), intermediate.der.clone()];
    let knows = trust(&[&root], &[&intermediate], Vec::new());
    let knows_root = trust(&[&root], &[], Vec::new());
    let knows_intermediate = trust(&[&intermediate], &[], Vec::new());
    let table = [
        (knows.clone(), &whole[..1], true),
        (knows, &whole[..], true),
        (knows_root.clone(), &whole[..], true),
        (knows_root, &whole[..1], false),
        // Trusted by itself, without the root above it.
        (knows_intermediate, &whole[..1], true),
    ];
    for (index, (trust, chain, accepted)) in table.into_iter().enumerate() {
        let scene = Scene::of(trusting(EstAuthentication::Certificate, trust)).await;
        let answer = enroll(&scene, Password::None, chain).await;
        assert_eq!(answer.status == StatusCode::OK, accepted, "{index}: {}", answer.text());
    }
}

#[tokio::test]
async fn several_manufacturers_are_trusted_and_an_intermediate_by_itself_is_not() {
    let (one, two) = (Manufacturer::new(), Stranger::root("Second"));
    let stray = Stranger::root("Stray").intermediate("Stray Devices");
    let trust = trust(&[&one.root, &two], &[&one.intermediate, &stray], Vec::new());
    let scene = Scene::of(trusting(EstAuthentication::Certificate, trust)).await;
    for chain in [one.good(), vec![two.device(|_| {}).der]] {
        assert_eq!(enroll(&scene, Password::None, &chain).await.status, StatusCode::OK);
    }
    let answer = enroll(&scene, Password::None, &[stray.device(|_| {}).der]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "an intermediate is no anchor");
}

#[tokio::test]
async fn a_device_without_extended_key_usage_and_without_an_end_is_taken() {
    // IEEE 802.1AR: a device's first certificate may say no usage, and 99991231235959Z for its end (RFC 5280 §4.1.2.5).
    let manufacturer = Manufacturer::new();
    let scene = Scene::of(trusting(EstAuthentication::Certificate, manufacturer.trust())).await;
    let device = manufacturer.intermediate.device(|params| {
        params.extended_key_usages.clear();
        params.key_usages.clear();
        params.not_after = date_time_ymd(9999, 12, 31);
    });
    assert_eq!(enroll(&scene, Password::None, &[device.der]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn required_revocation_needs_a_current_list_of_each_issuer() {
    let Manufacturer { root, intermediate } = Manufacturer::new();
    let leaf = intermediate.device(|_| {}).der;
    let (of_root, of_intermediate) = (root.crl(99, 2049), intermediate.crl(13, 2049));
    let table = [
        ("no list", vec![], false),
        ("a list of the root only", vec![of_root.clone()], false),
        ("a list of the intermediate only", vec![of_intermediate.clone()], false),
        ("both", vec![of_root.clone(), of_intermediate], true),
        ("one that is out of date", vec![of_root, intermediate.crl(13, 2025)], false),
    ];
    for (what, crls, accepted) in table {
        let required = CompiledTrust {
            revocation: RevocationCheck::Required,
            ..trust(&[&root], &[&intermediate], crls)
        };
        let scene = Scene::of(trusting(EstAuthentication::Certificate, required)).await;
        let answer = enroll(&scene, Password::None, std::slice::from_ref(&leaf)).await;
        assert_eq!(answer.status == StatusCode::OK, accepted, "{what}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_list_that_is_out_of_date_still_revokes_where_lists_are_not_required() {
    let Manufacturer { root, intermediate } = Manufacturer::new();
    let old = trust(&[&root], &[&intermediate], vec![intermediate.crl(13, 2025)]);
    let scene = Scene::of(trusting(EstAuthentication::Certificate, old)).await;
    let revoked = intermediate.device(|params| params.serial_number = Some(SerialNumber::from(13u64)));
    assert_eq!(enroll(&scene, Password::None, &[revoked.der]).await.status, StatusCode::FORBIDDEN);
    let other = intermediate.device(|_| {});
    assert_eq!(enroll(&scene, Password::None, &[other.der]).await.status, StatusCode::OK);
}

/// The method trusts the authority that issues for it; `listed`: and knows that it is one of this server.
fn trusting_ourselves(mode: EstAuthentication, listed: bool) -> Setup {
    let setup = Setup::default().policy(|policy| {
        policy.extended_key_usage.usages = eku_oid("clientAuth").map(Oid).into_iter().collect();
    });
    setup.settings(move |est, authority| {
        est.authentication = mode;
        est.trust = Some(CompiledTrust {
            anchors: vec![authority.certificate.der().to_vec()],
            intermediates: Vec::new(),
            crls: Vec::new(),
            revocation: RevocationCheck::Required,
            authorities: vec![authority.name.clone()],
        });
        if let (Some(trust), false) = (&mut est.trust, listed) {
            trust.authorities.clear();
            trust.revocation = RevocationCheck::IfGiven;
        }
    })
}

async fn enrolled_by_password(scene: &Scene) -> Certificate {
    enroll(scene, Password::Right, &[]).await.certificate()
}

#[tokio::test]
async fn a_certificate_of_ours_lets_its_holder_ask_until_the_store_says_it_is_revoked() {
    for listed in [true, false] {
        let scene = Scene::of(trusting_ourselves(EstAuthentication::Either, listed)).await;
        let own = enrolled_by_password(&scene).await;
        let chain = [own.der().to_vec()];
        let certificate = enroll(&scene, Password::None, &chain).await.certificate();
        let row = scene.row(&certificate).await;
        assert_eq!((row.requester.as_str(), row.credential), ("CN=device-1", None), "listed: {listed}");
        scene.revoke(&own, Revocation::Hold).await;
        assert_eq!(enroll(&scene, Password::None, &chain).await.status, StatusCode::UNAUTHORIZED);
        scene.revoke(&own, Revocation::Release).await;
        assert_eq!(enroll(&scene, Password::None, &chain).await.status, StatusCode::OK);
        let compromise = Revocation::Revoke { reason: ReasonCode::KeyCompromise, invalidity_date: None };
        scene.revoke(&own, compromise).await;
        let answer = enroll(&scene, Password::None, &chain).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "listed: {listed}");
    }
}

#[tokio::test]
async fn a_certificate_of_ours_that_is_revoked_while_it_asks_gets_nothing() {
    let scene = Scene::of(trusting_ourselves(EstAuthentication::Either, true)).await;
    let own = enrolled_by_password(&scene).await;
    let (engine, issuer, serial) = (scene.app.engine.clone(), scene.authority.key_id(), *own.serial());
    scene.signer.before_signing(async move {
        let superseded = Revocation::Revoke { reason: ReasonCode::Superseded, invalidity_date: None };
        engine.revoke(issuer, &serial, superseded, Actor::Server).await.unwrap();
    });
    let answer = enroll(&scene, Password::None, &[own.der().to_vec()]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn what_claims_to_be_ours_and_has_no_row_is_refused_even_from_a_trusted_authority() {
    // A trusted manufacturer whose certificates name our key as their issuer's.
    let (sender, devices) = std::sync::mpsc::channel();
    let scene = Scene::of(Setup::default().settings(move |est, authority| {
        let disguised = Stranger::disguised_as(authority);
        est.authentication = EstAuthentication::Certificate;
        est.trust = Some(CompiledTrust {
            authorities: vec![authority.name.clone()],
            ..trust(&[&disguised], &[], Vec::new())
        });
        sender.send(disguised.device(|_| {}).der).unwrap();
    }))
    .await;
    let answer = enroll(&scene, Password::None, &[devices.recv().unwrap()]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_was_proved_is_weighed_against_the_profile_and_recorded() {
    use Password::{None, Right};
    let table = [
        (None, true, Strength::Certificate),
        (Right, false, Strength::SharedSecret),
        (Right, true, Strength::CertificateAndSecret),
    ];
    for (password, with_certificate, proved) in table {
        for minimum in [Strength::SharedSecret, Strength::Certificate, Strength::CertificateAndSecret] {
            let manufacturer = Manufacturer::new();
            let setup = trusting(EstAuthentication::Either, manufacturer.trust()).policy(move |policy| {
                policy.protocols[0].minimum_authentication = minimum;
                policy.approval = Approval::Manual;
            });
            let scene = Scene::of(setup).await;
            let chain = if with_certificate { manufacturer.good() } else { Vec::new() };
            let answer = enroll(&scene, password, &chain).await;
            let store = scene.app.engine.store();
            let rows = store.requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
            if proved >= minimum {
                assert_eq!(answer.status, StatusCode::ACCEPTED, "{proved:?} for {minimum:?}");
                assert_eq!(rows[0].1.requester.strength, proved);
                let name = if with_certificate { "CN=device-7" } else { "anyone" };
                assert_eq!(rows[0].1.requester.name, name);
            } else {
                answer.refused(StatusCode::FORBIDDEN, &format!("asks for at least {minimum:?}"));
                assert!(rows.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn both_together_belong_to_the_owner_of_the_password_and_use_it() {
    let manufacturer = Manufacturer::new();
    let scene = Scene::of(trusting(EstAuthentication::Both, manufacturer.trust())).await;
    let certificate = enroll(&scene, Password::Right, &manufacturer.good()).await.certificate();
    let row = scene.row(&certificate).await;
    assert_eq!(row.credential.as_ref(), Some(&scene.credential.id));
    assert_eq!((row.owner, row.requester.as_str()), (scene.credential.owner.clone(), "CN=device-7"));
    let store = scene.app.engine.store();
    assert_eq!(store.credential(&scene.credential.id).await.unwrap().unwrap().uses, 1);
}

/// Both are trusted, and neither knows whom the other names how.
#[tokio::test]
async fn what_was_approved_for_one_holder_is_nothing_to_another_whose_certificate_reads_the_same() {
    let (one, two) = (Stranger::root("One"), Stranger::root("Two"));
    let trust = trust(&[&one, &two], &[], Vec::new());
    let setup = trusting(EstAuthentication::Certificate, trust);
    let scene = Scene::of(setup.policy(|policy| policy.approval = Approval::Manual)).await;
    let asked = csr("device-1");
    let simpleenroll = async |chain: &[Vec<u8>]| scene.with_certificate("simpleenroll", &asked, chain).await;
    let requests = async || {
        let store = scene.app.engine.store();
        store.requests(&RequestFilter::default(), &Page::first(10)).await.unwrap()
    };
    let (first, other) = ([one.device(|_| {}).der], [two.device(|_| {}).der]);
    assert_eq!(simpleenroll(&first).await.status, StatusCode::ACCEPTED);
    let waiting = requests().await;
    scene.app.engine.decide(&waiting[0].1.id, Verdict::Approve, "ann", None).await.unwrap();
    assert_eq!(simpleenroll(&other).await.status, StatusCode::ACCEPTED);
    let waiting = requests().await;
    let names: Vec<_> = waiting.iter().map(|(_, row)| &row.requester.name).collect();
    assert_eq!((names.len(), names[0]), (2, names[1]), "{names:?}");
    assert_eq!(scene.issued().await, 0);
    // Nor does another certificate of the same holder make another request.
    assert_eq!(simpleenroll(&[one.device(|_| {}).der]).await.status, StatusCode::OK);
    assert_eq!((requests().await.len(), scene.issued().await), (2, 1));
}

#[tokio::test]
async fn certificates_that_fail_count_against_their_address() {
    let manufacturer = Manufacturer::new();
    let mut limits = crate::listeners::Limits::default();
    limits.failed_authentications.per_address = 3;
    let setup = trusting(EstAuthentication::Certificate, manufacturer.trust());
    let scene = Scene::of(Setup { limits, ..setup }).await;
    let foreign = [Stranger::root("Foreign").device(|_| {}).der];
    for _ in 0..3 {
        assert_eq!(enroll(&scene, Password::None, &foreign).await.status, StatusCode::FORBIDDEN);
    }
    for chain in [foreign.to_vec(), manufacturer.good()] {
        assert_eq!(enroll(&scene, Password::None, &chain).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
}
