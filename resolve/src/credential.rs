//! EnrollmentCredentials: who may ask by a method, declared.

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

pub(crate) fn judge_all(index: &Index<'_>, methods: &Judged<Method>) -> Judged<CompiledCredential> {
    let mut judged = Judged::new();
    for (name, found) in &index.credentials {
        let outcome = match &found.resource {
            Ok(resource) => judge(index, methods, name, resource),
            Err(problem) => Err(Problems::unread(problem.clone())),
        };
        judged.insert(name.clone(), outcome);
    }
    judged
}

fn judge(
    index: &Index<'_>,
    methods: &Judged<Method>,
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
    check_username(username, &mut problems);
    let target = ResourceName::new(name.namespace(), &spec.method_ref.name);
    if let Some(method) = problems.note(follow(methods, Kind::EnrollmentMethod, METHOD_REF, &target)) {
        check_method(method, protocol, username, &mut problems);
    }
    let owner = problems.note(owner(spec));
    let value = problems.note(value(index, name, resource));
    check_rotation(index, spec, &mut problems);
    if spec.maximum_uses == Some(0) {
        problems.invalid("spec.maximumUses", "must be at least 1");
    }
    let credential = owner.zip(value).map(|(owner, value)| CompiledCredential {
        name: name.clone(),
        method: target,
        protocol: profile::protocol(protocol),
        username: username.map(str::to_owned),
        owner,
        expires_at: spec.expires_at.as_ref().map(|time| Time::from_unix(time.0.as_second())),
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
    index: &Index<'_>,
    name: &ResourceName,
    resource: &EnrollmentCredential,
) -> Result<CredentialValue, Problem> {
    let spec = &resource.spec;
    match (&spec.value_from, &spec.write_to) {
        (Some(source), None) => given(index, name, &source.secret_key_ref).map(CredentialValue::Given),
        (Some(_), Some(_)) => Err(Problem::invalid(
            "spec.writeTo",
            "is refused with valueFrom: the value is in that Secret already",
        )),
        (None, _) => {
            let write_to = target_secret(name, resource);
            match claimed_before(index, name, resource, &write_to) {
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

/// The Secret that a generated value goes to.
fn target_secret(name: &ResourceName, resource: &EnrollmentCredential) -> ResourceName {
    let secret = resource.spec.write_to.as_ref().map_or(name.name(), |target| &target.secret_name);
    ResourceName::new(name.namespace(), secret)
}

/// The credential that writes to the same Secret and was there before: the older one keeps it, so that a newcomer takes
/// nothing down.
fn claimed_before(
    index: &Index<'_>,
    name: &ResourceName,
    resource: &EnrollmentCredential,
    write_to: &ResourceName,
) -> Option<ResourceName> {
    let age = |name: &ResourceName, resource: &EnrollmentCredential| {
        let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
        // Standalone has no timestamps; the name decides.
        (created.unwrap_or(i64::MIN), name.clone())
    };
    let own = age(name, resource);
    let others = index.credentials.iter().filter_map(|(name, found)| {
        let other = *found.resource.as_ref().ok()?;
        let writes = other.spec.value_from.is_none() && target_secret(name, other) == *write_to;
        writes.then(|| age(name, other))
    });
    others.filter(|other| *other < own).min().map(|(_, name)| name)
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
