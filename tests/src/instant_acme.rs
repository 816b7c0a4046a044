//! instant-acme: a library for ACME that we did not write, in Rust, used in this process.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier,
    NewAccount, NewOrder, Order, RenewalInfo, RetryPolicy, RevocationReason, RevocationRequest,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::runtime::Runtime;

use crate::Endpoint;
use crate::acme::{Challenge, Client, Issued};
use crate::bind::ZONE;
use crate::endpoints::Binding;
use crate::web::Web;

/// Looks every fifth of a second; no order of a test takes longer than this.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(50)).backoff(1.5).timeout(Duration::from_secs(60));

/// An account.
pub struct InstantAcme {
    runtime: Runtime,
    account: Account,
    folder: PathBuf,
}

impl std::fmt::Debug for InstantAcme {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InstantAcme").field("account", &self.account.id()).finish_non_exhaustive()
    }
}

impl InstantAcme {
    /// Makes an account, with a key of its own.
    pub fn register(endpoint: &Endpoint, folder: &Path, binding: Option<&Binding>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let key = binding.map(|Binding { kid, hmac }| {
            let key = URL_SAFE_NO_PAD.decode(hmac).context("the key is not base64url")?;
            Ok::<_, anyhow::Error>(ExternalAccountKey::new(kid.clone(), &key))
        });
        let key = key.transpose()?;
        let wanted = NewAccount {
            contact: &["mailto:tester@acme.test"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_root(&endpoint.ca)?;
        let directory = endpoint.directory()?.to_owned();
        let (account, _) = runtime.block_on(builder.create(&wanted, directory, key.as_ref()))?;
        Ok(Self { runtime, account, folder: folder.to_owned() })
    }

    /// The account's URL.
    pub fn account(&self) -> &str {
        self.account.id()
    }

    /// Puts a new key in the place of the account's.
    pub fn change_key(&mut self) -> Result<()> {
        let _ = self.runtime.block_on(self.account.update_key())?;
        Ok(())
    }

    /// Replaces the addresses at which the account's owner is told things.
    pub fn change_contacts(&self, contacts: &[&str]) -> Result<()> {
        Ok(self.runtime.block_on(self.account.update_contacts(contacts))?)
    }

    /// Ends the account.
    pub fn deactivate(self) -> Result<()> {
        Ok(self.runtime.block_on(self.account.deactivate())?)
    }

    /// The profiles that the directory lists.
    pub fn profiles(&self) -> Vec<String> {
        self.account.profiles().map(|profile| profile.name.to_owned()).collect()
    }

    /// When the server would have a certificate renewed (RFC 9773), and how long until it is worth asking again.
    pub fn renewal_info(&self, issued: &Issued) -> Result<(RenewalInfo, Duration)> {
        let certificate = leaf(issued)?;
        let identifier = identifier_of(&certificate)?;
        Ok(self.runtime.block_on(self.account.renewal_info(&identifier))?)
    }

    /// Orders with everything that can be said about an order.
    pub fn order(
        &self,
        names: &[&str],
        challenge: Challenge<'_>,
        profile: Option<&str>,
        replaces: Option<&Issued>,
    ) -> Result<Issued> {
        let identifiers: Vec<Identifier> = names.iter().map(|name| identifier(name)).collect();
        let mut wanted = NewOrder::new(&identifiers);
        if let Some(profile) = profile {
            wanted = wanted.profile(profile);
        }
        let replaced = replaces.map(leaf).transpose()?;
        if let Some(replaced) = &replaced {
            wanted = wanted.replaces(identifier_of(replaced)?);
        }
        let (key, chain) = self.runtime.block_on(self.fulfil(&wanted, challenge))?;
        let (chain_file, key_file) = (self.folder.join("chain.pem"), self.folder.join("key.pem"));
        std::fs::write(&chain_file, chain)?;
        std::fs::write(&key_file, key)?;
        Issued::at(chain_file, key_file)
    }

    async fn fulfil(&self, wanted: &NewOrder<'_>, challenge: Challenge<'_>) -> Result<(String, String)> {
        let mut order = self.account.new_order(wanted).await?;
        let mut answers = Answers::new(challenge)?;
        accept(&mut order, &mut answers).await?;
        order.poll_ready(&PATIENCE).await?;
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        answers.withdraw()?;
        Ok((key, chain))
    }

    /// Places an order, gives its first authorization up, and answers whether the server took that.
    pub fn give_up_authorization(&self, name: &str) -> Result<()> {
        self.wait_for(async {
            let mut order = self.account.new_order(&NewOrder::new(&[identifier(name)])).await?;
            let mut authorizations = order.authorizations();
            let mut authorization = authorizations.next().await.context("no authorization")??;
            let state = authorization.deactivate().await?;
            ensure!(state.status == AuthorizationStatus::Deactivated);
            Ok(())
        })
    }

    fn wait_for<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(work)
    }
}

impl Client for InstantAcme {
    fn issue(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        self.order(names, challenge, None, None)
    }

