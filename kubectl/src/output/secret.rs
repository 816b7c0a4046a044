//! What only its owner may read: shown once, or in a file of mode 0600.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

/// Where a secret goes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SecretSink {
    /// Writes the secret to this file, which only its owner can read, and not to standard output. The file must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
}

impl SecretSink {
    /// Before anything is asked for: a secret that is lost cannot be asked for again.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &self.output_file {
            Some(file) if fs::symlink_metadata(file).is_ok() => {
                anyhow::bail!("{} is there already", file.display())
            }
            // Whether it can be written is only known by who has written it.
            Some(file) => {
                write_secret(file, b"")?;
                fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
            }
            None => Ok(()),
        }
    }
}

/// A new file that nobody else can open, not even for the moment before it is closed to them.
///
/// # Errors
/// Where it is there already, in whatever form: what it points to, or who reads it, is not ours to say.
pub(crate) fn write_secret(file: &Path, secret: &[u8]) -> anyhow::Result<()> {
    create(file, secret).with_context(|| format!("cannot write {}", file.display()))
}

fn create(file: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_there_already_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("key"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        symlink(folder.path().join("nowhere"), &link).unwrap();
        for path in [&file, &link] {
            assert!(SecretSink { output_file: Some(path.clone()) }.check().is_err());
            assert!(write_secret(path, b"secret").is_err());
        }
        assert_eq!(fs::read(&file).unwrap(), b"before");
        assert!(!folder.path().join("nowhere").exists());
        let beyond = folder.path().join("nowhere").join("key");
        assert!(SecretSink { output_file: Some(beyond) }.check().is_err());
        let free = folder.path().join("free");
        SecretSink { output_file: Some(free.clone()) }.check().unwrap();
        assert!(!free.exists());
    }

    #[test]
    fn nobody_but_the_owner_can_read_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write_secret(&file, b"secret").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"secret");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
