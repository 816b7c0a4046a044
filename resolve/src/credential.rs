//! EnrollmentCredentials: who may ask by a method, declared.

use std::collections::{BTreeMap, btree_map::Entry};

use crds::{
    AcmeCredential, CredentialProtocol, EnrollmentCredential, EnrollmentCredentialSpec,
    ExternalAccountBinding, Kind, Protocol, SecretKeyRef, conditions::Reason,
};
use issuance::{
    acme::Restriction,
    credential::{CredentialState, MAX_SECRET_LENGTH},
    identity::{Owner, ResourceName},
    policy::Strength,
    rest::{AccessKey, RestActions},
    secret::Secret,
};
use pki::time::Time;

use crate::{
    acme,
    compiled::{CompiledCredential, CredentialValue, MethodSettings},
    method::Method,
    profile,
    resources::{Index, Judged, follow},
    rest,
    status::{Problem, Problems},
    value_form::ValueForm,
};

const METHOD_REF: &str = "spec.methodRef";
const SECRET_KEY_REF: &str = "spec.valueFrom.secretKeyRef";

/// Shortest time between two values, and in which both are good, in seconds.
const SHORTEST_ROTATION: u64 = 60;

const KID: &str = "spec.acme.kid";

/// As long as a namespace and a name with a dot between them.
const LONGEST_KID: usize = 317;

pub(crate) fn judge_all(
    index: &Index<'_>,
    methods: &Judged<Method>,
    now: Time,
) -> Judged<CompiledCredential> {
    let (secrets, kids, access_keys) = (secrets(index), kids(index, now), access_keys(index));
    let world = World { index, secrets, kids, access_keys, methods, now };
    let mut judged = Judged::new();
    for (name, found) in &index.credentials {
        let outcome = match &found.resource {
            Ok(resource) => judge(&world, name, resource),
            Err(problem) => Err(Problems::unread(problem.clone())),
        };
        judged.insert(name.clone(), outcome);
    }
    judged
}

/// What a credential is judged by.
struct World<'w> {
    index: &'w Index<'w>,
    /// By the Secret that values are written to.
    secrets: Claims<ResourceName>,
    /// By the method and the key identifier.
    kids: Claims<(ResourceName, String)>,
    /// By the name of a key that is given. All methods have them together: it is what a key is found by.
    access_keys: Claims<String>,
    methods: &'w Judged<Method>,
    now: Time,
}

fn judge(
    world: &World<'_>,
    name: &ResourceName,
    resource: &EnrollmentCredential,
) -> Result<CompiledCredential, Problems> {
    let spec = &resource.spec;
    let mut problems = Problems::default();
    let Some(settings) = spec.protocol() else {
        problems.invalid("spec", "give exactly one protocol");
        return Err(problems);
    };
    let own = Own::of(name, settings, &mut problems);
    let has_ended = has_ended(spec, world.now);
    if has_ended {
        // Nothing that it says itself may keep it from ending: a server that hears nothing of it goes on as before.
        problems = Problems::default();
    }
    let target = ResourceName::new(name.namespace(), &spec.method_ref.name);
    let method = problems.note(follow(world.methods, Kind::EnrollmentMethod, METHOD_REF, &target));
    let (owner, value) = if has_ended {
        (
            Some(owner(spec).unwrap_or_else(|_| Owner::User(String::new()))),
            Some(last_value(world, name, resource)),
        )
    } else {
        if let Some(method) = method {
            check_method(method, &own, &mut problems);
        }
        if let (CredentialProtocol::Acme(_), Some(kid)) = (settings, &own.username) {
            problems.extend(kid_conflict(world, name, &target, kid));
        }
        check_rotation(world.index, spec, &mut problems);
        if spec.maximum_uses == Some(0) {
            problems.invalid("spec.maximumUses", "must be at least 1");
        }
        (problems.note(owner(spec)), problems.note(value(world, name, resource)))
    };
    let credential = owner.zip(value).map(|(owner, value)| CompiledCredential {
        name: name.clone(),
        method: target,
        protocol: profile::protocol(own.protocol),
        username: own.username,
        identifiers: own.identifiers,
        actions: own.actions,
        owner,
        expires_at: expires_at(spec),
        maximum_uses: spec.maximum_uses.map(u64::from),
        state: if spec.revoked { CredentialState::Revoked } else { CredentialState::Active },
        regeneration: u64::from(spec.regeneration),
        value,
        previous: None,
    });
    problems.or(credential)
}

/// What a credential says for its protocol.
struct Own {
    protocol: Protocol,
    username: Option<String>,
    identifiers: Option<Restriction>,
    actions: RestActions,
}

