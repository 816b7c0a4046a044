//! The store of a standalone server, opened beside it by a command: both stores let several processes in, and every
//! change is guarded by what it expects.

use std::{future::Future, sync::Arc};

use issuance::{Engine, ports::SystemClock, sealing::SealingKeys};

use super::DataArgs;
use crate::{
    standalone::data::DataFolder,
    store::{OpenStore, StoreLocation},
};

/// The audit stream of what is done at the command line.
const AUDIT_STREAM: &str = "command-line";

/// Rows read at a time by lists.
pub(super) const PAGE: usize = 500;

/// What a command works with.
#[derive(Debug)]
pub(super) struct Offline {
    pub(super) folder: DataFolder,
    pub(super) engine: Engine,
    store: OpenStore,
    sealing_key_file: Option<std::path::PathBuf>,
}

impl Offline {
    /// The sealing keys, for those commands that need them.
    pub(super) fn sealing(&self) -> anyhow::Result<SealingKeys> {
        Ok(self.folder.sealing_keys(self.sealing_key_file.as_deref())?)
    }
}

/// Opens the store, runs the command, and closes the store.
pub(super) fn with_store<F, T>(args: &DataArgs, command: impl FnOnce(Arc<Offline>) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let database = args.database.url()?;
    anyhow::ensure!(
        database.is_some() || args.data.join("chancery.db").exists(),
        "{} is not the data folder of a standalone server: it holds no chancery.db, and no --database is given",
        args.data.display()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = DataFolder::open(&args.data)?;
        let location = StoreLocation::choose(database, folder.database());
        let store = location.open(AUDIT_STREAM, None).await?;
        let offline = Arc::new(Offline {
            folder,
            engine: Engine::new(store.store(), Arc::new(SystemClock)),
            store,
            sealing_key_file: args.sealing_key_file.clone(),
        });
        let result = command(offline.clone()).await;
        offline.store.shutdown().await;
        result
    })
}

/// Who works at the command line, for the audit trail.
pub(super) fn operator() -> String {
    let name =
        std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".into());
    format!("{name} (command line)")
}
