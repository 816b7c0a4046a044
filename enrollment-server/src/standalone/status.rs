//! What the server says about itself: `status.json` for the command line, the readiness report for probes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::data::{DataError, DataFolder, read_if_there, write_private};
use crate::{
    listeners::{Check, Readiness, ReadinessReport},
    serving::{App, Behind},
};

/// `DATA/status.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusFile {
    pub pid: u32,
    pub version: String,
    pub listeners: ListenerAddresses,
    /// How many configurations this process has put in force.
    pub generation: u64,
    /// Why the folder as it is now is not in force, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What became of each resource.
    pub resources: Vec<ResourceStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerAddresses {
    pub device: SocketAddr,
    pub public: SocketAddr,
    pub private: SocketAddr,
}

/// One resource and whether it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    pub kind: String,
    pub name: String,
    /// `Ready` or `NotReady`.
    pub state: String,
    /// Reason and message of what stands in the way; empty where nothing does.
    pub message: String,
}

impl ResourceStatus {
    pub const READY: &str = "Ready";
    pub const NOT_READY: &str = "NotReady";
}

impl StatusFile {
    /// The file, if a server has run with this folder.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(folder: &DataFolder) -> anyhow::Result<Option<Self>> {
        let bytes = read_if_there(&folder.status())?;
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    /// How many resources are not ready.
    fn not_ready(&self) -> usize {
        self.resources.iter().filter(|resource| resource.state == ResourceStatus::NOT_READY).count()
    }
}

/// The live state, shared by reloads and probes.
#[derive(Debug)]
pub struct LiveStatus {
    app: Arc<App>,
    folder: DataFolder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: StatusFile,
    store: Result<(), String>,
    /// Whether the sockets are served.
    serving: bool,
}

impl LiveStatus {
    pub fn new(app: Arc<App>, folder: DataFolder, listeners: ListenerAddresses) -> Self {
        let file = StatusFile {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            listeners,
            generation: 0,
            last_error: None,
            resources: Vec::new(),
        };
        Self { app, folder, state: Mutex::new(State { file, store: Ok(()), serving: false }) }
    }

    /// A configuration is in force.
    pub fn applied(&self, generation: u64, resources: Vec<ResourceStatus>) {
        self.change(|state| {
            state.file.generation = generation;
            state.file.resources = resources;
            state.file.last_error = None;
        });
    }

    /// The folder as it is now was not taken.
    pub fn rejected(&self, error: String) {
        self.change(|state| state.file.last_error = Some(error));
    }

    /// The folder is again what is in force.
    pub fn recovered(&self) {
        if self.lock().file.last_error.is_some() {
            self.change(|state| state.file.last_error = None);
        }
    }

    pub fn serving(&self, serving: bool) {
        self.lock().serving = serving;
    }

    /// What the last look at the store said.
    pub fn store(&self, outcome: Result<(), String>) {
        self.lock().store = outcome;
    }

    /// Writes `status.json`.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self) -> Result<(), DataError> {
        let text = serde_json::to_vec_pretty(&self.lock().file).unwrap_or_default();
        write_private(&self.folder.status(), &text)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.lock();
            change(&mut state);
            self.app.falls_behind(Behind::of(state.file.last_error.is_some(), state.file.not_ready() > 0));
        }
        if let Err(error) = self.write() {
            tracing::warn!(%error, "status.json could not be written");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for LiveStatus {
    fn report(&self) -> ReadinessReport {
        let state = self.lock();
        let not_ready = state.file.not_ready();
        let configuration = match &state.file.last_error {
            // Not a reason to take devices away from what still works.
            Some(error) => format!(
                "the last good configuration ({}) is in force; rejected: {error}",
                state.file.generation
            ),
            None if not_ready > 0 => {
                format!(
                    "configuration {} is in force; {not_ready} resources are not ready",
                    state.file.generation
                )
            }
            None => format!("configuration {} is in force", state.file.generation),
        };
        let store = match &state.store {
            Ok(()) => "takes commits".to_owned(),
            Err(error) => error.clone(),
        };
        let listeners = if state.serving { "serve" } else { "are being opened or closed" };
        ReadinessReport::new(vec![
            Check { name: "configuration", ok: state.file.generation > 0, detail: configuration },
            Check { name: "store", ok: state.store.is_ok(), detail: store },
            Check { name: "listeners", ok: state.serving, detail: listeners.to_owned() },
        ])
    }
}
