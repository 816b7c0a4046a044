//! helm, as functions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Cluster;
use crate::program;

/// Where the chart is that the tests install.
const CHART: &str = "charts/chancery";

/// A chart and where it is installed.
#[derive(Clone, Debug)]
pub struct Helm {
    chart: PathBuf,
    name: String,
    namespace: String,
}

/// One revision of an installed release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Counts from 1, up by one with each install, upgrade and rollback.
    pub revision: u64,
}

impl Helm {
    /// Our own chart, as release `chancery` in `chancery-system`.
    pub fn chancery() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
        Self::new(repository.join(CHART), "chancery", "chancery-system")
    }

    /// Any chart: a folder or a packed file.
    pub fn new(chart: PathBuf, name: &str, namespace: &str) -> Self {
        Self { chart, name: name.to_owned(), namespace: namespace.to_owned() }
    }

    /// Where it is installed.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The values that make our chart use the images that the runner loaded.
    pub fn image_values(cluster: &Cluster) -> Result<Value> {
        Ok(json!({
            "operator": {"image": image(&cluster.operator_image)?},
            "server": {"image": image(&cluster.server_image)?},
        }))
    }

    /// Installs, or upgrades where it is installed, and waits until everything is ready. `values` replace all that were
    /// given before.
    pub fn upgrade_or_install(&self, values: &Value, limit: Duration) -> Result<Release> {
        let limit = format!("{}s", limit.as_secs());
        let chart = self.chart.to_str().context("the path of the chart is not UTF-8")?;
        let arguments = [
            "upgrade",
            "--install",
            &self.name,
            chart,
            "--create-namespace",
            "--reset-values",
            "--values=-",
            "--wait",
            "--timeout",
            &limit,
        ];
        self.run(&arguments, Some(values.to_string().as_bytes()))?;
        self.status()
    }

    /// Goes back to an earlier revision and waits until everything is ready.
    pub fn rollback(&self, to: Release, limit: Duration) -> Result<Release> {
        let (revision, limit) = (to.revision.to_string(), format!("{}s", limit.as_secs()));
        self.run(&["rollback", &self.name, &revision, "--wait", "--timeout", &limit], None)?;
        self.status()
    }

    /// Uninstalls it and waits until what goes is gone.
    pub fn uninstall(&self, limit: Duration) -> Result<()> {
        let limit = format!("{}s", limit.as_secs());
        let arguments = ["uninstall", &self.name, "--ignore-not-found", "--wait", "--timeout", &limit];
        self.run(&arguments, None).map(drop)
    }

    /// The revision in force.
    pub fn status(&self) -> Result<Release> {
        let text = self.run(&["status", &self.name, "--output=json"], None)?;
        let status: Value = serde_json::from_str(&text).context("helm printed no JSON")?;
        let revision = status.get("version").and_then(Value::as_u64).context("helm named no revision")?;
        Ok(Release { revision })
    }

    /// Any command of helm, in the release's namespace; a status other than 0 is an error that holds all it printed.
    pub fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<String> {
        let mut words = vec!["--namespace", &self.namespace];
        words.extend(arguments);
        let answer = program::run("helm", &words, input)?;
        if !answer.status.success() {
            bail!("`helm {}` failed: {}", arguments.join(" "), program::printed(&answer));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }
}

/// `registry/repository:tag`, as the chart's values have it.
fn image(reference: &str) -> Result<Value> {
    let (registry, rest) =
        reference.split_once('/').with_context(|| format!("{reference} has no registry"))?;
    let (repository, tag) = rest.rsplit_once(':').with_context(|| format!("{reference} has no tag"))?;
    Ok(json!({"registry": registry, "repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_split_as_the_chart_has_it() -> Result<()> {
        let value = image("registry.acme.com:5000/pki/chancery-server:dev-0123")?;
        assert_eq!(value["registry"], "registry.acme.com:5000");
        assert_eq!(value["repository"], "pki/chancery-server");
        assert_eq!(value["tag"], "dev-0123");
        assert!(image("chancery-server:dev").is_err());
        assert!(image("docker.io/library/chancery-server").is_err());
        Ok(())
    }
}