impl Own {
    /// What is wrong with it is noted.
    fn of(name: &ResourceName, settings: CredentialProtocol<'_>, problems: &mut Problems) -> Self {
        let actions = RestActions::default();
        match settings {
            CredentialProtocol::Est(est) => {
                check_username(est.username.as_deref(), problems);
                Self { protocol: Protocol::Est, username: est.username.clone(), identifiers: None, actions }
            }
            CredentialProtocol::Acme(settings) => {
                let kid = kid(name, settings);
                check_kid(&kid, problems);
                let restriction = settings.identifiers.as_ref();
                let identifiers = restriction.map(|given| acme::restriction(given, problems));
                Self { protocol: Protocol::Acme, username: Some(kid), identifiers, actions }
            }
            CredentialProtocol::Rest(settings) => {
                let actions = rest::actions("spec.rest.actions", &settings.actions, problems);
                Self { protocol: Protocol::Rest, username: None, identifiers: None, actions }
            }
        }
    }
}

fn check_method(method: &Method, own: &Own, problems: &mut Problems) {
    let protocol = own.protocol;
    let found = method.compiled.protocol;
    if found != profile::protocol(protocol) {
        problems.invalid(
            format!("spec.{protocol}"),
            format!("the method {} speaks {found}", method.compiled.name),
        );
    }
    match &method.compiled.settings {
        MethodSettings::Est(est) if !est.authentication.takes_passwords() => problems.invalid(
            METHOD_REF,
            format!("the method {} takes certificates only, no passwords", method.compiled.name),
        ),
        MethodSettings::Acme(acme) if acme.external_account_binding == ExternalAccountBinding::Disabled => {
            problems.invalid(
                METHOD_REF,
                format!("the method {} takes no external account binding", method.compiled.name),
            );
        }
        MethodSettings::Rest(rest) if !rest.access_keys => {
            problems.invalid(METHOD_REF, format!("the method {} takes no access keys", method.compiled.name))
        }
        // A credential's reference names an EnrollmentMethod, which is no issuer.
        MethodSettings::Est(_)
        | MethodSettings::Acme(_)
        | MethodSettings::Rest(_)
        | MethodSettings::Issuer(_) => {}
    }
    // A certificate and a secret are together as strong as they are, whoever knows the secret.
    let is_shared = match protocol {
        Protocol::Rest => false,
        Protocol::Est
        | Protocol::Scep
        | Protocol::Acme
        | Protocol::Cmp
        | Protocol::Waep
        | Protocol::Issuer => own.username.is_none(),
    };
    if is_shared && method.compiled.minimum == Strength::PersonalSecret {
        problems.invalid(
            format!("spec.{protocol}.username"),
            format!(
                "is needed: the method {} does not take a secret that several share",
                method.compiled.name
            ),
        );
    }
}

/// RFC 7617 §2: no colon, no control characters.
fn check_username(username: Option<&str>, problems: &mut Problems) {
    let Some(username) = username else { return };
    if username.is_empty() || username.chars().any(|character| character == ':' || character.is_control()) {
        problems
            .invalid("spec.est.username", "is empty, or holds a colon or a control character (RFC 7617 §2)");
    }
}

/// The key identifier that accounts are bound by.
fn kid(name: &ResourceName, acme: &AcmeCredential) -> String {
    acme.kid.clone().unwrap_or_else(|| name.dotted())
}

/// Clients give it in JSON, and people type it.
fn check_kid(kid: &str, problems: &mut Problems) {
    if kid.is_empty() || kid.len() > LONGEST_KID || !kid.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what =
            format!("is empty, longer than {LONGEST_KID} characters, or not printable ASCII without spaces");
        problems.invalid(KID, what);
    }
}

/// A key identifier must say which key is meant.
fn kid_conflict(world: &World<'_>, name: &ResourceName, method: &ResourceName, kid: &str) -> Option<Problem> {
    let other = claimed_by_other(&world.kids, &(method.clone(), kid.to_owned()), name)?;
    Some(Problem::new(
        Reason::LabelConflict,
        KID,
        format!("the credential {other} of the method {method} has {kid:?} already"),
    ))
}

fn expires_at(spec: &EnrollmentCredentialSpec) -> Option<Time> {
    spec.expires_at.as_ref().map(|time| Time::from_unix(time.0.as_second()))
}

fn has_ended(spec: &EnrollmentCredentialSpec, now: Time) -> bool {
    spec.revoked || expires_at(spec).is_some_and(|end| end <= now)
}

