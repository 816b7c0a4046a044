//! A real API server takes our resource definitions, and accepts and refuses what `crds::admission` does without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Cluster, Kubectl, condition, in_namespace};
use chancery_tests::server::wait_until;
use chancery_tests::{Workspace, program};
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// What the unit tests of the crate `crds` wrote down.
#[derive(Debug, Deserialize)]
struct Case {
    old: Option<Value>,
    new: Value,
    accepted: bool,
    path: Option<String>,
    message: Option<String>,
}

/// What the API server said to each document, by its name: nothing where it was accepted.
type Answers = BTreeMap<String, Option<String>>;

fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crds").join("generated")
}

fn install_definitions(kubectl: &Kubectl) -> Result<Vec<String>> {
    kubectl.apply_path(&definitions())?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(definitions())? {
        let path = entry?.path();
        let name = path.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        kubectl.wait_condition(&format!("customresourcedefinition/{name}"), "Established", LIMIT)?;
        names.push(name);
    }
    Ok(names)
}

fn cases() -> Result<Vec<Case>> {
    let path = std::env::var("CHANCERY_ADMISSION_CASES");
    let path = path.context("CHANCERY_ADMISSION_CASES is not set; `cargo xtask cluster test` sets it")?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    text.lines().map(|line| serde_json::from_str(line).context("a case is not what was agreed")).collect()
}

/// Asks about changes of objects that are stored. An operator of another test may look after them meanwhile, and write their status
/// between kubectl's reading of an object and its writing: that is no judgement, and they are asked again.
fn ask_of_changes(kubectl: &Kubectl, documents: &BTreeMap<String, Value>) -> Result<Answers> {
    let mut answers = Answers::new();
    wait_until("the API server to judge all changes", LIMIT, || {
        // All of them again: of one alone kubectl tells in another form.
        answers = ask(kubectl, "replace", documents)?;
        Ok(!answers.values().flatten().any(|answer| was_overtaken(answer)))
    })?;
    Ok(answers)
}

/// Whether somebody else changed the object first.
fn was_overtaken(answer: &str) -> bool {
    answer.starts_with(" (Conflict)")
}

/// Asks about all documents at once, by one kubectl: `create`, or `replace` for changes. Nothing is stored.
fn ask(kubectl: &Kubectl, verb: &str, documents: &BTreeMap<String, Value>) -> Result<Answers> {
    let workspace = Workspace::new()?;
    for (name, document) in documents {
        workspace.write(&format!("{name}.json"), named(document, name).to_string())?;
    }
    let folder = workspace.path().to_str().context("the path is not UTF-8")?;
    let arguments = [verb, "--dry-run=server", "--validate=strict", "--output=name", "--filename", folder];
    let answer = kubectl.run(&arguments, None)?;
    let (accepted, refused) = (String::from_utf8(answer.stdout)?, String::from_utf8(answer.stderr)?);
    let mut answers = Answers::new();
    for line in accepted.lines() {
        let name = line.rsplit('/').next().unwrap_or_default();
        answers.insert(name.to_owned(), None);
    }
    // An answer names the file and may go over several lines.
    for answer in format!("\n{refused}").split("\nError from server").skip(1) {
        let file = answer.split(folder).nth(1).and_then(|rest| rest.split(".json").next());
        let name = file.with_context(|| format!("kubectl printed: {answer}"))?.trim_start_matches('/');
        answers.insert(name.to_owned(), Some(answer.to_owned()));
    }
    let missing: Vec<&String> = documents.keys().filter(|name| !answers.contains_key(*name)).collect();
    ensure!(missing.is_empty(), "no answer about {missing:?}: {refused}");
    Ok(answers)
}

fn named(document: &Value, name: &str) -> Value {
    let mut document = document.clone();
    if let Value::Object(members) = &mut document {
        members.insert("metadata".to_owned(), json!({"name": name}));
    }
    document
}

