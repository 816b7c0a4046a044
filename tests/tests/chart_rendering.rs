//! The chart as Helm renders it, without a cluster: `charts/chancery`.
//!
//! | file | what |
//! | --- | --- |
//! | here | what it renders for five sets of values, line by line; `helm lint` |
//! | `values.rs` | what `values.schema.json` refuses |
//! | `schemas.rs` | kubeconform, with schemas made of the types of Kubernetes and of ours |
//! | `security.rs` | the "restricted" Pod Security Standard; roles |
//! | `metrics.rs` | rules and dashboard name metrics that exist |
//! | `troubleshooting.rs` | `docs/troubleshooting.md` explains every reason and every alert |
//! | `readme.rs` | the table of values in the chart's README |
//!
//! `CHANCERY_GENERATE=1 cargo test -p chancery-tests --test chart_rendering` writes the files instead of comparing them.
#![allow(
    clippy::indexing_slicing,
    reason = "a member that a JSON document lacks is null, which no test expects"
)]

#[path = "chart_rendering/metrics.rs"]
mod metrics;
#[path = "chart_rendering/readme.rs"]
mod readme;
#[path = "chart_rendering/render.rs"]
mod render;
#[path = "chart_rendering/schemas.rs"]
mod schemas;
#[path = "chart_rendering/security.rs"]
mod security;
#[path = "chart_rendering/troubleshooting.rs"]
mod troubleshooting;
#[path = "chart_rendering/values.rs"]
mod values;

use anyhow::{Result, ensure};
use chancery_tests::program;

use crate::render::{Case, chart, dashboard, written};

#[test]
fn lint_finds_nothing() -> Result<()> {
    let answer = program::run("helm", &["lint", "--strict", chart().as_str()], None)?;
    ensure!(answer.status.success(), "{}", program::printed(&answer));
    Ok(())
}

#[test]
fn each_set_of_values_is_rendered_as_written() -> Result<()> {
    for case in Case::all() {
        // The dashboard is a file of its own, which the rendering holds as it is.
        let text = case.render()?.replace(&indented(&dashboard()?), "    (dashboards/chancery.json)");
        written(&format!("tests/tests/chart_rendering/{}.yaml", case.name), &text)?;
    }
    Ok(())
}

#[test]
fn everything_off_leaves_the_operator_alone() -> Result<()> {
    let kinds: Vec<String> = Case::named("nothing")?.documents()?.iter().map(render::kind).collect();
    let mut expected = vec!["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Deployment"];
    // In the order in which Helm installs them.
    expected.sort_by_key(|kind| kinds.iter().position(|found| found == kind));
    assert_eq!(kinds, expected);
    Ok(())
}

#[test]
fn what_it_says_after_an_installation_fits_the_values() -> Result<()> {
    let notes = |case: &Case| -> Result<String> { case.install_dry() };
    let defaults = notes(&Case::named("defaults")?)?;
    assert!(defaults.contains("kubectl -n chancery-server wait enrollmentserver/server"), "{defaults}");
    assert!(defaults.contains("Uninstalling keeps"), "{defaults}");
    // A cluster issuer is not served there.
    let namespaced = notes(&Case::named("namespaced")?)?;
    assert!(namespaced.contains("wait enrollmentserver/server"), "{namespaced}");
    assert!(!namespaced.contains("ChanceryClusterIssuer"), "{namespaced}");
    let nothing = notes(&Case::named("nothing")?)?;
    assert!(nothing.contains("No server yet"), "{nothing}");
    assert!(!nothing.contains("wait enrollmentserver"), "{nothing}");
    Ok(())
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}
