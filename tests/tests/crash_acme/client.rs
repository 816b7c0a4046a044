//! A client that has several orders under way, remembers what it was told of each, and goes on from there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_tests::endpoints::Binding;
use chancery_tests::resources::NAMESPACE;
use chancery_tests::{Endpoint, Settings};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, Order, OrderState, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::answers;
use super::epoch::Epoch;

/// Orders of one client that are under way at a time.
const AT_ONCE: usize = 3;

/// Between two looks at orders of which none has moved.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a client orders, and how it shows that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By http-01, addresses of loopback.
    Web,
    /// Without a challenge.
    Vouched,
    /// Without a challenge, and a person approves.
    Manual,
}

impl Kind {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Vouched => "vouched",
            Self::Manual => "manual",
        }
    }
}

/// How many orders were told to be in which state when the server was killed, and how many validations it was at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survived(Arc<Mutex<BTreeMap<String, usize>>>);

impl Survived {
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, what: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.to_owned()).or_default() += 1;
    }
}

/// Before it has an account.
pub(crate) struct Client {
    number: usize,
    kind: Kind,
    port: u16,
    settings: Settings,
    epoch: Epoch,
}

/// With its account.
pub(crate) struct Registered {
    client: Client,
    account: Account,
    survived: Survived,
    placed: usize,
    /// The start that survivors were counted after.
    seen: usize,
    under_way: VecDeque<UnderWay>,
    finished: Vec<Finished>,
}

struct UnderWay {
    order: Order,
    names: Vec<String>,
    csr: Vec<u8>,
    told: OrderStatus,
    /// The start after which the server was last told to validate.
    accepted: Option<usize>,
    is_approved: bool,
}

/// An order whose certificate was handed out.
pub(crate) struct Finished {
    account: Account,
    url: String,
    names: BTreeSet<String>,
    chain: String,
}

/// The names as the store shows them, and the certificate in PEM.
type Held = (BTreeSet<String>, String);

impl Client {
    pub(crate) fn new(number: usize, kind: Kind, port: u16, settings: Settings, epoch: Epoch) -> Self {
        Self { number, kind, port, settings, epoch }
    }

    pub(crate) async fn register(self, endpoint: &Endpoint, survived: Survived) -> Result<Registered> {
        let key = match self.kind {
            Kind::Web => None,
            Kind::Vouched | Kind::Manual => {
                let Binding { kid, hmac } =
                    endpoint.binding(&format!("{NAMESPACE}/{}", self.kind.method()))?;
                Some(ExternalAccountKey::new(kid, &URL_SAFE_NO_PAD.decode(hmac)?))
            }
        };
        let wanted = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_root(&endpoint.ca)?;
        let (account, _) = builder.create(&wanted, endpoint.directory()?.to_owned(), key.as_ref()).await?;
        let (under_way, finished) = (VecDeque::new(), Vec::new());
        Ok(Registered { client: self, account, survived, placed: 0, seen: 0, under_way, finished })
    }

    /// No two orders have a name in common.
    fn names(&self, order: usize) -> Vec<String> {
        let method = self.kind.method();
        match self.kind {
            // One name, or two that are validated each by itself.
            Kind::Web => (0..=order % 2)
                .map(|which| format!("127.{}.{}.{}", 1 + self.number, 1 + order, 1 + which))
                .collect(),
            Kind::Vouched | Kind::Manual => vec![format!("order-{order}-of-{}.{method}.test", self.number)],
        }
    }
}

