//! `kubectl chancery status` against a server without a cluster, whose newest files are not in force, or not all of them.

use anyhow::{Context as _, Result, ensure};
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::{Resources, Scene, Workspace};
use serde_json::{Value, json};

const FILE: &str = "elsewhere.yaml";

/// Of another namespace than the desk's; its words are those of nobody else.
const ELSEWHERE: &str = r#"
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: hidden, namespace: elsewhere}
spec: {authorityRef: {name: absent}, preset: PRESET}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: unseen, namespace: elsewhere}
spec: {profileRef: {name: hidden}, est: {}}
"#;

/// A server on `examples/rest`, and the plugin of its desk.
struct Office {
    scene: Scene,
    desk: Plugin,
}

impl Office {
    fn open() -> Result<Self> {
        let workspace = Workspace::new()?;
        let resources = Resources::example(workspace.path(), "rest")?;
        let scene = Scene::start(workspace, resources)?;
        let endpoint = scene.server.endpoints()?.rest("pki/rest").cloned()?;
        let desk = Plugin::at(&endpoint, endpoint.access_key_file("pki/desk")?)?;
        Ok(Self { scene, desk })
    }

    /// What is said of the configuration, and the line about it, if there is one. Nothing says what is elsewhere.
    fn configuration(&self) -> Result<(Value, Option<String>)> {
        let (status, table) = (self.desk.json::<Value>(&["status"])?, self.desk.succeed(&["status"])?);
        let names = self.desk.succeed(&["status", "-o", "name"])?;
        ensure!(names == "enrollmentmethod/pki/rest\ncertificateauthority/pki/issuing\n", "{names}");
        for shown in [&status.to_string(), &table] {
            ensure!(shown.contains("pki/issuing"), "{shown}");
            for hidden in ["elsewhere", "hidden", "absent", "unseen", "Toaster"] {
                ensure!(!shown.contains(hidden), "{hidden}: {shown}");
            }
        }
        let line = table.lines().find(|line| line.starts_with("NOT CURRENT"));
        let configuration = status.get("configuration").context("nothing is said of the configuration")?;
        Ok((configuration.clone(), line.map(str::to_owned)))
    }

    fn generation(&self) -> Result<u64> {
        Ok(self.scene.server.status()?.generation)
    }

    /// That it is behind, and that people are told why and of which configuration.
    fn check_behind(&self, problem: &str, sentence: &str) -> Result<()> {
        let generation = self.generation()?;
        let (configuration, line) = self.configuration()?;
        let expected = json!({"generation": generation, "current": false, "problem": problem});
        ensure!(configuration == expected, "{configuration}, expected was {expected}");
        let line = line.unwrap_or_default();
        let configuration = format!("(configuration {generation})");
        ensure!(line.contains(sentence) && line.contains(&configuration), "{line}");
        Ok(())
    }

    fn check_current(&self) -> Result<()> {
        let generation = self.generation()?;
        let (configuration, line) = self.configuration()?;
        ensure!(configuration == json!({"generation": generation, "current": true}), "{configuration}");
        ensure!(line.is_none(), "{line:?}");
        Ok(())
    }
}

#[test]
fn a_desk_is_told_that_the_newest_files_are_not_in_force_and_nothing_of_what_is_in_them() -> Result<()> {
    let office = Office::open()?;
    let resources = &office.scene.resources;
    office.check_current()?;

    let before = office.generation()?;
    resources.write(FILE, &ELSEWHERE.replace("PRESET", "Toaster"))?;
    let why = office.scene.wait_for_bad_configuration()?;
    ensure!(why.contains(FILE) && office.generation()? == before, "{why}");
    office.check_behind("rejected", "was not taken")?;

    resources.write(FILE, &ELSEWHERE.replace("PRESET", "Device"))?;
    office.scene.wait_for_reload(before)?;
    office.check_behind("incomplete", "some of what was declared last is not in force")?;

    let before = office.generation()?;
    resources.remove(FILE)?;
    office.scene.wait_for_reload(before)?;
    office.check_current()
}
