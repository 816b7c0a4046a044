//! `certificates`, `revoke`, `renew`: what was issued.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use clap::{Args, Subcommand, ValueEnum};
use client::rest::{Certificate, Client, Issued, Query, Renewal};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    cli::{Context, Usage},
    connection::passphrase,
    output::{List, Row, SecretFile, SecretSink, sink},
    times,
};

#[derive(Debug, Subcommand)]
pub(crate) enum CertificatesCommand {
    /// Lists certificates in the order of issue.
    List(ListArgs),
    /// Shows one certificate, with all that is known of it under -o json or yaml.
    Get(WhichArgs),
    /// Gives a certificate as a file.
    Download(DownloadArgs),
    /// Revokes a certificate for good; the next revocation list is made at once.
    Revoke(RevokeArgs),
    /// Puts a certificate on the revocation list until it is released or revoked.
    Hold(WhichArgs),
    /// Takes a certificate off hold.
    Release(WhichArgs),
    /// Renews a certificate whose key the server made.
    Renew(RenewArgs),
}

/// All that are given must hold.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that are this now.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only that of this serial number, hexadecimal.
    #[arg(long)]
    serial: Option<String>,
    /// Only those with this text in the subject or in another name.
    #[arg(long)]
    name: Option<String>,
    /// Only those of this CertificateProfile.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    profile: Option<String>,
    /// Only those of this CertificateAuthority.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    authority: Option<String>,
    /// Only those that were asked for with the credential of this identifier.
    #[arg(long, value_name = "ID")]
    credential_id: Option<String>,
    /// Only those of this owner.
    #[arg(long, value_name = "user:NAME|group:NAME")]
    owner: Option<String>,
    /// Only those issued since: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is 30 days ago.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    issued_after: Option<String>,
    /// Only those issued before.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    issued_before: Option<String>,
    /// Only those that end after this time; 30d is in 30 days.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    expires_after: Option<String>,
    /// Only those that end before this time; 30d is in 30 days.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    expires_before: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Valid,
    Expired,
    Held,
    Revoked,
}

#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Identifier of the certificate, as `certificates list` shows it, or its serial number, hexadecimal.
    certificate: String,
}

#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// The form of the file.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file; without it standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The certificate alone.
    #[default]
    Pem,
    /// PEM, with those above it.
    Fullchain,
    Der,
    /// With those above it, DER.
    Pkcs7,
    /// With those above it, PEM.
    Pkcs7Pem,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// A reason of RFC 5280 §5.3.1, as in keyCompromise.
    #[arg(long)]
    reason: Option<String>,
    /// Since when the key is thought to be bad.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    invalidity_date: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// The form of the new private key.
    #[arg(long = "format", value_enum, default_value_t, requires = "passphrase_file")]
    key_form: KeyForm,
    /// The file whose first line is the passphrase that the new private key is encrypted with. Without it the key is fetched
    /// later, once, from the order.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    sink: SecretSink,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KeyForm {
    /// PEM.
    #[default]
    Pkcs8,
    /// With the certificate.
    Pkcs12,
}

impl CertificatesCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Get(which) => {
                let client = context.server().await?;
                context.output.object(&client.certificate(&which.id(&client).await?).await?)
            }
            Self::Download(args) => args.run(context).await,
            Self::Revoke(args) => args.run(context).await,
            Self::Hold(which) => {
                let client = context.server().await?;
                context.output.object(&client.hold_certificate(&which.id(&client).await?).await?)
            }
            Self::Release(which) => {
                let client = context.server().await?;
                context.output.object(&client.release_certificate(&which.id(&client).await?).await?)
            }
            Self::Renew(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        List::pages(context.output, self.limit, |cursor, limit| {
            let query = self.query(context.query()).with("limit", limit);
            client.certificates(query.with_some("cursor", cursor))
        })
        .await
    }

    fn query(&self, query: Query) -> Query {
        let status = self.status.map(|status| match status {
            Status::Valid => "valid",
            Status::Expired => "expired",
            Status::Held => "held",
            Status::Revoked => "revoked",
        });
        query
            .with_some("status", status)
            .with_some("serial", self.serial.as_deref())
            .with_some("name", self.name.as_deref())
            .with_some("profile", self.profile.as_deref())
            .with_some("authority", self.authority.as_deref())
            .with_some("credential", self.credential_id.as_deref())
            .with_some("owner", self.owner.as_deref())
            .with_some("issuedAfter", self.issued_after.as_deref())
            .with_some("issuedBefore", self.issued_before.as_deref())
            .with_some("expiresAfter", self.expires_after.as_deref())
            .with_some("expiresBefore", self.expires_before.as_deref())
    }
}

