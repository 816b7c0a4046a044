//! EnrollmentCredentials: who may ask by a method, declared.

use std::collections::{BTreeMap, btree_map::Entry};

use crds::{
    CredentialProtocol, EnrollmentCredential, EnrollmentCredentialSpec, Kind, Protocol, SecretKeyRef,
    conditions::Reason,
};
use issuance::{
    credential::{CredentialState, MAX_SECRET_LENGTH},
    identity::{Owner, ResourceName},
    policy::Strength,
    secret::Secret,
};
use pki::time::Time;

use crate::{
    compiled::{CompiledCredential, CredentialValue, MethodSettings},
    method::Method,
    profile,
    resources::{Index, Judged, follow},
    status::{Problem, Problems},
};

const METHOD_REF: &str = "spec.methodRef";
const SECRET_KEY_REF: &str = "spec.valueFrom.secretKeyRef";

/// Shortest time between two values, in seconds.
const SHORTEST_ROTATION: u64 = 60;

/// The key of a Secret that holds a password, as in `kubernetes.io/basic-auth`.
const PASSWORD: &str = "password";

pub(crate) fn judge_all(
    index: &Index<'_>,
    methods: &Judged<Method>,
    now: Time,
) -> Judged<CompiledCredential> {
    let claims = claims(index);
    let mut judged = Judged::new();
    for (name, found) in &index.credentials {
        let outcome = match &found.resource {
            Ok(resource) => judge(&World { index, claims: &claims, methods, now }, name, resource),
            Err(problem) => Err(Problems::unread(problem.clone())),
        };
        judged.insert(name.clone(), outcome);
    }
    judged
}

/// What a credential is judged by.
struct World<'w> {
    index: &'w Index<'w>,
    claims: &'w Claims,
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
    let Some(CredentialProtocol::Est(est)) = spec.protocol() else {
        problems.invalid("spec", "give exactly one protocol");
        return Err(problems);
    };
    let (protocol, username) = (Protocol::Est, est.username.as_deref());
    let expires_at = spec.expires_at.as_ref().map(|time| Time::from_unix(time.0.as_second()));
    let has_ended = spec.revoked || expires_at.is_some_and(|end| end <= world.now);
    let target = ResourceName::new(name.namespace(), &spec.method_ref.name);
    let method = problems.note(follow(world.methods, Kind::EnrollmentMethod, METHOD_REF, &target));
    let (owner, value) = if has_ended {
        // Nothing else may keep it from ending: a server that hears nothing of it goes on as before.
        (
            Some(owner(spec).unwrap_or_else(|_| Owner::User(String::new()))),
            Some(last_value(world, name, resource)),
        )
    } else {
        check_username(username, &mut problems);
        if let Some(method) = method {
            check_method(method, protocol, username, &mut problems);
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
        protocol: profile::protocol(protocol),
        username: username.map(str::to_owned),
        owner,
        expires_at,
        maximum_uses: spec.maximum_uses.map(u64::from),
        state: if spec.revoked { CredentialState::Revoked } else { CredentialState::Active },
        regeneration: u64::from(spec.regeneration),
        value,
    });
    problems.or(credential)
}

fn check_method(method: &Method, protocol: Protocol, username: Option<&str>, problems: &mut Problems) {
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
        // A credential's reference names an EnrollmentMethod, and those speak a protocol of devices.
        MethodSettings::Est(_) | MethodSettings::Issuer(_) => {}
    }
    // A certificate and a secret are together as strong as they are, whoever knows the secret.
    if username.is_none() && method.compiled.minimum == Strength::PersonalSecret {
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
    let World { index, claims, .. } = world;
    let spec = &resource.spec;
    match (&spec.value_from, &spec.write_to) {
        (Some(source), None) => given(index, name, &source.secret_key_ref).map(CredentialValue::Given),
        (Some(_), Some(_)) => Err(Problem::invalid(
            "spec.writeTo",
            "is refused with valueFrom: the value is in that Secret already",
        )),
        (None, _) => {
            let write_to = target_secret(name, resource);
            match claims.get(&write_to).map(|(_, oldest)| oldest).filter(|oldest| *oldest != name) {
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

/// By the Secret that values are written to, the credential that has it: the oldest keeps it, so that a newcomer takes nothing
/// down. With its age, seconds since 1970.
type Claims = BTreeMap<ResourceName, (i64, ResourceName)>;

fn claims(index: &Index<'_>) -> Claims {
    let mut claims = Claims::new();
    for (name, found) in &index.credentials {
        let Ok(resource) = found.resource else { continue };
        if resource.spec.value_from.is_some() {
            continue;
        }
        let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
        // Standalone has no timestamps; the name decides.
        let claim = (created.unwrap_or(i64::MIN), name.clone());
        match claims.entry(target_secret(name, resource)) {
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

fn given(index: &Index<'_>, name: &ResourceName, reference: &SecretKeyRef) -> Result<Secret, Problem> {
    let secret = ResourceName::new(name.namespace(), &reference.name);
    let key = reference.key.as_deref().unwrap_or(PASSWORD);
    let refuse = |what: &str| {
        Problem::new(Reason::SecretInvalid, SECRET_KEY_REF, format!("the Secret {secret}: {key} {what}"))
    };
    let value = index.secret_value(SECRET_KEY_REF, &secret, key)?.ok_or_else(|| refuse("is missing"))?;
    if value.is_empty() || value.len() > MAX_SECRET_LENGTH {
        return Err(refuse(&format!("must have 1 to {MAX_SECRET_LENGTH} octets")));
    }
    // RFC 7617 §2. Most often a line break at the end, which an editor or `echo` put there and no device sends.
    if value.iter().any(u8::is_ascii_control) {
        return Err(refuse("holds a control character or a line break, which cannot be sent as a password"));
    }
    Ok(Secret::new(value))
}