/// Standalone has nobody who would make a new value while nothing changes.
fn check_rotation(index: &Index<'_>, spec: &EnrollmentCredentialSpec, problems: &mut Problems) {
    let Some(rotation) = &spec.rotation else { return };
    if index.cluster.is_none() {
        problems
            .invalid("spec.rotation", "needs a cluster: raise spec.regeneration to have a new value made");
    }
    if spec.value_from.is_some() {
        problems
            .invalid("spec.rotation", "is refused with valueFrom: whoever writes that Secret decides when");
    }
    if rotation.every.seconds() < SHORTEST_ROTATION {
        problems.invalid("spec.rotation.every", format!("{} is shorter than 1m", rotation.every));
    }
    let Some(overlap) = &rotation.overlap else { return };
    if overlap.seconds() < SHORTEST_ROTATION {
        problems.invalid("spec.rotation.overlap", format!("{overlap} is shorter than 1m"));
    }
    // There is one value before, and no more.
    if overlap.seconds() >= rotation.every.seconds() {
        let what = format!("{overlap} is not shorter than the {} of spec.rotation.every", rotation.every);
        problems.invalid("spec.rotation.overlap", what);
    }
    // Uses are counted from nothing for each value, and a row has one count.
    if spec.maximum_uses.is_some() {
        let what = "is refused with maximumUses: the value before would get the uses of the next";
        problems.invalid("spec.rotation.overlap", what);
    }
}

fn owner(spec: &EnrollmentCredentialSpec) -> Result<Owner, Problem> {
    match (&spec.owner.user, &spec.owner.group) {
        (Some(user), None) => Ok(Owner::User(user.clone())),
        (None, Some(group)) => Ok(Owner::Group(group.clone())),
        (Some(_), Some(_)) | (None, None) => {
            Err(Problem::invalid("spec.owner", "give exactly one of user and group"))
        }
    }
}

fn value(
    world: &World<'_>,
    name: &ResourceName,
    resource: &EnrollmentCredential,
) -> Result<CredentialValue, Problem> {
    let spec = &resource.spec;
    match (&spec.value_from, &spec.write_to) {
        (Some(source), None) => {
            let reference = &source.secret_key_ref;
            let value = match spec.protocol() {
                Some(CredentialProtocol::Acme(_)) => given_key(world.index, name, reference),
                Some(CredentialProtocol::Rest(_)) => given_access_key(world, name, reference),
                Some(CredentialProtocol::Est(_)) | None => given(world.index, name, reference),
            };
            value.map(CredentialValue::Given)
        }
        (Some(_), Some(_)) => Err(Problem::invalid(
            "spec.writeTo",
            "is refused with valueFrom: the value is in that Secret already",
        )),
        (None, _) => {
            let write_to = target_secret(name, resource);
            match claimed_by_other(&world.secrets, &write_to, name) {
                None => Ok(CredentialValue::Generate { write_to }),
                Some(other) => Err(Problem::new(
                    Reason::LabelConflict,
                    "spec.writeTo",
                    format!("the credential {other} writes to the Secret {write_to} already"),
                )),
            }
        }
    }
}

/// The value of a credential that has ended: a server needs none to end it, and may still be told one. An empty value is presented by
/// nobody.
fn last_value(world: &World<'_>, name: &ResourceName, resource: &EnrollmentCredential) -> CredentialValue {
    let nothing = || CredentialValue::Generated(Secret::new(Vec::new()));
    if resource.spec.revoked && resource.spec.value_from.is_some() {
        return nothing();
    }
    value(world, name, resource).unwrap_or_else(|_| nothing())
}

/// The Secret that a generated value goes to.
fn target_secret(name: &ResourceName, resource: &EnrollmentCredential) -> ResourceName {
    let secret = resource.spec.write_to.as_ref().map_or(name.name(), |target| &target.secret_name);
    ResourceName::new(name.namespace(), secret)
}

/// What only one credential can have, and the one that has it: the oldest keeps it, so that a newcomer takes nothing down. With its
/// age, seconds since 1970.
type Claims<T> = BTreeMap<T, (i64, ResourceName)>;

fn claimed_by_other<'c, T: Ord>(
    claims: &'c Claims<T>,
    claimed: &T,
    name: &ResourceName,
) -> Option<&'c ResourceName> {
    claims.get(claimed).map(|(_, oldest)| oldest).filter(|oldest| *oldest != name)
}

fn secrets(index: &Index<'_>) -> Claims<ResourceName> {
    claims(index, |name, resource| resource.spec.value_from.is_none().then(|| target_secret(name, resource)))
}

