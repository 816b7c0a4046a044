//! All replicas with what was last heard of each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::client::internal::{Loaded, Usage};
use issuance::identity::ResourceName;

use super::{CallError, Replica, ReplicaState};

/// All replicas. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    states: Arc<Mutex<BTreeMap<ResourceName, Vec<ReplicaState>>>>,
}

impl Fleet {
    /// Takes over which replicas there are; what was heard of those that stay is kept.
    pub fn update(&self, mut replicas: BTreeMap<ResourceName, Vec<ReplicaState>>) {
        let mut states = self.lock();
        for state in replicas.values_mut().flatten() {
            let known = states.get(&state.replica.server).into_iter().flatten();
            if let Some(known) = known.into_iter().find(|known| known.replica == state.replica) {
                state.loaded.clone_from(&known.loaded);
                state.usage.clone_from(&known.usage);
                state.error.clone_from(&known.error);
            }
        }
        *states = replicas;
    }

    /// All replicas of a server.
    pub fn of(&self, server: &ResourceName) -> Vec<ReplicaState> {
        self.lock().get(server).cloned().unwrap_or_default()
    }

    /// Those that are ready.
    pub fn ready(&self, server: &ResourceName) -> Vec<Replica> {
        let states = self.lock();
        let ready = states.get(server).into_iter().flatten().filter(|state| state.ready);
        ready.map(|state| state.replica.clone()).collect()
    }

    /// All replicas of all servers.
    pub fn all(&self) -> Vec<ReplicaState> {
        self.lock().values().flatten().cloned().collect()
    }

    /// Notes what a replica said; says whether that is news.
    pub(super) fn heard(&self, replica: &Replica, loaded: Result<Loaded, CallError>) -> bool {
        self.change(replica, |state| match loaded {
            Ok(loaded) => {
                state.error = None;
                state.loaded = Some(loaded);
            }
            // What it served before it fell silent says nothing about now.
            Err(error) => {
                state.error = Some(error.to_string());
                state.loaded = None;
            }
        })
    }

    pub(super) fn used(&self, replica: &Replica, usage: Usage) -> bool {
        self.change(replica, |state| state.usage = Some(usage))
    }

    fn change(&self, replica: &Replica, change: impl FnOnce(&mut ReplicaState)) -> bool {
        let mut states = self.lock();
        let found =
            states.get_mut(&replica.server).into_iter().flatten().find(|state| state.replica == *replica);
        let Some(state) = found else { return false };
        let before = state.clone();
        change(state);
        *state != before
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Vec<ReplicaState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
