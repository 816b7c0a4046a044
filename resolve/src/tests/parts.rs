//! Parts and manifests: what is refused, what only falls out, and what comes through unchanged. `properties.rs` shows for all kinds of
//! worlds that what was split is put together again.

use std::collections::BTreeMap;

use issuance::{identity::ResourceName, secret::Secret};
use serde_json::{Value, json};

use super::{name, world::World};
use crate::{
    CompiledInternal, CredentialValue, FORMAT, Resolution,
    parts::{
        AssembleError, Assembled, MAX_PART_BYTES, Manifest, ManifestError, ManifestIndex, Part, PartEntry,
        PartError, PartKind, WrittenManifest, assemble, part_secret_name, sha256_hex, split,
    },
};

const GENERATION: u64 = 7;

/// A manifest and its Secrets, before anybody changes them.
struct Published {
    manifest: Manifest,
    secrets: BTreeMap<String, Vec<u8>>,
}

fn server() -> ResourceName {
    name("pki/server")
}

fn world() -> World {
    World::base()
        .in_cluster()
        .with("{kind: ChanceryIssuer, metadata: {name: team, namespace: pki, generation: 4}, spec: {profileRef: {name: profile}}}")
        .with("{kind: EnrollmentMethod, metadata: {name: trusting, namespace: pki}, spec: {profileRef: {name: profile}, est: {authentication: Certificate, clientCertificates: {authorities: [{certificateAuthorityRef: {name: root}}]}}}}")
}

/// Of the authorities, as far as anybody asks here.
fn keys() -> BTreeMap<ResourceName, Secret> {
    ["pki/root", "pki/issuing"].map(|key| (name(key), Secret::new(format!("key of {key}")))).into()
}

fn lists() -> BTreeMap<ResourceName, Vec<u8>> {
    BTreeMap::from([(name("pki/root"), b"list of the root".to_vec())])
}

fn resolution() -> Resolution {
    let mut resolution = world().settle().resolution;
    let compiled = resolution.compiled.as_mut().unwrap();
    compiled.server.internal = Some(CompiledInternal {
        chain: vec![b"leaf".to_vec()],
        key: Secret::new("key of the listener"),
        authority: b"authority".to_vec(),
    });
    compiled.credentials[0].value = CredentialValue::Generated(Secret::new("hunter2"));
    resolution
}

fn parts_of(resolution: &Resolution) -> Vec<Part> {
    split(resolution, resolution.compiled.as_ref().unwrap(), &keys(), &lists())
}

fn publish(parts: &[Part]) -> Published {
    let (manifest, secrets) = Manifest::of(server(), GENERATION, parts).unwrap();
    Published { manifest, secrets }
}

fn published() -> Published {
    publish(&parts_of(&resolution()))
}

impl Published {
    fn assemble(&self) -> Result<Assembled, AssembleError> {
        assemble(&server(), GENERATION, &self.manifest, &self.secrets)
    }

    /// The same with one part changed, and listed as it is now: what an operator of another release might write.
    fn rewritten(mut self, kind: PartKind, of: &str, change: impl FnOnce(&mut Value)) -> Self {
        let secret = part_secret_name(kind, &name(of));
        let mut json: Value = serde_json::from_slice(&self.secrets[&secret]).unwrap();
        change(&mut json);
        let json = json.to_string().into_bytes();
        self.manifest.parts.get_mut(&secret).unwrap().sha256 = sha256_hex(&json);
        self.secrets.insert(secret, json);
        self
    }

    fn without(mut self, kind: PartKind, of: &str) -> Self {
        let secret = part_secret_name(kind, &name(of));
        assert!(self.manifest.parts.remove(&secret).is_some() && self.secrets.remove(&secret).is_some());
        self
    }
}

fn read(written: &WrittenManifest) -> Result<Manifest, ManifestError> {
    let index = ManifestIndex::from_json(&written.json)?;
    assert!(index.lists().eq(written.lists.keys()));
    index.complete(|secret| written.lists.get(secret).map(Vec::as_slice))
}

