//! What files and the environment say. Secrets are never arguments: those are shown to every user of the machine.

use std::{fs, path::Path};

use anyhow::Context as _;
use client::rest::{BearerToken, ClientIdentity};
use zeroize::Zeroizing;

use super::ServerArgs;
use crate::cli::Usage;

/// The variable that can hold an access key itself.
const ACCESS_KEY: &str = "CHANCERY_ACCESS_KEY";

impl ServerArgs {
    /// What clap cannot say, because a part of it may come from the environment.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let nowhere = self.url.is_none() && self.method.is_none();
        if nowhere {
            return Err(Usage::error("there is no server: give --server, or --method in a cluster"));
        }
        if self.method.is_none() && (self.credential.is_some() || self.port_forward) {
            return Err(Usage::error(
                "--credential and --port-forward need --method: its resources say the rest",
            ));
        }
        Ok(())
    }

    /// The access key of the file, else of the environment; none where there is neither.
    pub(super) fn token(&self) -> anyhow::Result<Option<BearerToken>> {
        let (text, whence) = match &self.access_key_file {
            Some(file) => (secret(file)?, file.display().to_string()),
            None => match std::env::var(ACCESS_KEY) {
                Ok(text) if !text.is_empty() => (Zeroizing::new(text.into_bytes()), ACCESS_KEY.to_owned()),
                Ok(_) | Err(_) => return Ok(None),
            },
        };
        BearerToken::parse(&text).map(Some).with_context(|| format!("there is no access key in {whence}"))
    }

    pub(super) fn identity(&self) -> anyhow::Result<Option<ClientIdentity>> {
        let (Some(chain), Some(key)) = (&self.client_certificate_file, &self.client_key_file) else {
            return Ok(None);
        };
        let identity = ClientIdentity::from_pem(&contents(chain)?, &secret(key)?);
        identity
            .map(Some)
            .with_context(|| format!("{} and {} cannot be shown", chain.display(), key.display()))
    }

    pub(super) fn authorities(&self) -> anyhow::Result<Option<Vec<u8>>> {
        self.ca_file.as_deref().map(contents).transpose()
    }
}

/// What a file holds.
pub(crate) fn contents(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The passphrase that is the first line of a file.
pub(crate) fn passphrase(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    first_line(&secret(file)?)
}

/// What a file with a secret holds.
fn secret(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    contents(file).map(Zeroizing::new)
}

/// A line feed at its end is the editor's.
fn first_line(text: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    let line = text.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Usage::error("the passphrase is not UTF-8"))?;
    if line.is_empty() {
        Err(Usage::error("the passphrase is empty"))
    } else {
        Ok(Zeroizing::new(line.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_that_cannot_be_one_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for text in ["", "hunter2 hunter2", "hunter2\nhunter2"] {
            fs::write(&file, text).unwrap();
            let args = ServerArgs { access_key_file: Some(file.clone()), ..ServerArgs::default() };
            let error = format!("{:#}", args.token().unwrap_err());
            assert!(error.contains(file.to_str().unwrap()) && !error.contains("hunter2"), "{error}");
        }
        fs::write(&file, "chancery_0_1\n").unwrap();
        let args = ServerArgs { access_key_file: Some(file), ..ServerArgs::default() };
        assert!(args.token().unwrap().is_some());
    }

    #[test]
    fn a_passphrase_is_the_first_line_and_not_nothing() {
        assert_eq!(first_line(b"with a space \r\nrest").unwrap().as_str(), "with a space ");
        assert_eq!(first_line(b"one").unwrap().as_str(), "one");
        for bad in [&b""[..], b"\nsecond", b"\xff"] {
            assert!(first_line(bad).unwrap_err().is::<Usage>());
        }
    }

    #[test]
    fn what_needs_resources_needs_the_name_of_one() {
        let args = |change: fn(&mut ServerArgs)| {
            let mut args = ServerArgs { url: Some("https://a.example".into()), ..ServerArgs::default() };
            change(&mut args);
            args.check().map_err(|error| error.is::<Usage>())
        };
        assert_eq!(args(|args| args.url = None), Err(true));
        assert_eq!(args(|args| args.credential = Some("ci".into())), Err(true));
        assert_eq!(args(|args| args.port_forward = true), Err(true));
        assert_eq!(args(|_| {}), Ok(()));
        assert_eq!(args(|args| args.method = Some("desk".into())), Ok(()));
    }
}
