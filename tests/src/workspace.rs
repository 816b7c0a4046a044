//! A directory of one test, removed when the test ends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A temporary directory with a short path. `CHANCERY_KEEP=1` keeps it and prints nothing; its path is in every
/// message of a failed command.
#[derive(Debug)]
pub struct Workspace {
    directory: TempDir,
}

impl Workspace {
    /// Makes a fresh directory below the system's temporary directory.
    pub fn new() -> Result<Self> {
        let mut directory =
            tempfile::Builder::new().prefix("ch").tempdir().context("cannot make a temporary directory")?;
        directory.disable_cleanup(std::env::var_os("CHANCERY_KEEP").is_some());
        Ok(Self { directory })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file in it, which need not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and answers its path.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.file(name);
        std::fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
