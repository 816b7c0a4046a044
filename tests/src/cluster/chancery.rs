//! Chancery itself, as the chart installs it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Cluster, Helm};

/// Starting an operator takes seconds; on a machine that builds something else besides, more.
const LIMIT: Duration = Duration::from_secs(180);

impl Cluster {
    /// Makes sure that Chancery runs, as release `chancery` in `chancery-system`, with the images that the runner loaded and
    /// without the chart's default server: tests make servers of their own. Does nothing where this process has done it.
    pub fn install_chancery(&self) -> Result<Helm> {
        static INSTALLED: Mutex<bool> = Mutex::new(false);
        let helm = Helm::chancery();
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            helm.upgrade_or_install(&self.chancery_values()?, LIMIT)?;
            *installed = true;
        }
        Ok(helm)
    }

    /// The values that [`Cluster::install_chancery`] gives the chart.
    pub fn chancery_values(&self) -> Result<Value> {
        let mut values = Helm::image_values(self)?;
        if let Value::Object(members) = &mut values {
            members.insert("defaultServer".to_owned(), json!({"enabled": false}));
        }
        Ok(values)
    }
}
