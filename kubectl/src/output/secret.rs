//! What only its owner may read: shown once, or in a file of mode 0600.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
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

/// A new file that nobody else can open, not even for the moment before it is closed to them, for a secret that is given once: the
/// file is there before the secret is asked for, and is removed again unless that is written to it.
#[derive(Debug)]
pub(crate) struct SecretFile {
    file: File,
    path: PathBuf,
    written: bool,
}

impl SecretFile {
    /// # Errors
    /// Where it is there already, in whatever form: what it points to, or who reads it, is not ours to say.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), written: false })
    }

    /// # Errors
    /// Where there is no room for all of it. None of it is there then.
    pub(crate) fn write(mut self, secret: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(secret).and_then(|()| self.file.sync_all());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.written {
            // Whoever asked hears of something worse already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new file with what is at hand already.
///
/// # Errors
/// As of [`SecretFile`].
pub(crate) fn write_secret(file: &Path, secret: &[u8]) -> anyhow::Result<()> {
    SecretFile::create(file)?.write(secret)
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
    fn a_file_without_its_secret_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = SecretFile::create(&path).unwrap();
        assert!(SecretFile::create(&path).is_err() && path.exists());
        drop(file);
        assert!(!path.exists());

        // A disk without room.
        fs::write(&path, "").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = SecretFile { file: full, path: path.clone(), written: false };
        let refused = file.write(b"secret").unwrap_err();
        assert!(refused.to_string().contains("cannot write"), "{refused:#}");
        assert!(!path.exists());
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
