//! The Secrets of this namespace that hold parts and the manifest, as they are now.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crds::labels::{MANIFEST_KEY, PART, PART_KEY, SIGNATURE_KEY, manifest_secret_name};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, task::JoinHandle};

/// An operator writes parts and manifest one after the other; a look waits until nothing happens for this long.
const QUIET: Duration = Duration::from_millis(100);

/// However much happens, a look does not wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A manifest and its signature, as they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedManifest {
    pub(super) json: Bytes,
    pub(super) signature: Bytes,
}

/// What is there now.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) manifest: Option<SignedManifest>,
    /// The JSON of parts, which holds secrets, and of lists of them, by the name of the Secret.
    pub(super) parts: BTreeMap<String, Bytes>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&String> = self.parts.keys().collect();
        f.debug_struct("Found").field("manifest", &self.manifest.is_some()).field("parts", &parts).finish()
    }
}

/// Watches; whatever happens to the API server, what was read last stays.
pub(super) struct SecretWatch {
    state: Arc<Mutex<State>>,
    changes: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    found: Found,
    /// Parts of a list that is being read.
    listed: BTreeMap<String, Bytes>,
    parts_read: bool,
    manifest_read: bool,
}

/// Which of the two watches an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Parts,
    Manifest,
}

impl fmt::Debug for SecretWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretWatch").field("found", &self.found()).finish_non_exhaustive()
    }
}

impl SecretWatch {
    /// Begins to watch the namespace for what belongs to this server.
    pub(super) fn start(client: &Client, namespace: &str, server: &str) -> Self {
        let (sender, changes) = watch::channel(0);
        let state = Arc::new(Mutex::new(State::default()));
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let manifest = format!("metadata.name={}", manifest_secret_name(server));
        let manifest = watcher(secrets.clone(), watcher::Config::default().fields(&manifest));
        let parts = watcher(secrets, watcher::Config::default().labels(PART));
        let events = stream::select(
            parts.default_backoff().map_ok(|event| (Of::Parts, event)),
            manifest.default_backoff().map_ok(|event| (Of::Manifest, event)),
        );
        let task = tokio::spawn(follow(events, state.clone(), sender));
        Self { state, changes, task }
    }

    /// Returns when something may have changed since the last call and has been quiet since.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The task has ended, which it only does with the process.
            std::future::pending::<()>().await;
        }
        let quiet =
            async { while let Ok(Ok(())) = tokio::time::timeout(QUIET, self.changes.changed()).await {} };
        let _ = tokio::time::timeout(LONGEST_WAIT, quiet).await;
    }

    /// What is there; none until everything was read once.
    pub(super) fn found(&self) -> Option<Found> {
        let state = lock(&self.state);
        (state.parts_read && state.manifest_read).then(|| state.found.clone())
    }
}

impl Drop for SecretWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    events: impl stream::Stream<Item = Result<(Of, Event<Secret>), watcher::Error>>,
    state: Arc<Mutex<State>>,
    sender: watch::Sender<u64>,
) {
    let mut events = std::pin::pin!(events);
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok((of, event)) => {
                if failing {
                    tracing::info!("the Secrets of this namespace can be watched again");
                    failing = false;
                }
                if lock(&state).apply(of, event) {
                    sender.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
            Err(error) if !failing => {
                tracing::warn!(%error, "the Secrets of this namespace cannot be watched; what was read last stays in force");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

impl State {
    /// Says whether something may have changed.
    fn apply(&mut self, of: Of, event: Event<Secret>) -> bool {
        match of {
            Of::Parts => self.apply_part(event),
            Of::Manifest => self.apply_manifest(event),
        }
    }

    fn apply_part(&mut self, event: Event<Secret>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(secret) => {
                let (name, part) = part(secret);
                self.listed.extend(part.map(|part| (name, part)));
                false
            }
            Event::InitDone => {
                self.found.parts = std::mem::take(&mut self.listed);
                self.parts_read = true;
                true
            }
            Event::Apply(secret) => {
                let (name, part) = part(secret);
                match part {
                    Some(part) => self.found.parts.insert(name, part),
                    None => self.found.parts.remove(&name),
                };
                true
            }
            Event::Delete(secret) => {
                self.found.parts.remove(&secret.metadata.name.unwrap_or_default());
                true
            }
        }
    }

    fn apply_manifest(&mut self, event: Event<Secret>) -> bool {
        match event {
            Event::Init => {
                // Until the list says that there is one again.
                self.found.manifest = None;
                self.manifest_read = false;
                false
            }
            Event::InitApply(secret) => {
                self.found.manifest = manifest(secret);
                false
            }
            Event::InitDone => {
                self.manifest_read = true;
                true
            }
            Event::Apply(secret) => {
                self.found.manifest = manifest(secret);
                true
            }
            Event::Delete(_) => {
                self.found.manifest = None;
                true
            }
        }
    }
}

fn part(secret: Secret) -> (String, Option<Bytes>) {
    let name = secret.metadata.name.unwrap_or_default();
    let json = secret.data.and_then(|mut data| data.remove(PART_KEY));
    (name, json.map(|json| json.0.into()))
}

fn manifest(secret: Secret) -> Option<SignedManifest> {
    let mut data = secret.data?;
    let (json, signature) = (data.remove(MANIFEST_KEY)?, data.remove(SIGNATURE_KEY)?);
    Some(SignedManifest { json: json.0.into(), signature: signature.0.into() })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