    fn renew(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        let (chain, key) = (self.folder.join("chain.pem"), self.folder.join("key.pem"));
        let before = Issued::at(chain, key)?;
        self.order(names, challenge, None, Some(&before))
    }

    fn revoke(&self, issued: &Issued) -> Result<()> {
        let certificate = leaf(issued)?;
        let reason = Some(RevocationReason::Superseded);
        let request = RevocationRequest { certificate: &certificate, reason };
        Ok(self.runtime.block_on(self.account.revoke(&request))?)
    }
}

/// Prepares the answer to each challenge that there still is, and says so.
async fn accept(order: &mut Order, answers: &mut Answers<'_>) -> Result<()> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => bail!("the authorization is {other:?}"),
        }
        let kind = answers.kind();
        let mut challenge = authorization.challenge(kind).context("the challenge is not offered")?;
        let key_authorization = challenge.key_authorization();
        let name = challenge.identifier().to_string();
        answers.offer(&name, &challenge.token, key_authorization.as_str(), &key_authorization.dns_value())?;
        challenge.set_ready().await?;
    }
    Ok(())
}

fn identifier(name: &str) -> Identifier {
    match name.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_owned()),
    }
}

fn leaf(issued: &Issued) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(&issued.chain).with_context(|| issued.chain.display().to_string())
}

fn identifier_of<'a>(certificate: &'a CertificateDer<'_>) -> Result<CertificateIdentifier<'a>> {
    CertificateIdentifier::try_from(certificate).map_err(anyhow::Error::msg)
}

/// What the library leaves to its user: answering.
enum Answers<'a> {
    Http(Web),
    Dns(&'a crate::bind::Bind, Vec<String>),
}

impl<'a> Answers<'a> {
    fn new(challenge: Challenge<'a>) -> Result<Self> {
        match challenge {
            Challenge::Http01(port) => Ok(Self::Http(Web::serve((Ipv4Addr::LOCALHOST, port).into())?)),
            Challenge::Dns01(bind) => Ok(Self::Dns(bind, Vec::new())),
            Challenge::TlsAlpn01(_) => bail!("instant-acme has no server for tls-alpn-01"),
        }
    }

    fn kind(&self) -> ChallengeType {
        match self {
            Self::Http(_) => ChallengeType::Http01,
            Self::Dns(..) => ChallengeType::Dns01,
        }
    }

    fn offer(&mut self, name: &str, token: &str, key_authorization: &str, dns_value: &str) -> Result<()> {
        match self {
            Self::Http(web) => {
                web.offer(&format!("/.well-known/acme-challenge/{token}"), key_authorization);
                Ok(())
            }
            Self::Dns(bind, records) => {
                let name = name.trim_start_matches("*.");
                ensure!(name.ends_with(ZONE), "{name} is not in the zone");
                let record = format!("_acme-challenge.{name}");
                bind.update(&[&format!("add {record} 1 TXT \"{dns_value}\"")])?;
                records.push(record);
                Ok(())
            }
        }
    }

    fn withdraw(self) -> Result<()> {
        match self {
            Self::Http(_) => Ok(()),
            Self::Dns(bind, records) => {
                records.iter().try_for_each(|record| bind.update(&[&format!("delete {record} TXT")]))
            }
        }
    }
}
