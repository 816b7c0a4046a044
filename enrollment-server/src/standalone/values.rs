//! Values of credentials that are made here, as files.

use issuance::{Error, identity::ResourceName, secret::Secret};
use resolve::CompiledCredential;

use super::data::{DataError, DataFolder, remove_folder, write_private};
use crate::configuration::Values;

impl Values for DataFolder {
    fn keep(&self, credential: &CompiledCredential, value: &Secret) -> Result<(), Error> {
        let files = self.credential(&credential.name);
        if let Some(username) = &credential.username {
            write_private(&files.join("username"), username.as_bytes()).map_err(internal)?;
        }
        write_private(&files.join("password"), value.expose()).map_err(internal)
    }

    fn forget(&self, name: &ResourceName) -> Result<(), Error> {
        remove_folder(&self.credential(name)).map_err(internal)
    }
}

fn internal(error: DataError) -> Error {
    Error::Internal(error.to_string())
}
