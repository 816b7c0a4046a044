//! Values of credentials that are made here, as files.

use issuance::{Error, identity::ResourceName, secret::Secret};
use resolve::{CompiledCredential, ValueForm};

use super::data::{DataError, DataFolder, remove_folder, write_private};
use crate::configuration::Values;

impl Values for DataFolder {
    fn keep(&self, credential: &CompiledCredential, value: &Secret) -> Result<(), Error> {
        let (files, form) = (self.credential(&credential.name), ValueForm::of(credential.protocol));
        if let (Some(key), Some(username)) = (form.name_key(), &credential.username) {
            write_private(&files.join(key), username.as_bytes()).map_err(internal)?;
        }
        write_private(&files.join(form.value_key()), form.write(value).expose()).map_err(internal)
    }

    fn forget(&self, name: &ResourceName) -> Result<(), Error> {
        remove_folder(&self.credential(name)).map_err(internal)
    }
}

fn internal(error: DataError) -> Error {
    Error::Internal(error.to_string())
}