impl Registered {
    /// Orders until there are no more kills, and goes on until every order is valid. `held`: everything that any client was
    /// handed so far.
    pub(crate) async fn run(mut self, held: Arc<Mutex<Vec<Held>>>) -> Result<Vec<Finished>> {
        loop {
            let may_order = !self.client.epoch.is_last();
            let mut has_moved = false;
            if may_order && self.under_way.len() < AT_ONCE {
                self.place().await?;
                has_moved = true;
            }
            for _ in 0..self.under_way.len() {
                let Some(mut one) = self.under_way.pop_front() else { break };
                let before = one.told;
                let chain = self.advance(&mut one).await.with_context(|| format!("{:?}", one.names))?;
                self.count_survivors(Some(before));
                has_moved |= one.told != before || chain.is_some();
                match chain {
                    Some(chain) => self.finish(one, chain, &held),
                    None => self.under_way.push_back(one),
                }
            }
            if self.under_way.is_empty() && !may_order {
                return Ok(self.finished);
            }
            if !has_moved {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Where the server was killed since the last call: counts the orders, which are what they were then. `at_hand`: what the one
    /// was that is not among them.
    fn count_survivors(&mut self, at_hand: Option<OrderStatus>) {
        let now = self.client.epoch.number();
        if now != std::mem::replace(&mut self.seen, now) {
            let others = self.under_way.iter().map(|other| other.told);
            others.chain(at_hand).for_each(|told| self.survived.count(&format!("{told:?}")));
        }
    }

    /// An order whose answer was lost is placed again: what was made of it, if anything, nobody was told of.
    async fn place(&mut self) -> Result<()> {
        let names = self.client.names(self.placed);
        if self.client.kind == Kind::Web {
            for name in &names {
                let address: Ipv4Addr = name.parse()?;
                answers::serve(
                    address,
                    self.client.port,
                    self.account.key_thumbprint(),
                    self.client.epoch.events(),
                )
                .await?;
            }
        }
        let identifiers: Vec<Identifier> = names.iter().map(|name| identifier(name)).collect();
        let wanted = NewOrder::new(&identifiers);
        let mut order = loop {
            match self.client.epoch.attempt(self.account.new_order(&wanted)).await? {
                Some(order) => break order,
                None => continue,
            }
        };
        let told = order.state().status;
        let csr = csr(&names)?;
        self.count_survivors(None);
        self.placed += 1;
        self.under_way.push_back(UnderWay { order, names, csr, told, accepted: None, is_approved: false });
        Ok(())
    }

    /// Looks where an order is and does what comes next. The chain, where it has been handed out.
    async fn advance(&mut self, one: &mut UnderWay) -> Result<Option<String>> {
        let epoch = &mut self.client.epoch;
        if one.told != OrderStatus::Valid {
            let Some(()) = epoch.attempt(async { one.order.refresh().await.map(|_| ()) }).await? else {
                return Ok(None);
            };
            one.tell()?;
        }
        match one.told {
            OrderStatus::Pending => {
                let before = epoch.number();
                let answer = epoch.attempt(accept(&mut one.order)).await?;
                let number = if answer.is_some() { epoch.number() } else { before };
                let accepted = one.accepted.replace(number);
                // Asked for before the kill, and still not over.
                if answer == Some(true) && accepted.is_some_and(|before| before < number) {
                    self.survived.count("a validation");
                }
            }
            OrderStatus::Ready => {
                if epoch.attempt(one.order.finalize_csr(&one.csr)).await?.is_some() {
                    one.tell()?;
                }
            }
            OrderStatus::Processing => self.approve(one).await?,
            OrderStatus::Valid => return Ok(epoch.attempt(one.order.certificate()).await?.flatten()),
            OrderStatus::Invalid => bail!("the order is invalid: {:?}", one.order.state().error),
        }
        Ok(None)
    }

    /// What a person does, with the command line and whether or not the server runs.
    async fn approve(&self, one: &mut UnderWay) -> Result<()> {
        ensure!(self.client.kind == Kind::Manual, "it waits for nobody");
        if one.is_approved {
            return Ok(());
        }
        let (settings, name) = (self.client.settings.clone(), one.names.join(", "));
        tokio::task::spawn_blocking(move || approve(&settings, &name)).await??;
        one.is_approved = true;
        Ok(())
    }

    fn finish(&mut self, one: UnderWay, chain: String, held: &Mutex<Vec<Held>>) {
        let names = one.names.iter().map(|name| shown(name)).collect();
        let account = self.account.clone();
        let order = Finished { account, url: one.order.url().to_owned(), names, chain };
        held.lock().unwrap_or_else(PoisonError::into_inner).push(order.held());
        self.finished.push(order);
    }
}

impl UnderWay {
    /// An order goes one way only (RFC 8555 §7.1.6), and no kill takes it back.
    fn tell(&mut self) -> Result<()> {
        let now = self.order.state().status;
        ensure!(rank(now) >= rank(self.told), "it was {:?}, and now it is {now:?}", self.told);
        self.told = now;
        Ok(())
    }
}

impl Finished {
    /// Asks for the order and its certificate once more, knowing nothing but the URL.
    pub(crate) async fn fetch_again(&self) -> Result<Held> {
        let mut order = self.account.order(self.url.clone()).await?;
        let OrderState { status, .. } = order.state();
        ensure!(*status == OrderStatus::Valid, "{:?} was valid, and now it is {status:?}", self.names);
        let chain = order.certificate().await?.context("no certificate")?;
        ensure!(chain == self.chain, "{:?}: another certificate than before", self.names);
        Ok(self.held())
    }

    fn held(&self) -> Held {
        const END: &str = "-----END CERTIFICATE-----";
        let leaf = self.chain.split_inclusive(END).next().unwrap_or_default();
        (self.names.clone(), leaf.to_owned())
    }
}

/// Says that the challenges may be validated that nobody said it of; whether others are being validated.
async fn accept(order: &mut Order) -> Result<bool, instant_acme::Error> {
    let mut is_validated = false;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge.ok_or(instant_acme::Error::Str("no http-01"))?;
        if challenge.status == ChallengeStatus::Pending {
            challenge.set_ready().await?;
        } else {
            is_validated = true;
        }
    }
    Ok(is_validated)
}

fn approve(settings: &Settings, name: &str) -> Result<()> {
    let listed = settings.run(&["requests", "list"])?;
    let line = listed.lines().find(|line| line.contains(name));
    let line =
        line.with_context(|| format!("{name} is said to be processing, but nobody is asked:\n{listed}"))?;
    let id = line.split_whitespace().next().context("no identifier")?;
    settings.run(&["requests", "approve", id]).map(|_| ())
}

fn csr(names: &[String]) -> Result<Vec<u8>> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&KeyPair::generate()?)?.der().to_vec())
}

fn identifier(name: &str) -> Identifier {
    name.parse().map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip)
}

fn shown(name: &str) -> String {
    let kind = if name.parse::<Ipv4Addr>().is_ok() { "ip" } else { "dns" };
    format!("{kind}:{name}")
}

fn rank(status: OrderStatus) -> u8 {
    match status {
        OrderStatus::Pending => 0,
        OrderStatus::Ready => 1,
        OrderStatus::Processing => 2,
        OrderStatus::Valid | OrderStatus::Invalid => 3,
    }
}
