//! How long a change takes to be in force, and how long until the status says so.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Cluster, Kubectl, Route};
use chancery_tests::curl::Request;
use chancery_tests::openssl::{self, CsrOptions};
use serde::Serialize;
use serde_json::{Value, json};

use super::run_id;
use super::watch::{Watch, generation, holds_of, text};

const LIMIT: Duration = Duration::from_secs(120);

const NAMESPACE: &str = "enrollment";

/// The answers to a device: RFC 7030 leaves a refusal by policy and one of the credential apart.
const ENROLLED: u16 = 200;
const UNAUTHORIZED: u16 = 401;

/// Milliseconds from the API server's answer to the change, one number a change.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delays {
    /// To `Programmed` for the changed generation.
    pub(super) programmed_ms: Vec<f64>,
    /// To the end of the first enrolment that is answered otherwise. Devices ask without a pause.
    pub(super) effective_ms: Vec<f64>,
}

/// Each kind of change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes {
    /// A profile comes to refuse the device's kind of key, and to take it again.
    pub(super) profile: Delays,
    pub(super) revocation: Delays,
    /// What one enrolment takes, and so how exact the others are.
    pub(super) enrolment_ms: Vec<f64>,
}

/// A device that enrols at the server of `examples/cluster`.
struct Device {
    request: Request,
    _route: Route,
}

/// Changes the example's `device` profile and back, and revokes credentials made for that.
pub(super) fn measure(cluster: &Cluster, workspace: &Workspace, samples: u32) -> Result<Changes> {
    let kubectl = cluster.kubectl().in_namespace(NAMESPACE);
    let device = Device::new(cluster, &kubectl, workspace)?;
    let factory = device.with_credential(&kubectl, "factory", "factory")?;
    let mut changes =
        Changes { profile: Delays::default(), revocation: Delays::default(), enrolment_ms: Vec::new() };
    for _ in 0..samples {
        let begun = Instant::now();
        let status = factory.send()?.status;
        ensure!(status == ENROLLED, "the device is refused: {status}");
        changes.enrolment_ms.push(milliseconds(begun, Instant::now()));
    }
    change_profile(&kubectl, &factory, samples, &mut changes.profile)?;
    revoke(&kubectl, &device, samples, &mut changes.revocation)?;
    Ok(changes)
}

fn change_profile(kubectl: &Kubectl, device: &Request, samples: u32, delays: &mut Delays) -> Result<()> {
    let watch = Watch::start(kubectl, "certificateprofiles", "--field-selector=metadata.name=device")?;
    let changed = (0..samples).try_for_each(|sample| {
        let refuses = sample % 2 == 0;
        let keys = if refuses { json!({"keys": {"allowed": ["ECDSA-P384"]}}) } else { json!({"keys": null}) };
        let is_changed = |status: u16| (status != ENROLLED) == refuses;
        let patch = json!({"spec": keys});
        delays.add(&change(kubectl, &watch, "certificateprofile/device", &patch, device, is_changed)?);
        Ok(())
    });
    // As it was, whatever became of that.
    let restored = kubectl.patch("certificateprofile/device", &json!({"spec": {"keys": null}}));
    changed.and(restored)
}

fn revoke(kubectl: &Kubectl, device: &Device, samples: u32, delays: &mut Delays) -> Result<()> {
    let names: Vec<String> = (0..samples).map(|sample| format!("{}-{sample}", run_id())).collect();
    let documents: Vec<String> = names.iter().map(|name| credential(name).to_string()).collect();
    kubectl.apply(&documents.join("\n---\n"))?;
    let selector = format!("--selector=bench={}", run_id());
    let watch = Watch::start(kubectl, "enrollmentcredentials", &selector)?;
    let revoked = names.iter().try_for_each(|name| {
        let object = format!("enrollmentcredential/{name}");
        kubectl.wait_condition(&object, "Ready", LIMIT)?;
        let device = device.with_credential(kubectl, name, name)?;
        let status = device.send()?.status;
        ensure!(status == ENROLLED, "the device is refused by {name}: {status}");
        let patch = json!({"spec": {"revoked": true}});
        delays.add(&change(kubectl, &watch, &object, &patch, &device, |status| status == UNAUTHORIZED)?);
        Ok(())
    });
    let removed = kubectl.succeed(&["delete", "enrollmentcredentials", &selector, "--wait=false"], None);
    revoked.and(removed.map(drop))
}

/// One change: when its answer came, when it was programmed, when a device noticed.
struct Change {
    answered: Instant,
    programmed: Instant,
    effective: Instant,
}

fn change(
    kubectl: &Kubectl,
    watch: &Watch,
    object: &str,
    patch: &Value,
    device: &Request,
    is_changed: impl Fn(u16) -> bool + Sync,
) -> Result<Change> {
    let before: Value = kubectl.get(object)?;
    let (name, wanted) = (text(&before, "/metadata/name"), generation(&before)? + 1);
    kubectl.patch(object, patch)?;
    let answered = Instant::now();
    thread::scope(|scope| {
        let asking = scope.spawn(|| first(device, &is_changed));
        let programmed = watch.until(object, LIMIT, |_, found| {
            text(found, "/metadata/name") == name && holds_of(found, "Programmed", wanted)
        });
        let effective = asking.join().map_err(|_| anyhow::anyhow!("the device panicked"))??;
        Ok(Change { answered, programmed: programmed?, effective })
    })
}

/// Enrols again and again, and answers when the answer was another.
fn first(device: &Request, is_changed: impl Fn(u16) -> bool) -> Result<Instant> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let status = device.send()?.status;
        if is_changed(status) {
            ensure!(status < 500, "the server answered {status}");
            return Ok(Instant::now());
        }
    }
    bail!("the change was not in force after {LIMIT:?}")
}

impl Delays {
    fn add(&mut self, change: &Change) {
        self.programmed_ms.push(milliseconds(change.answered, change.programmed));
        self.effective_ms.push(milliseconds(change.answered, change.effective));
    }
}

impl Device {
    fn new(cluster: &Cluster, kubectl: &Kubectl, workspace: &Workspace) -> Result<Self> {
        let root: Value = kubectl.get("certificateauthority/root")?;
        let root = workspace.write("root.pem", text(&root, "/status/certificate"))?;
        let csr = CsrOptions::new("/CN=bench-device").make(workspace, "bench-device")?;
        let route = Route::to(cluster, kubectl, "service/enroll", 443)?;
        let url = format!("https://enroll.{NAMESPACE}.svc/.well-known/est/devices/simpleenroll");
        let request = Request::post(&url, openssl::base64_lines(&csr.der)?)
            .ca(&root)
            .option("--connect-to")
            .option(&route.connect_to());
        Ok(Self { request, _route: route })
    }

    /// With the password of a credential, whose Secret has its name.
    fn with_credential(&self, kubectl: &Kubectl, name: &str, user: &str) -> Result<Request> {
        let secret = kubectl.secret(name)?;
        let password = secret.get("password").context("the Secret has no password")?;
        Ok(self.request.clone().user(user, &String::from_utf8(password.clone())?))
    }
}

fn credential(name: &str) -> Value {
    json!({
        "apiVersion": "chancery.dev/v1alpha1", "kind": "EnrollmentCredential",
        "metadata": {"name": name, "labels": {"bench": run_id()}},
        "spec": {"methodRef": {"name": "devices"}, "est": {"username": name}, "owner": {"group": "bench"}},
    })
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}