/// Where case and API server disagree, in words.
fn disagreement(case: &Case, answer: Option<&str>) -> Option<String> {
    let told = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        !text.is_empty() && answer.is_some_and(|answer| answer.contains(text))
    };
    match answer {
        None if case.accepted => None,
        None => Some(format!("accepted, but {:?}: {:?}: {}", case.path, case.message, case.new)),
        Some(answer) if case.accepted => Some(format!("refused: {answer}: {}", case.new)),
        // Rules have our words; what the schema says is in the API server's own, but at the same place.
        Some(_) if told(&case.message) || told(&case.path) || null_is_absent(case) => None,
        Some(answer) => Some(format!(
            "refused for another reason than {:?}: {:?}: {answer}: {}",
            case.path, case.message, case.new
        )),
    }
}

/// An API server drops a member whose value is null, and then misses it; without one it is refused where it stands.
fn null_is_absent(case: &Case) -> bool {
    case.message.as_deref().is_some_and(|message| message.ends_with(", not empty"))
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn resource_definitions_are_established_without_complaint() -> Result<()> {
    let kubectl = Cluster::current()?.kubectl();
    for name in install_definitions(&kubectl)? {
        let definition: Value = kubectl.get(&format!("customresourcedefinition/{name}"))?;
        for complaint in ["NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"] {
            let found = condition(&definition, complaint);
            ensure!(found.is_none(), "{name}: {found:?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_api_server_judges_every_case_as_we_do_without_one() -> Result<()> {
    in_namespace("admission", |namespace| {
        let kubectl = namespace.kubectl();
        install_definitions(&kubectl)?;
        let cases: BTreeMap<String, Case> =
            cases()?.into_iter().enumerate().map(|(number, case)| (format!("c{number:04}"), case)).collect();
        let documents = |changes: bool| {
            let chosen = cases.iter().filter(move |(_, case)| case.old.is_some() == changes);
            chosen.map(|(name, case)| (name.clone(), case.new.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut answers = ask(&kubectl, "create", &documents(false))?;
        let before: Vec<Value> =
            cases.iter().filter_map(|(name, case)| case.old.as_ref().map(|old| named(old, name))).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": before});
        kubectl.succeed(&["create", "--filename=-"], Some(list.to_string().as_bytes()))?;
        answers.extend(ask_of_changes(&kubectl, &documents(true))?);

        let judged = cases.iter().filter_map(|(name, case)| {
            let answer = answers.get(name).and_then(Option::as_deref);
            disagreement(case, answer)
        });
        let disagreements: Vec<String> = judged.collect();
        ensure!(
            disagreements.is_empty(),
            "{} of {}:\n{}",
            disagreements.len(),
            cases.len(),
            disagreements.join("\n\n")
        );
        ensure!(cases.len() > 100, "only {} cases", cases.len());
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_examples_are_accepted() -> Result<()> {
    let cluster = Cluster::current()?;
    let kubectl = cluster.kubectl();
    install_definitions(&kubectl)?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples");
    for example in std::fs::read_dir(&examples)? {
        let folder = example?.path();
        if !folder.is_dir() {
            continue;
        }
        // Namespaces of an example need not exist: nothing is stored, so each document is asked about in a namespace that
        // does.
        for file in std::fs::read_dir(&folder)? {
            let file = file?.path();
            let documents = std::fs::read_to_string(&file)?;
            let answer = in_default_namespace(&kubectl, &documents)?;
            ensure!(answer.status.success(), "{}: {}", file.display(), program::printed(&answer));
        }
    }
    Ok(())
}

fn in_default_namespace(kubectl: &Kubectl, documents: &str) -> Result<std::process::Output> {
    // Two spaces in is the namespace of a document; further in, that of a reference.
    let here: Vec<&str> = documents.lines().filter(|line| !line.starts_with("  namespace:")).collect();
    let input = here.join("\n");
    let arguments = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
    kubectl.in_namespace("default").run(&arguments, Some(input.as_bytes()))
}