/// A manifest that lists so many credentials with names as long as they may be, and declares as many others.
fn long(count: usize) -> Manifest {
    let long = |word: &str, number: usize| {
        ResourceName::new(format!("{:n<63}", "n"), format!("{word:c<240}-{number}"))
    };
    let entry = |number| {
        let name = long("c", number);
        let sha256 = sha256_hex(&number.to_be_bytes());
        (
            part_secret_name(PartKind::Credential, &name),
            PartEntry { kind: PartKind::Credential, name, sha256 },
        )
    };
    Manifest {
        format: FORMAT,
        server: server(),
        generation: GENERATION,
        parts: (0..count).map(entry).collect(),
        declared: (0..count).map(|number| long("d", number)).collect(),
    }
}

/// What failed, as kind and name, with why.
fn failed(published: &Published, assembled: &Assembled) -> Vec<(PartKind, String, String)> {
    let entry = |secret: &String| &published.manifest.parts[secret];
    let describe =
        |(secret, why): (&String, &String)| (entry(secret).kind, entry(secret).name.to_string(), why.clone());
    let mut failed: Vec<_> = assembled.failed.iter().map(describe).collect();
    failed.sort();
    failed
}

#[test]
fn a_manifest_of_another_server_is_refused() {
    let published = published();
    let error = assemble(&name("pki/other"), 0, &published.manifest, &published.secrets).unwrap_err();
    assert_eq!(error, AssembleError::OtherServer { found: server() });
}

#[test]
fn an_older_manifest_is_refused_and_the_one_in_force_is_not() {
    let published = published();
    let error = assemble(&server(), GENERATION + 1, &published.manifest, &published.secrets).unwrap_err();
    assert_eq!(error, AssembleError::Older { found: GENERATION, in_force: GENERATION + 1 });
    for in_force in [0, GENERATION - 1, GENERATION] {
        assert!(assemble(&server(), in_force, &published.manifest, &published.secrets).is_ok());
    }
}

#[test]
fn a_part_that_is_missing_or_was_changed_refuses_the_whole() {
    for secret in published().manifest.parts.into_keys() {
        let mut missing = published();
        missing.secrets.remove(&secret);
        assert!(
            matches!(missing.assemble(), Err(AssembleError::Missing { secret: found, .. }) if found == secret)
        );

        let mut changed = published();
        let json = changed.secrets.get_mut(&secret).unwrap();
        json.push(b' ');
        assert!(
            matches!(changed.assemble(), Err(AssembleError::Mismatch { secret: found, .. }) if found == secret)
        );
    }
}

#[test]
fn parts_in_each_others_place_are_refused() {
    let mut published = published();
    let root = part_secret_name(PartKind::Authority, &name("pki/root"));
    let issuing = part_secret_name(PartKind::Authority, &name("pki/issuing"));
    let (one, other) = (published.secrets[&root].clone(), published.secrets[&issuing].clone());
    published.secrets.insert(root, other);
    published.secrets.insert(issuing, one);
    assert!(matches!(published.assemble(), Err(AssembleError::Mismatch { .. })));
}

#[test]
fn a_secret_that_the_manifest_does_not_list_has_no_effect() {
    let mut published = published();
    let before = published.assemble().unwrap();
    let credential = part_secret_name(PartKind::Credential, &name("pki/credential"));
    let forged = String::from_utf8(published.secrets[&credential].clone())
        .unwrap()
        .replace("pki/credential", "pki/mine");
    published.secrets.insert(part_secret_name(PartKind::Credential, &name("pki/mine")), forged.into_bytes());
    assert_eq!(published.assemble().unwrap(), before);
}

#[test]
fn a_part_under_the_name_of_another_falls_out() {
    // Listed and signed, so a defect of whoever wrote it; but no object may be there twice.
    let mut published = published();
    let credential = part_secret_name(PartKind::Credential, &name("pki/credential"));
    let twin = part_secret_name(PartKind::Credential, &name("pki/twin"));
    let mut entry = published.manifest.parts[&credential].clone();
    entry.name = name("pki/twin");
    published.manifest.parts.insert(twin.clone(), entry);
    published.secrets.insert(twin.clone(), published.secrets[&credential].clone());
    let assembled = published.assemble().unwrap();
    assert_eq!(
        assembled.failed,
        BTreeMap::from([(twin.clone(), "it is the part of the credential pki/credential".to_owned())])
    );
    assert_eq!(assembled.compiled.credentials.len(), 1);
    assert!(!assembled.parts.contains_key(&twin));
}

