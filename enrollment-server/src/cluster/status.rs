//! What this replica says about itself: to the operator what it serves, to probes whether it is ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use client::internal::Loaded;

use crate::{
    listeners::{Check, Readiness, ReadinessReport},
    serving::{App, Behind},
};

/// Shared by the configuration, the internal listener and probes.
#[derive(Debug)]
pub(super) struct ClusterStatus {
    app: Arc<App>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Loaded,
    store: Result<(), String>,
    stopping: bool,
}

impl ClusterStatus {
    pub(super) fn new(app: Arc<App>) -> Self {
        let loaded = Loaded {
            version: env!("CARGO_PKG_VERSION").into(),
            formats: (resolve::OLDEST_FORMAT, resolve::FORMAT),
            ..Loaded::default()
        };
        Self { app, state: Mutex::new(State { loaded, store: Ok(()), stopping: false }) }
    }

    /// A configuration is in force: which parts, and which of them could not be.
    pub(super) fn applied(
        &self,
        generation: u64,
        parts: BTreeMap<String, String>,
        failed: BTreeMap<String, String>,
    ) {
        self.change(|loaded| {
            loaded.generation = generation;
            loaded.parts = parts;
            loaded.failed = failed;
            loaded.rejected = None;
        });
    }

    /// What lies there now is not in force. Says whether that is news.
    pub(super) fn rejected(&self, why: String) -> bool {
        self.change(|loaded| loaded.rejected.replace(why.clone()) != Some(why))
    }

    /// What lies there now is what is in force.
    pub(super) fn recovered(&self) {
        self.change(|loaded| loaded.rejected = None);
    }

    /// What the last look at the store said.
    pub(super) fn store(&self, outcome: Result<(), String>) {
        self.lock().store = outcome;
    }

    /// No new connections are wanted any more.
    pub(super) fn stopping(&self) {
        self.lock().stopping = true;
    }

    pub(super) fn loaded(&self) -> Loaded {
        self.lock().loaded.clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Loaded) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state.loaded);
        self.app.falls_behind(Behind::of(state.loaded.rejected.is_some(), !state.loaded.failed.is_empty()));
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for ClusterStatus {
    fn report(&self) -> ReadinessReport {
        let state = self.lock();
        let Loaded { generation, failed, rejected, .. } = &state.loaded;
        // Neither is a reason to take devices away from what still works.
        let configuration = match (rejected, failed.len()) {
            _ if *generation == 0 => match rejected {
                Some(why) => format!("none is in force; rejected: {why}"),
                None => "the first is awaited".to_owned(),
            },
            (Some(why), _) => format!("generation {generation} stays in force; rejected: {why}"),
            (None, 0) => format!("generation {generation} is in force"),
            (None, failed) => format!("generation {generation} is in force; {failed} parts of it are not"),
        };
        let store = match &state.store {
            Ok(()) => "takes commits".to_owned(),
            Err(error) => error.clone(),
        };
        let listeners = if state.stopping { "are about to close" } else { "serve" };
        ReadinessReport::new(vec![
            Check { name: "configuration", ok: *generation > 0, detail: configuration },
            Check { name: "store", ok: state.store.is_ok(), detail: store },
            Check { name: "listeners", ok: !state.stopping, detail: listeners.to_owned() },
        ])
    }
}
