//! `orders create`: what is asked for.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use clap::{ArgGroup, Args};
use client::rest::{Client, ClientError, NewOrder, Order, OrderRenewal};
use zeroize::Zeroizing;

use super::{
    download::{self, FileForm, Wanted},
    print_order,
    wait::{WaitArgs, check_issued, until_ended},
};
use crate::{
    cli::Context,
    connection::{contents, passphrase},
    output::{SecretSink, remark},
};

/// How often an order is sent whose answer does not come: under its key it is the same order each time.
const ATTEMPTS: usize = 3;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("key").args(["csr_file", "passphrase_file"]).required(true))]
pub(crate) struct CreateArgs {
    /// What is ordered; without it the product called default.
    #[arg(long)]
    product: Option<String>,
    /// A certificate request, PEM or DER. Its key stays where it is.
    #[arg(long, value_name = "FILE")]
    csr_file: Option<PathBuf>,
    /// Has the server make the key: the file whose first line is the passphrase that it is encrypted with. The key is fetched as
    /// soon as there is a certificate, and is not at the server then.
    #[arg(long, value_name = "FILE", requires = "output_file")]
    passphrase_file: Option<PathBuf>,
    /// The form of the file with the private key.
    #[arg(long, value_enum, requires = "passphrase_file")]
    format: Option<KeyFile>,
    /// A DNS name or an IP address; several times for several. With a request exactly those that it has, or none.
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<String>,
    /// RFC 4514, as in CN=printer,O=Example. With a request the one that it has, or none.
    #[arg(long)]
    subject: Option<String>,
    /// How many days the certificate is to be good for.
    #[arg(long, value_name = "NUMBER")]
    validity_days: Option<u32>,
    /// Has the server renew the certificate by itself, so long before its end: 30d.
    #[arg(long, value_name = "DURATION", requires = "passphrase_file")]
    renew_before: Option<String>,
    /// What this order is called: whoever sends it again, because no answer came, gets the same one. Made up if it is not given.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    /// The file for the certificate, with the private key if the server made it: only its owner can read it. It must not be there
    /// yet.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// How a private key is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum KeyFile {
    /// PEM, then the certificate and those above it.
    #[default]
    Pkcs8,
    /// With the certificate and those above it.
    Pkcs12,
}

impl CreateArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        SecretSink { output_file: self.output_file.clone() }.check()?;
        let passphrase = self.passphrase_file.as_deref().map(passphrase).transpose()?;
        let order = self.order()?;
        let key = self.idempotency_key.clone().map_or_else(random, Ok)?;
        let client = context.server().await?;
        let mut order = place(&client, &order, &key).await?;
        if let Some(limit) = self.wait.limit() {
            order = until_ended(&client, order, limit).await?;
        }
        let taken = self.take(&client, &order, passphrase).await;
        print_order(context, &order)?;
        taken?;
        if self.wait.limit().is_some() { check_issued(&order) } else { Ok(()) }
    }

    fn order(&self) -> anyhow::Result<NewOrder> {
        let csr = self.csr_file.as_deref().map(contents).transpose()?.map(csr);
        let renewal = self.renew_before.clone();
        Ok(NewOrder {
            product: self.product.clone(),
            csr,
            domains: self.domains.clone(),
            subject: self.subject.clone(),
            validity_days: self.validity_days,
            server_key: self.passphrase_file.is_some(),
            renewal: renewal.map(|renew_before| OrderRenewal { renew_before, ..OrderRenewal::default() }),
        })
    }

    /// Writes what has come of the order already.
    async fn take(
        &self,
        client: &Client,
        order: &Order,
        passphrase: Option<Zeroizing<String>>,
    ) -> anyhow::Result<()> {
        let Some(file) = &self.output_file else { return Ok(()) };
        if order.certificate_id.is_none() {
            remark(format_args!("there is no certificate yet: `orders download {}` gets it", order.id));
            return Ok(());
        }
        let form = match (self.format.unwrap_or_default(), &passphrase) {
            (_, None) => FileForm::Fullchain,
            (KeyFile::Pkcs8, Some(_)) => FileForm::Pkcs8,
            (KeyFile::Pkcs12, Some(_)) => FileForm::Pkcs12,
        };
        download::to_file(client, order, Wanted { form, passphrase }, file).await
    }
}

/// As the interface takes it.
fn csr(file: Vec<u8>) -> String {
    match String::from_utf8(file) {
        Ok(text) if text.contains("-----BEGIN") => text,
        Ok(text) => STANDARD.encode(text),
        Err(der) => STANDARD.encode(der.as_bytes()),
    }
}

/// Sends the order again where it is not known whether it arrived.
async fn place(client: &Client, order: &NewOrder, key: &str) -> anyhow::Result<Order> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match client.create_order(order, key).await {
            Err(ClientError::Http(_) | ClientError::AnswerTimeout) if left > 0 => {}
            Err(error @ (ClientError::Http(_) | ClientError::AnswerTimeout | ClientError::Status(_))) => {
                return Err(error).with_context(|| {
                    format!("it is not known whether that was ordered; --idempotency-key {key} asks for the same again")
                });
            }
            answered => return Ok(answered?),
        }
    }
}

/// What no other order is called.
fn random() -> anyhow::Result<String> {
    let mut octets = [0; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut octets).map_err(|_| anyhow::anyhow!("there is no randomness"))?;
    Ok(hex::encode(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_as_pem_or_in_base64() {
        assert_eq!(
            csr(b"-----BEGIN CERTIFICATE REQUEST-----".to_vec()),
            "-----BEGIN CERTIFICATE REQUEST-----"
        );
        assert_eq!(csr(vec![0x30, 0x03]), "MAM=");
        assert_eq!(csr(vec![0x30, 0x82]), "MII=");
    }

    #[test]
    fn no_two_orders_are_called_the_same() {
        let keys = [random().unwrap(), random().unwrap()];
        assert!(keys[0] != keys[1] && keys.iter().all(|key| key.len() == 32), "{keys:?}");
    }
}
