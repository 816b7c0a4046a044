//! The pod of a server is killed again and again while devices enrol: what was answered is known to it afterwards, once.

use std::time::Duration;

use anyhow::{Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Kubectl, in_namespace};
use serde_json::{Value, json};

use crate::load::Load;
use crate::office::Office;

const ROUNDS: usize = 3;

/// Certificates that have to come after each death.
const SERVED: usize = 20;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_server_that_is_killed_under_load_loses_nothing_that_it_answered() -> Result<()> {
    in_namespace("server-killed", |namespace| {
        namespace.cluster().install_chancery()?;
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        let office = Office::open(namespace, &json!({"sqlite": {"size": "256Mi"}}))?;
        let load = Load::start(&office.target(namespace, &workspace)?)?;
        for _ in 0..ROUNDS {
            load.wait_for_more(SERVED)?;
            let killed = pod_uid(&kubectl)?;
            kubectl
                .succeed(&["delete", "pod/enroll-0", "--grace-period=0", "--force", "--wait=false"], None)?;
            kubectl.wait_until("pod/enroll-0", "is another one", LIMIT, |pod| {
                pod["metadata"]["uid"].as_str().is_some_and(|uid| uid != killed)
            })?;
            office.wait_ready()?;
        }
        load.wait_for_more(SERVED)?;
        let outcome = load.stop()?;
        println!("killed {ROUNDS} times: {outcome}");
        ensure!(outcome.answered.len() >= (ROUNDS + 1) * SERVED, "{outcome}");
        outcome.check(&office.inventory()?)
    })
}

fn pod_uid(kubectl: &Kubectl) -> Result<String> {
    let pod: Value = kubectl.get("pod/enroll-0")?;
    Ok(pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}