impl WhichArgs {
    /// The identifier; a serial number is looked for, and must be that of one certificate alone.
    async fn id(&self, client: &Client) -> anyhow::Result<String> {
        if self.certificate.contains('.') {
            return Ok(self.certificate.clone());
        }
        let query = Query::default().with("serial", &self.certificate).with("limit", 2);
        let found = client.certificates(query).await;
        let found = found
            .context("a serial number is looked up, for which the credential needs the action \"read\"")?;
        match found.items.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => bail!("no certificate has the serial number {}", self.certificate),
            _several => Err(Usage::error(format!(
                "several certificates have the serial number {}: give the identifier",
                self.certificate
            ))),
        }
    }
}

impl DownloadArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.output.refuse_form("a file has its own form: give --format")?;
        let client = context.server().await?;
        let format = match self.format {
            Format::Pem => "pem",
            Format::Fullchain => "fullchain",
            Format::Der => "der",
            Format::Pkcs7 => "pkcs7",
            Format::Pkcs7Pem => "pkcs7-pem",
        };
        let answer = client.download(&self.which.id(&client).await?, format).await?;
        answer.write_to(sink(self.output_file.as_deref())?).await?;
        Ok(())
    }
}

impl RevokeArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        let id = self.which.id(&client).await?;
        let (reason, date) = (self.reason.as_deref(), self.invalidity_date.as_deref());
        context.output.object(&client.revoke_certificate(&id, reason, date).await?)
    }
}

impl RenewArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        self.sink.check()?;
        let passphrase = self.passphrase_file.as_deref().map(passphrase).transpose()?;
        let format = passphrase.is_some().then(|| self.key_form.as_str().to_owned());
        let client = context.server().await?;
        let id = self.which.id(&client).await?;
        // There before the key is: that is given once.
        let file = self.sink.output_file.as_deref().map(SecretFile::create).transpose()?;
        let issued = client.renew_certificate(&id, &Renewal { format, passphrase }).await?;
        match file {
            None => context.output.whole(&issued),
            Some(file) => {
                let written = file.write(&key_file(&issued)?);
                let id = issued.certificate.as_ref().map_or_else(String::new, |new| new.id.clone());
                written
                    .with_context(|| format!("the key of the new certificate {id} is lost: renew that one"))
            }
        }
    }
}

impl KeyForm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs8 => "pkcs8",
            Self::Pkcs12 => "pkcs12",
        }
    }
}

/// What goes to a file: the key and the certificate in PEM, or the PKCS #12 as it is.
fn key_file(issued: &Issued) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let member = |name: &str| issued.key.as_ref().and_then(|key| key.get(name)).and_then(Value::as_str);
    if let Some(base64) = member("pkcs12") {
        return Ok(Zeroizing::new(STANDARD.decode(base64).context("the PKCS #12 is not base64")?));
    }
    let Some(key) = member("privateKey") else {
        let order = &issued.order;
        bail!("the order {} is {}: there is no key to write to a file", order.id, order.status.as_str())
    };
    let certificate =
        issued.certificate.as_ref().and_then(|certificate| certificate.other.get("certificate"));
    let certificate = certificate.and_then(Value::as_str).unwrap_or_default();
    Ok(Zeroizing::new(format!("{key}{certificate}").into_bytes()))
}

impl Row for Certificate {
    const KIND: &'static str = "certificate";
    const COLUMNS: &'static [&'static str] =
        &["ID", "STATUS", "EXPIRES", "PROFILE", "METHOD", "SUBJECT", "NAMES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.status.as_str().to_owned(),
            self.not_after.clone(),
            self.profile.clone(),
            self.method.clone(),
            self.subject.clone(),
            self.names.join(","),
        ]
    }

    fn name(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issued(key: &Value) -> Issued {
        let certificate = json!({
            "id": "ab.5C", "serial": "5C", "subject": "CN=a", "profile": "a/b", "method": "a/c",
            "notAfter": "2027-01-01T00:00:00Z", "status": "valid", "certificate": "CERTIFICATE\n",
        });
        let order = json!({"id": "7", "status": "pending", "product": "default", "requester": "a/ci", "createdAt": "2027-01-01T00:00:00Z"});
        serde_json::from_value(json!({"order": order, "certificate": certificate, "key": key})).unwrap()
    }

    #[test]
    fn a_file_has_the_key_and_its_certificate_and_nothing_where_there_is_no_key() {
        let of = |key: Value| key_file(&issued(&key)).map(|file| file.to_vec());
        assert_eq!(of(json!({"format": "pkcs8", "privateKey": "KEY\n"})).unwrap(), b"KEY\nCERTIFICATE\n");
        assert_eq!(of(json!({"format": "pkcs12", "pkcs12": "AQI="})).unwrap(), [1, 2]);
        assert!(of(json!({"format": "pkcs12", "pkcs12": "?"})).is_err());
        assert!(of(Value::Null).unwrap_err().to_string().contains("is pending"));
    }
}