#[test]
fn a_server_needs_its_own_part_and_what_its_certificate_needs() {
    let without = published().without(PartKind::Server, "pki/server");
    assert_eq!(without.assemble().unwrap_err(), AssembleError::NoServer);
    let unreadable =
        published().rewritten(PartKind::Server, "pki/server", |json| json["content"] = json!({"server": {}}));
    assert!(matches!(unreadable.assemble(), Err(AssembleError::Server { .. })));
    let newer =
        published().rewritten(PartKind::Server, "pki/server", |json| json["format"] = json!(FORMAT + 1));
    let error = newer.assemble().unwrap_err().to_string();
    assert!(error.contains(&format!("it has format {}", FORMAT + 1)), "{error}");
    let keyless = published().rewritten(PartKind::Authority, "pki/issuing", |json| {
        json.as_object_mut().unwrap().remove("key");
    });
    let error = keyless.assemble().unwrap_err().to_string();
    assert!(
        error.contains("its TLS certificate: the key of its authority pki/issuing is not there"),
        "{error}"
    );
}

#[test]
fn a_part_that_cannot_be_understood_takes_out_itself_and_what_refers_to_it() {
    let unknown = |json: &mut Value| json["content"] = json!({"teleporter": {}});
    let profile = published().rewritten(PartKind::Profile, "pki/profile", unknown);
    let assembled = profile.assemble().unwrap();
    let expected = |kind, of: &str, why: &str| (kind, of.to_owned(), why.to_owned());
    let gone = "its profile pki/profile is not in force";
    let found = failed(&profile, &assembled);
    assert!(found[0].2.starts_with("it cannot be read"), "{found:?}");
    assert_eq!(
        found[1..],
        [
            expected(PartKind::Method, "pki/issuer:team", gone),
            expected(PartKind::Method, "pki/method", gone),
            expected(PartKind::Method, "pki/trusting", gone),
            expected(PartKind::Credential, "pki/credential", "its method pki/method is not in force"),
        ]
    );
    // The label and the default method led to one of them.
    assert_eq!((assembled.compiled.server.labels.len(), assembled.compiled.server.default_method), (0, None));
    assert_eq!(assembled.compiled.authorities.len(), 2);

    let root = published().rewritten(PartKind::Authority, "pki/root", unknown);
    let found = failed(&root, &root.assemble().unwrap());
    assert_eq!(
        found[1..],
        [expected(
            PartKind::Method,
            "pki/trusting",
            "the authority pki/root, which it trusts, is not in force"
        )]
    );
}

#[test]
fn a_profile_that_orders_may_choose_takes_the_method_out_with_it() {
    let world = world()
        .with("{kind: CertificateProfile, metadata: {name: short, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: TLSServer}}")
        .with("{kind: EnrollmentMethod, metadata: {name: web, namespace: pki}, spec: {profileRef: {name: profile}, acme: {profiles: [{name: short, profileRef: {name: short}}]}}}")
        .with("{kind: EnrollmentCredential, metadata: {name: key, namespace: pki}, spec: {methodRef: {name: web}, acme: {identifiers: {dns: [a.example]}}, owner: {user: ann}}}");
    let published = publish(&parts_of(&world.settle().resolution));
    let whole = published.assemble().unwrap();
    assert_eq!(whole.failed, BTreeMap::new());
    assert_eq!(whole.compiled.credentials.len(), 2);
    let unknown = published
        .rewritten(PartKind::Profile, "pki/short", |json| json["content"] = json!({"teleporter": {}}));
    let found = failed(&unknown, &unknown.assemble().unwrap());
    let expected = |kind, of: &str, why: &str| (kind, of.to_owned(), why.to_owned());
    assert_eq!(
        found[1..],
        [
            expected(PartKind::Method, "pki/web", "its profile pki/short is not in force"),
            expected(PartKind::Credential, "pki/key", "its method pki/web is not in force"),
        ]
    );
}

#[test]
fn what_failed_is_not_among_what_is_in_force() {
    let published =
        published().rewritten(PartKind::Method, "pki/method", |json| json["content"] = json!(null));
    let assembled = published.assemble().unwrap();
    assert_eq!(assembled.failed.len(), 2);
    let listed = published.manifest.parts.len();
    assert_eq!(assembled.parts.len() + assembled.failed.len(), listed);
    assert!(assembled.failed.keys().all(|secret| !assembled.parts.contains_key(secret)));
}

