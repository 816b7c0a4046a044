//! `orders submit`: the certificate request of an order that waits for it.

use std::path::{Path, PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use clap::Args;
use client::rest::{Client, Order};

use super::{again::until_known, print_order, wait::WaitArgs};
use crate::{cli::Context, connection::contents};

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Identifier of the order, as `orders list` shows it.
    id: String,
    /// A certificate request, PEM or DER, for what was ordered. Its key stays where it is.
    #[arg(long, value_name = "FILE")]
    csr_file: PathBuf,
    #[command(flatten)]
    wait: WaitArgs,
}

impl SubmitArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let csr = csr(&self.csr_file)?;
        let client = context.server().await?;
        let mut order = submit(&client, &self.id, &csr).await?;
        let waited = self.wait.follow(&client, &mut order).await;
        print_order(context, &order)?;
        waited?;
        self.wait.check(&order)
    }
}

/// Sends a request again where it is not known whether it arrived: the same is not another one.
pub(super) async fn submit(client: &Client, id: &str, csr: &str) -> anyhow::Result<Order> {
    let sent = until_known(|| client.submit_csr(id, csr)).await;
    sent.map_err(|unanswered| {
        unanswered.explained(|| {
            format!("it is not known whether the request of the order {id} arrived; the same can be submitted again")
        })
    })
}

/// A request in a file, as the interface takes it.
pub(super) fn csr(file: &Path) -> anyhow::Result<String> {
    contents(file).map(sent)
}

fn sent(file: Vec<u8>) -> String {
    match String::from_utf8(file) {
        Ok(text) if text.contains("-----BEGIN") => text,
        Ok(text) => STANDARD.encode(text),
        Err(der) => STANDARD.encode(der.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_as_pem_or_in_base64() {
        let pem = "-----BEGIN CERTIFICATE REQUEST-----";
        assert_eq!(sent(pem.into()), pem);
        assert_eq!(sent(vec![0x30, 0x03]), "MAM=");
        assert_eq!(sent(vec![0x30, 0x82]), "MII=");
    }
}
