//! The `openssl` program as a second opinion.

use std::{fs, process::Command};

use tempfile::TempDir;

/// Files for openssl, removed at the end.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    /// What it prints.
    #[track_caller]
    pub(super) fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(
            output.status.success(),
            "openssl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Whether it does what it is told.
    pub(super) fn does(&self, arguments: &[&str]) -> bool {
        Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap().status.success()
    }
}