#[test]
fn another_format_is_refused_whatever_else_it_holds() {
    for format in [0, u64::from(FORMAT) + 1, u64::MAX] {
        let json = json!({"format": format, "new": []}).to_string();
        assert!(
            matches!(Part::from_json(json.as_bytes()), Err(PartError::Format { found }) if found == format)
        );
        assert!(
            matches!(ManifestIndex::from_json(json.as_bytes()), Err(ManifestError::Format { found }) if found == format)
        );
    }
}

#[test]
fn what_is_no_part_is_refused_without_repeating_it() {
    let part = parts_of(&resolution()).into_iter().find(|part| part.kind() == PartKind::Credential).unwrap();
    let json = part.to_json().unwrap();
    let secret = "aHVudGVyMg==";
    assert!(String::from_utf8(json.clone()).unwrap().contains(secret), "the test looks for the wrong thing");
    let mut bad: Value = serde_json::from_slice(&json).unwrap();
    bad["content"]["credential"]["value"] = json!({"given": [secret]});
    for bad in [Vec::new(), b"{".to_vec(), b"{\"format\": 1}".to_vec(), bad.to_string().into_bytes()] {
        let error = Part::from_json(&bad).unwrap_err();
        assert!(matches!(error, PartError::Malformed { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn what_fits_into_no_secret_is_not_written() {
    let mut parts = parts_of(&resolution());
    let authority = parts.iter_mut().find(|part| *part.name() == name("pki/root")).unwrap();
    authority.crl = Some(vec![0; MAX_PART_BYTES]);
    assert!(matches!(authority.to_json(), Err(PartError::TooLarge { size }) if size > MAX_PART_BYTES));
    let error = Manifest::of(server(), 1, &parts).unwrap_err();
    assert_eq!(error.to_string(), "the part of the authority pki/root");
    assert!(matches!(Part::from_json(&vec![b' '; MAX_PART_BYTES + 1]), Err(PartError::TooLarge { .. })));
}

#[test]
fn a_key_travels_only_where_something_is_issued_by_it() {
    let resolution = resolution();
    let parts = parts_of(&resolution);
    let key = |of: &str| {
        parts
            .iter()
            .find(|part| part.kind() == PartKind::Authority && *part.name() == name(of))
            .unwrap()
            .key
            .clone()
    };
    assert_eq!(key("pki/issuing"), Some(Secret::new("key of pki/issuing")));
    assert_eq!(key("pki/root"), None, "the key of a root left, although only its list is published");
    let text: String = parts.iter().map(|part| String::from_utf8(part.to_json().unwrap()).unwrap()).collect();
    assert!(!text.contains("a2V5IG9mIHBraS9yb290"), "the key of the root, in Base64, is in some part");
}

#[test]
fn a_part_has_the_generation_of_its_object_and_a_name_of_its_own() {
    let parts = parts_of(&resolution());
    let issuer = parts.iter().find(|part| *part.name() == name("pki/issuer:team")).unwrap();
    assert_eq!((issuer.kind(), issuer.generation), (PartKind::Method, Some(4)));
    assert_eq!(issuer.secret_name(), part_secret_name(PartKind::Method, &name("pki/issuer:team")));
    assert_eq!(
        part_secret_name(PartKind::Method, &name("a/b")),
        format!("chancery-part-method-{}", &sha256_hex(b"method/a/b")[..20])
    );
    assert_ne!(
        part_secret_name(PartKind::Method, &name("a/b")),
        part_secret_name(PartKind::Profile, &name("a/b"))
    );
    assert!(PartKind::ALL.iter().all(|kind| parts.iter().any(|part| part.kind() == *kind)));
}

#[test]
fn the_same_parts_have_the_same_bytes_and_other_generations_other_ones() {
    let resolution = resolution();
    let (first, again) = (publish(&parts_of(&resolution)), publish(&parts_of(&resolution)));
    assert_eq!(first.secrets, again.secrets);
    assert_eq!(first.manifest.write().unwrap(), again.manifest.write().unwrap());
    assert_eq!(read(&first.manifest.write().unwrap()).unwrap(), first.manifest);

    let mut parts = parts_of(&resolution);
    parts[0].generation = Some(2);
    let changed = publish(&parts);
    let differ = first.secrets.iter().filter(|(secret, json)| changed.secrets[*secret] != **json);
    assert_eq!(differ.count(), 1);
    assert!(!first.manifest.lists_the_same(&changed.manifest));
    let later = Manifest { generation: GENERATION + 1, ..first.manifest.clone() };
    assert!(first.manifest.lists_the_same(&later));
}

#[test]
fn a_credential_that_is_declared_and_not_served_is_named() {
    let manifest = published().manifest;
    let served =
        manifest.parts.values().find(|entry| entry.kind == PartKind::Credential).unwrap().name.clone();
    let broken = ResourceName::new("pki", "broken");
    let declaring = manifest.clone().declaring([served, broken.clone()]);
    assert_eq!(declaring.declared, [broken].into());
    assert!(!manifest.lists_the_same(&declaring));
    assert_eq!(read(&declaring.write().unwrap()).unwrap(), declaring);
    assert_eq!(read(&manifest.write().unwrap()).unwrap().declared, [].into());
    assert_eq!(manifest.credentials(), [&name("pki/credential")].into());
    assert_eq!(declaring.credentials(), [&name("pki/broken"), &name("pki/credential")].into());
}

#[test]
fn a_manifest_lists_twenty_thousand_parts() {
    for count in [1, 500, 501, 20_000] {
        let manifest = long(count);
        let written = manifest.write().unwrap();
        assert_eq!(written.lists.is_empty(), count <= 500, "{count}");
        assert!(written.lists.values().chain([&written.json]).all(|json| json.len() <= 1_000_000));
        assert_eq!(read(&written).unwrap(), manifest, "{count}");
    }
    assert!(matches!(long(60_000).write(), Err(ManifestError::TooLarge { .. })));
}

#[test]
fn a_change_of_a_long_manifest_writes_one_list_anew_and_leaves_the_others_as_they_are() {
    let before = long(2_000);
    let mut after = before.clone();
    after.parts.first_entry().unwrap().get_mut().sha256 = sha256_hex(b"changed");
    let (before, after) = (before.write().unwrap(), after.write().unwrap());
    assert_eq!(before.lists.len(), 16);
    let fresh = after.lists.iter().filter(|(secret, _)| !before.lists.contains_key(*secret));
    assert_eq!(fresh.count(), 1, "a list that is changed in place breaks the manifest in force");
    assert_ne!(before.json, after.json);
    let other = Manifest { server: name("pki/other"), ..long(2_000) }.write().unwrap();
    assert!(other.lists.keys().all(|secret| !before.lists.contains_key(secret)));
}

#[test]
fn a_list_counts_only_as_the_signed_index_means_it() {
    let written = long(2_000).write().unwrap();
    for secret in written.lists.keys() {
        let mut missing = written.clone();
        missing.lists.remove(secret);
        let index = ManifestIndex::from_json(&missing.json).unwrap();
        let error = index.complete(|secret| missing.lists.get(secret).map(Vec::as_slice)).unwrap_err();
        assert!(matches!(&error, ManifestError::ListMissing { secret: found } if found == secret), "{error}");

        let mut changed = written.clone();
        let text = String::from_utf8(changed.lists[secret].clone()).unwrap();
        let forged = text.replacen("\"sha256\":\"", "\"sha256\":\"0", 1);
        assert_ne!(text, forged);
        changed.lists.insert(secret.clone(), forged.into_bytes());
        let error = read(&changed).unwrap_err();
        assert!(
            matches!(&error, ManifestError::ListMismatch { secret: found } if found == secret),
            "{error}"
        );
    }
}

#[test]
fn a_part_survives_being_written_secrets_included() {
    for part in parts_of(&resolution()) {
        let json = part.to_json().unwrap();
        let read = Part::from_json(&json).unwrap();
        assert_eq!(read, part);
        assert_eq!(read.to_json().unwrap(), json);
        let printed = format!("{read:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("key of"), "{printed}");
    }
}

#[test]
fn members_that_a_newer_release_adds_are_read_over() {
    let published = published();
    let before = published.assemble().unwrap().compiled;
    let newer = published.rewritten(PartKind::Method, "pki/method", |json| {
        json["new"] = json!(1);
        json["content"]["method"]["new"] = json!({});
    });
    assert_eq!(newer.assemble().unwrap().compiled, before);
}
