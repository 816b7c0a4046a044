//! `orders create`: what is asked for.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use client::rest::{Client, NewOrder, Order, OrderRenewal};
use zeroize::Zeroizing;

use super::{
    again::until_known,
    download::{self, FileForm, Wanted},
    print_order,
    submit::csr,
    wait::WaitArgs,
};
use crate::{
    cli::Context,
    connection::passphrase,
    output::{SecretSink, remark},
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("key").args(["csr_file", "csr_later", "passphrase_file"]).required(true))]
pub(crate) struct CreateArgs {
    /// What is ordered; without it the product called default.
    #[arg(long)]
    product: Option<String>,
    /// A certificate request, PEM or DER. Its key stays where it is.
    #[arg(long, value_name = "FILE")]
    csr_file: Option<PathBuf>,
    /// The certificate request comes later, by `orders submit`: the order waits for it.
    #[arg(long)]
    csr_later: bool,
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
        let taken = match self.wait.follow(&client, &mut order).await {
            Ok(()) => self.take(&client, &order, passphrase).await,
            Err(error) => Err(error),
        };
        print_order(context, &order)?;
        taken?;
        self.wait.check(&order)
    }

    fn order(&self) -> anyhow::Result<NewOrder> {
        let csr = self.csr_file.as_deref().map(csr).transpose()?;
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
            if order.status.is_open() {
                remark(format_args!(
                    "there is no certificate yet: `{}` gets it",
                    self.fetching(&order.id, file)
                ));
            }
            return Ok(());
        }
        download::to_file(client, order, Wanted { form: self.form(), passphrase }, file).await
    }

    fn form(&self) -> FileForm {
        match (&self.passphrase_file, self.format.unwrap_or_default()) {
            (None, _) => FileForm::Fullchain,
            (Some(_), KeyFile::Pkcs8) => FileForm::Pkcs8,
            (Some(_), KeyFile::Pkcs12) => FileForm::Pkcs12,
        }
    }

    /// The command that writes later what this one was to write.
    fn fetching(&self, id: &str, file: &Path) -> String {
        let form =
            self.form().to_possible_value().map_or_else(String::new, |form| form.get_name().to_owned());
        let passphrase = self.passphrase_file.as_deref();
        let passphrase =
            passphrase.map_or_else(String::new, |file| format!(" --passphrase-file {}", quoted(file)));
        format!("orders download {id} --format {form}{passphrase} --output-file {}", quoted(file))
    }
}

/// As a shell takes it for one word.
fn quoted(file: &Path) -> String {
    let text = file.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:@".contains(character);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Sends an order again where it is not known whether it arrived: under its key it is the same one each time.
pub(super) async fn place(client: &Client, order: &NewOrder, key: &str) -> anyhow::Result<Order> {
    let placed = until_known(|| client.create_order(order, key)).await;
    placed.map_err(|unanswered| {
        unanswered.explained(|| {
            format!(
                "it is not known whether that was ordered; --idempotency-key {key} asks for the same again"
            )
        })
    })
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
    fn a_name_of_a_file_is_one_word_of_a_shell() {
        for (name, word) in [("www.pem", "www.pem"), ("my key", "'my key'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(Path::new(name)), word);
        }
    }

    #[test]
    fn no_two_orders_are_called_the_same() {
        let keys = [random().unwrap(), random().unwrap()];
        assert!(keys[0] != keys[1] && keys.iter().all(|key| key.len() == 32), "{keys:?}");
    }
}