/// What has ended lets its key identifier go, so that another can follow it.
fn kids(index: &Index<'_>, now: Time) -> Claims<(ResourceName, String)> {
    claims(index, |name, resource| {
        let spec = &resource.spec;
        let acme = spec.acme.as_ref().filter(|_| !has_ended(spec, now))?;
        Some((ResourceName::new(name.namespace(), &spec.method_ref.name), kid(name, acme)))
    })
}

/// A key that has ended keeps its name, by which it is still found and refused.
fn access_keys(index: &Index<'_>) -> Claims<String> {
    claims(index, |name, resource| {
        let spec = &resource.spec;
        spec.rest.as_ref()?;
        let reference = &spec.value_from.as_ref()?.secret_key_ref;
        let (value, _) = secret_value(index, name, reference, ValueForm::AccessKey.value_key()).ok()?;
        AccessKey::parse(&Secret::new(value)).map(|key| key.name().to_owned())
    })
}

fn claims<T: Ord>(
    index: &Index<'_>,
    claimed: impl Fn(&ResourceName, &EnrollmentCredential) -> Option<T>,
) -> Claims<T> {
    let mut claims = Claims::new();
    for (name, found) in &index.credentials {
        let Ok(resource) = found.resource else { continue };
        let Some(claimed) = claimed(name, resource) else { continue };
        let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
        // Standalone has no timestamps; the name decides.
        let claim = (created.unwrap_or(i64::MIN), name.clone());
        match claims.entry(claimed) {
            Entry::Vacant(vacant) => {
                vacant.insert(claim);
            }
            Entry::Occupied(mut occupied) if claim < *occupied.get() => {
                occupied.insert(claim);
            }
            Entry::Occupied(_) => {}
        }
    }
    claims
}

/// A password.
fn given(index: &Index<'_>, name: &ResourceName, reference: &SecretKeyRef) -> Result<Secret, Problem> {
    let (value, place) = secret_value(index, name, reference, ValueForm::Password.value_key())?;
    let refuse = |what: &str| Problem::new(Reason::SecretInvalid, SECRET_KEY_REF, format!("{place} {what}"));
    if value.is_empty() || value.len() > MAX_SECRET_LENGTH {
        return Err(refuse(&format!("must have 1 to {MAX_SECRET_LENGTH} octets")));
    }
    // RFC 7617 §2. Most often a line break at the end, which an editor or `echo` put there and no device sends.
    if value.iter().any(u8::is_ascii_control) {
        return Err(refuse("holds a control character or a line break, which cannot be sent as a password"));
    }
    Ok(Secret::new(value))
}

/// The octets of a key, which a Secret holds in the form that clients are given.
fn given_key(index: &Index<'_>, name: &ResourceName, reference: &SecretKeyRef) -> Result<Secret, Problem> {
    let (value, place) = secret_value(index, name, reference, ValueForm::HmacKey.value_key())?;
    let refuse = |what: &str| Problem::new(Reason::SecretInvalid, SECRET_KEY_REF, format!("{place} {what}"));
    ValueForm::HmacKey.read(value).map_err(|error| refuse(&error.to_string()))
}

/// A whole access key, of a name that no other one has.
fn given_access_key(
    world: &World<'_>,
    name: &ResourceName,
    reference: &SecretKeyRef,
) -> Result<Secret, Problem> {
    let (value, place) = secret_value(world.index, name, reference, ValueForm::AccessKey.value_key())?;
    let refuse = |what: &str| Problem::new(Reason::SecretInvalid, SECRET_KEY_REF, format!("{place} {what}"));
    let value = ValueForm::AccessKey.read(value).map_err(|error| refuse(&error.to_string()))?;
    let key = AccessKey::parse(&value).ok_or_else(|| refuse("is no access key"))?;
    match claimed_by_other(&world.access_keys, &key.name().to_owned(), name) {
        None => Ok(value),
        // Who the other is may be no business of this namespace.
        Some(_) => Err(Problem::new(
            Reason::LabelConflict,
            SECRET_KEY_REF,
            format!("{place} has the name of an access key that another credential has already"),
        )),
    }
}

/// What `valueFrom` refers to, and how messages name the place.
fn secret_value<'a>(
    index: &Index<'a>,
    name: &ResourceName,
    reference: &SecretKeyRef,
    default_key: &str,
) -> Result<(&'a [u8], String), Problem> {
    let secret = ResourceName::new(name.namespace(), &reference.name);
    let key = reference.key.as_deref().unwrap_or(default_key);
    let place = format!("the Secret {secret}: {key}");
    match index.secret_value(SECRET_KEY_REF, &secret, key)? {
        Some(value) => Ok((value, place)),
        None => Err(Problem::new(Reason::SecretInvalid, SECRET_KEY_REF, format!("{place} is missing"))),
    }
}
