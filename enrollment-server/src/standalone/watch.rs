//! Notices that the folder of resources has changed, once things are quiet again.

use std::{path::Path, time::Duration};

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// An editor writes a file in several steps; a reload waits until nothing happens for this long.
const QUIET: Duration = Duration::from_millis(200);

/// File systems that give no notice (network mounts) are looked at this often.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Watches one folder.
#[derive(Debug)]
pub(super) struct FolderWatch {
    changes: mpsc::Receiver<()>,
    /// Watches for as long as it lives; none where the system refused.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FolderWatch {
    /// Begins to watch. Where the system cannot tell of changes, the folder is looked at twice a minute.
    pub(super) fn new(folder: &Path) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let notice = move |event: notify::Result<notify::Event>| {
            // Reading the folder is an event too, and none of ours.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // A full channel holds the notice already.
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(notice).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "no notice of changed files; the folder is read every 30 s"),
            )
            .ok();
        Self { changes, _watcher: watcher }
    }

    /// Returns when the folder may have changed and has been quiet since.
    pub(super) async fn changed(&mut self) {
        let noticed = tokio::time::timeout(LOOK_ANYWAY, self.changes.recv()).await;
        if !matches!(noticed, Ok(Some(()))) {
            // No notice can come any more, or none came in time.
            if matches!(noticed, Ok(None)) {
                tokio::time::sleep(LOOK_ANYWAY).await;
            }
            return;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
    }
}
