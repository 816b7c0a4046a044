//! The data folder: everything a standalone server keeps.
//!
//! | path | what |
//! | --- | --- |
//! | `chancery.db` | rows: certificates, requests, credentials, jobs, CRLs, audit |
//! | `sealing.key` | seals secrets, unless a key is given from outside; back it up apart from the rest |
//! | `authorities/NS.NAME/` | `certificate.pem`, `chain.pem`, `root.pem`, and `key.sealed` |
//! | `credentials/NS.NAME/` | `username` and `password` of a generated credential, or `kid` and `hmac` for ACME |
//! | `configuration.sealed` | the last good configuration |
//! | `endpoints.json`, `status.json` | for scripts and `chancery-server status` |
//!
//! The folder and its files belong to the server's user alone. Files are replaced, never overwritten in place.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use issuance::{
    identity::ResourceName,
    sealing::{SealingError, SealingKeys},
};
use zeroize::Zeroizing;

/// The environment variable that may hold the sealing keys instead of a file.
pub const SEALING_KEY_VARIABLE: &str = "CHANCERY_SEALING_KEY";

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is in use by another chancery-server")]
    InUse(PathBuf),
    #[error("the sealing key: {0}")]
    Sealing(#[from] SealingError),
}

/// An open data folder.
#[derive(Clone, Debug)]
pub struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// Where it cannot be made or is not a folder.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        make_folder(path)?;
        let root = fs::canonicalize(path).map_err(at(path))?;
        Ok(Self { root })
    }

    /// Takes the folder for one running server; free again when the returned file is dropped or the process dies.
    ///
    /// # Errors
    /// [`DataError::InUse`].
    pub fn lock(&self) -> Result<File, DataError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(self.root.clone())),
            Err(TryLockError::Error(source)) => Err(DataError::Io { path, source }),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("chancery.db")
    }

    pub fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    pub fn configuration(&self) -> PathBuf {
        self.root.join("configuration.sealed")
    }

    pub fn sealing_key(&self) -> PathBuf {
        self.root.join("sealing.key")
    }

    pub fn authorities(&self) -> PathBuf {
        self.root.join("authorities")
    }

    pub fn authority(&self, name: &ResourceName) -> PathBuf {
        self.authorities().join(name.dotted())
    }

    /// The root that an authority's chain ends with, for clients to trust.
    pub fn root_certificate(&self, name: &ResourceName) -> PathBuf {
        self.authority(name).join("root.pem")
    }

    pub fn credential(&self, name: &ResourceName) -> PathBuf {
        self.root.join("credentials").join(name.dotted())
    }

    /// The sealing keys: from the file named, else from the environment, else from the folder, where the first start
    /// makes one.
    ///
    /// # Errors
    /// Where a key is named and cannot be read, or is not a key.
    pub fn sealing_keys(&self, file: Option<&Path>) -> Result<SealingKeys, DataError> {
        if let Some(path) = file {
            return Ok(SealingKeys::parse(&read_secret(path)?)?);
        }
        if let Ok(text) = std::env::var(SEALING_KEY_VARIABLE) {
            return Ok(SealingKeys::parse(&Zeroizing::new(text))?);
        }
        let path = self.sealing_key();
        if !path.exists() {
            write_private(&path, SealingKeys::generate_line()?.as_bytes())?;
        }
        Ok(SealingKeys::parse(&read_secret(&path)?)?)
    }
}

/// Reads a small text file that holds a secret.
///
/// # Errors
/// Where it cannot be read or is not UTF-8.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, DataError> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(at(path))
}

/// Reads a file, or nothing where there is none.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::Io { path: path.into(), source }),
    }
}

/// Writes a file that only its owner reads, whole or not at all, durable before it returns.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = folder.join(name);
    let write = || {
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(at(path))
}

/// Removes a folder and what is in it, if it is there.
///
/// # Errors
/// Where it is there and cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), DataError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(DataError::Io { path: path.into(), source }),
    }
}

fn make_folder(path: &Path) -> Result<(), DataError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_and_folders_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(&folder.path().join("data")).unwrap();
        let path = data.credential(&ResourceName::new("a", "b")).join("password");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(data.root())), (0o600, 0o700, 0o700));
    }

    #[test]
    fn one_server_at_a_time_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let lock = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(DataError::InUse(_))));
        drop(lock);
        assert!(data.lock().is_ok());
    }

    #[test]
    fn a_sealing_key_is_made_once_and_a_bad_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let secret = issuance::secret::Secret::new("s");
        let sealed = data.sealing_keys(None).unwrap().seal("p", &secret).unwrap();
        assert_eq!(data.sealing_keys(None).unwrap().unseal("p", &sealed).unwrap(), secret);
        let bad = folder.path().join("bad");
        fs::write(&bad, "not a key").unwrap();
        assert!(matches!(data.sealing_keys(Some(&bad)), Err(DataError::Sealing(_))));
        assert!(matches!(data.sealing_keys(Some(Path::new("/nonexistent"))), Err(DataError::Io { .. })));
    }
}
