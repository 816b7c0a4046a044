//! `orders download`: what came of an order.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use clap::{Args, ValueEnum};
use client::rest::{Client, KeyRequest, Order, Other};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{again::explained, wait::check_issued};
use crate::{
    cli::{Context, Usage},
    connection::passphrase,
    output::{SecretFile, SecretSink, sink, write_secret},
};

#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// Identifier of the order, as `orders list` shows it.
    id: String,
    /// The form of the file; without it pem, or pkcs8 with --passphrase-file.
    #[arg(long, value_enum)]
    format: Option<FileForm>,
    /// The file whose first line is the passphrase that the private key is encrypted with, which the server made. It is fetched
    /// once, and is not at the server then.
    #[arg(long, value_name = "FILE", requires = "output_file")]
    passphrase_file: Option<PathBuf>,
    /// The file; without it standard output. With a private key only its owner can read it, and it must not be there yet.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// How a certificate is kept, and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileForm {
    /// The certificate alone.
    Pem,
    /// PEM, with those above it.
    Fullchain,
    Der,
    /// With those above it, DER.
    Pkcs7,
    /// With those above it, PEM.
    Pkcs7Pem,
    /// PEM: the private key under the passphrase, then the certificate and those above it.
    Pkcs8,
    /// The private key under the passphrase, with the certificate and those above it.
    Pkcs12,
}

/// What is to be in a file.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) form: FileForm,
    pub(super) passphrase: Option<Zeroizing<String>>,
}

impl DownloadArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.output.refuse_form("a file has its own form: give --format")?;
        let passphrase = self.passphrase_file.as_deref().map(passphrase).transpose()?;
        let without = if passphrase.is_some() { FileForm::Pkcs8 } else { FileForm::Pem };
        let wanted = Wanted { form: self.format.unwrap_or(without), passphrase };
        match (wanted.form.has_key(), wanted.passphrase.is_some()) {
            (true, false) => return Err(Usage::error("a private key needs --passphrase-file")),
            (false, true) => return Err(Usage::error("with --passphrase-file the form is pkcs8 or pkcs12")),
            (true, true) => SecretSink { output_file: self.output_file.clone() }.check()?,
            (false, false) => {}
        }
        let client = context.server().await?;
        let order = client.order(&self.id).await?;
        check_issued(&order)?;
        match &self.output_file {
            Some(file) if wanted.form.has_key() => to_file(&client, &order, wanted, file).await,
            _public => {
                let answer = client.download(certificate(&order)?, wanted.form.of_certificate()).await?;
                answer.write_to(sink(self.output_file.as_deref())?).await?;
                Ok(())
            }
        }
    }
}

impl FileForm {
    fn has_key(self) -> bool {
        match self {
            Self::Pkcs8 | Self::Pkcs12 => true,
            Self::Pem | Self::Fullchain | Self::Der | Self::Pkcs7 | Self::Pkcs7Pem => false,
        }
    }

    /// As the interface calls what a file has of the certificate.
    fn of_certificate(self) -> &'static str {
        match self {
            Self::Pem => "pem",
            Self::Fullchain | Self::Pkcs8 | Self::Pkcs12 => "fullchain",
            Self::Der => "der",
            Self::Pkcs7 => "pkcs7",
            Self::Pkcs7Pem => "pkcs7-pem",
        }
    }
}

/// Writes a new file that only its owner can read. What is fetched once is fetched last.
pub(super) async fn to_file(
    client: &Client,
    order: &Order,
    wanted: Wanted,
    file: &Path,
) -> anyhow::Result<()> {
    let Wanted { form, passphrase } = wanted;
    let certificates = client.download(certificate(order)?, form.of_certificate()).await?.bytes().await?;
    let Some(passphrase) = passphrase else { return write_secret(file, &certificates) };
    let pkcs12 = form == FileForm::Pkcs12;
    let format = if pkcs12 { "pkcs12" } else { "pkcs8" }.to_owned();
    // Once it is given the key is nowhere else: nothing but room can be missing then.
    let file = SecretFile::create(file)?;
    let id = &order.id;
    let key = client.order_key(id, &KeyRequest { format, passphrase, chain: pkcs12 }).await;
    let key = explained(key, || {
        format!(
            "it is not known whether the key was given, which is done once: `orders download {id}` gets it, or says that it is gone. {AGAIN}"
        )
    })?;
    let written = joined(&key, &certificates).and_then(|content| file.write(&content));
    written.with_context(|| format!("the key of the order {id} was given, and is lost. {AGAIN}"))
}

/// What is left where a key is gone.
const AGAIN: &str = "Where a key is gone, order again, and have the certificate revoked";

fn certificate(order: &Order) -> anyhow::Result<&str> {
    order.certificate_id.as_deref().with_context(|| format!("the order {} has no certificate", order.id))
}

/// The key and the certificates in PEM, or the PKCS #12 as it is.
fn joined(key: &Other, certificates: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let member = |name: &str| key.get(name).and_then(Value::as_str);
    match (member("privateKey"), member("pkcs12")) {
        (Some(pem), _) => Ok(Zeroizing::new([pem.as_bytes(), certificates].concat())),
        (None, Some(base64)) => {
            Ok(Zeroizing::new(STANDARD.decode(base64).context("the PKCS #12 is not base64")?))
        }
        (None, None) => bail!("the server gave no key"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_the_key_and_then_its_certificates() {
        let of = |key: Value| joined(key.as_object().unwrap(), b"CERTIFICATES\n").map(|file| file.to_vec());
        assert_eq!(of(json!({"format": "pkcs8", "privateKey": "KEY\n"})).unwrap(), b"KEY\nCERTIFICATES\n");
        assert_eq!(of(json!({"format": "pkcs12", "pkcs12": "AQI="})).unwrap(), [1, 2]);
        assert!(of(json!({"format": "pkcs12", "pkcs12": "?"})).is_err());
        assert!(of(json!({"format": "pkcs12"})).is_err());
    }
}
