//! What an uninstallation leaves, and that a new installation takes it up.

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Helm, Kubectl};
use serde_json::Value;

use crate::empty::{definitions, from_empty};
use crate::office::READY;

/// Where the operator keeps the keys of authorities.
const SYSTEM: &str = "chancery-system";

/// Where the chart's own server is.
const SERVER: &str = "chancery-server";

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn keys_rows_and_resources_stay_and_are_taken_up_again() -> Result<()> {
    from_empty(|cluster| {
        let (helm, values) = (Helm::chancery(), Helm::image_values(cluster)?);
        helm.upgrade_or_install(&values, READY)?;
        let (system, server) =
            (cluster.kubectl().in_namespace(SYSTEM), cluster.kubectl().in_namespace(SERVER));
        server.wait_condition("enrollmentserver/server", "Ready", READY)?;
        let before = Kept::of(&system, &server)?;
        ensure!(before.keys.len() == 2, "a root and what it signed: {:?}", before.keys.len());

        let said = helm.run(&["uninstall", "chancery", "--wait", "--timeout", "120s"], None)?;
        for kind in ["CertificateAuthority", "EnrollmentServer", "Namespace"] {
            ensure!(said.contains(&format!("[{kind}]")), "it does not say that it keeps {kind}:\n{said}");
        }
        ensure!(definitions(&cluster.kubectl())?.len() == 8, "resource definitions are gone");
        ensure!(Kept::of(&system, &server)? == before, "something that should stay has changed");
        for (kubectl, kind) in [(&system, "deployments"), (&system, "serviceaccounts"), (&system, "roles")] {
            let left = kubectl.list(kind, "app.kubernetes.io/instance=chancery")?;
            ensure!(left.is_empty(), "{kind} are left");
        }
        for kind in ["clusterroles", "clusterrolebindings"] {
            let left = cluster.kubectl().list(kind, "app.kubernetes.io/instance=chancery")?;
            ensure!(left.is_empty(), "{kind} are left");
        }
        // Whoever has enrolled goes on: the server runs without an operator.
        server.wait_rollout("statefulset/server", READY)?;

        helm.upgrade_or_install(&values, READY)?;
        server.wait_condition("enrollmentserver/server", "Ready", READY)?;
        let after = Kept::of(&system, &server)?;
        ensure!(after == before, "another authority, key or volume than before");
        Ok(())
    })
}

/// What has to be the same before and after.
#[derive(PartialEq)]
struct Kept {
    /// UID and data of each authority's Secret.
    keys: Vec<(Value, Value)>,
    /// Fingerprints of the authorities' certificates.
    fingerprints: Vec<String>,
    /// UIDs of the resources, and of the volume's claim.
    uids: Vec<Value>,
    sealing: Value,
}

impl Kept {
    fn of(system: &Kubectl, server: &Kubectl) -> Result<Self> {
        let secrets = system.list("secrets", "")?;
        let keys = secrets.iter().filter(|secret| secret["type"] == "chancery.dev/authority-key");
        let mut fingerprints = Vec::new();
        let mut uids = Vec::new();
        for object in [
            "certificateauthority/root",
            "certificateauthority/issuing",
            "enrollmentserver/server",
            "persistentvolumeclaim/data-server-0",
        ] {
            let found: Value = server.get(object)?;
            uids.push(found["metadata"]["uid"].clone());
            if object.starts_with("certificateauthority") {
                let fingerprint = found["status"]["fingerprint"].as_str().context("no fingerprint")?;
                fingerprints.push(fingerprint.to_owned());
            }
        }
        let sealing: Value = server.get("secret/server-sealing")?;
        Ok(Self {
            keys: keys.map(|secret| (secret["metadata"]["uid"].clone(), secret["data"].clone())).collect(),
            fingerprints,
            uids,
            sealing: sealing["data"].clone(),
        })
    }
}
