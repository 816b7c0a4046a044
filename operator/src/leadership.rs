//! Who acts, where several replicas of the operator run: a Lease, held by one.
//!
//! A lease is over when nobody has seen it renewed for as long as it says. That is measured from when each replica saw it
//! change, so that clocks need not agree. Its holder stops acting before others may take it.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout};

/// Name of the Lease, in the operator's namespace.
pub const LEASE: &str = "chancery-operator";

/// How long a lease is good without being renewed.
const DURATION: Duration = Duration::from_secs(15);

/// Its holder gives up when it could not renew for so long.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often it is renewed, or looked at by who waits for it.
const PERIOD: Duration = Duration::from_secs(2);

/// One replica's part in who leads.
#[derive(Clone)]
pub struct Leadership {
    leases: Api<Lease>,
    identity: String,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What was last seen of the Lease, and when it changed.
#[derive(Debug, Default)]
struct Seen {
    lease: Option<(Lease, Instant)>,
}

/// From when the lease counts: the moment before it was asked for. The API server may have written it at any time since, so that for
/// others it may be over that much sooner than the answer says.
#[derive(Clone, Copy, Debug)]
pub struct Held(Instant);

/// What a try came to.
#[derive(Debug, PartialEq, Eq)]
enum Try {
    Held,
    /// By this one.
    HeldByOther(String),
}

impl Leadership {
    /// `identity` tells the replicas apart.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self { leases: Api::namespaced(client, namespace), identity: identity.to_owned() }
    }

    /// Waits until this replica holds the lease, and says from when it does. An API server that does not answer is asked again.
    pub async fn acquire(&self) -> Held {
        let mut seen = Seen::default();
        let mut waits_for = None;
        loop {
            let asked = Instant::now();
            match timeout(DEADLINE, self.attempt(&mut seen)).await {
                Ok(Ok(Try::Held)) => {
                    tracing::info!(identity = self.identity, "leads");
                    return Held(asked);
                }
                Ok(Ok(Try::HeldByOther(holder))) => {
                    if waits_for.as_ref() != Some(&holder) {
                        tracing::info!(holder, "another replica leads");
                        waits_for = Some(holder);
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "the lease cannot be read or written"),
                Err(_) => tracing::warn!("the lease cannot be read or written in time"),
            }
            sleep(PERIOD).await;
        }
    }

    /// Renews the lease for as long as that goes well; returns when this replica must not act any more.
    pub async fn hold(&self, Held(mut renewed): Held) {
        let mut seen = Seen::default();
        loop {
            sleep(PERIOD.min(DEADLINE.saturating_sub(renewed.elapsed()))).await;
            let asked = Instant::now();
            let left = DEADLINE.saturating_sub(renewed.elapsed());
            let outcome = timeout(left, self.attempt(&mut seen)).await;
            match outcome {
                Ok(Ok(Try::Held)) => renewed = asked,
                Ok(Ok(Try::HeldByOther(holder))) => {
                    tracing::error!(holder, "the lease was lost to another replica");
                    return;
                }
                Ok(Err(error)) if renewed.elapsed() < DEADLINE => {
                    tracing::warn!(%error, "the lease could not be renewed; trying again");
                }
                Ok(Err(_)) | Err(_) => {
                    tracing::error!("the lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    /// Gives the lease up, so that another replica need not wait until it is over. Not being able to is no harm.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.leases.get_opt(LEASE).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.leases.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        match timeout(PERIOD, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease could not be released"),
            Err(_) => tracing::debug!("the lease could not be released in time"),
        }
    }

    /// Takes or renews the lease, if nobody else holds it.
    async fn attempt(&self, seen: &mut Seen) -> Result<Try, kube::Error> {
        let parameters = PostParams::default();
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = self.leases.get_opt(LEASE).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec(now, &LeaseSpec::default())),
            };
            return Ok(taken(self.leases.create(&parameters, &lease).await)?.unwrap_or_else(unknown_holder));
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if let Some(holder) = seen.holder(&lease, &self.identity) {
            return Ok(Try::HeldByOther(holder));
        }
        // The version of what was read goes along: two that take it at one time do not both get it.
        lease.spec = Some(self.spec(now, &spec));
        Ok(taken(self.leases.replace(LEASE, &parameters, &lease).await)?.unwrap_or_else(unknown_holder))
    }

    fn spec(&self, now: MicroTime, before: &LeaseSpec) -> LeaseSpec {
        let mine = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if mine { before.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if mine { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }
}

impl Seen {
    /// Who else holds the lease, if somebody does.
    fn holder(&mut self, lease: &Lease, identity: &str) -> Option<String> {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let since = match &self.lease {
            Some((known, since)) if version(known) == version(lease) => *since,
            Some(_) | None => {
                let now = Instant::now();
                self.lease = Some((lease.clone(), now));
                now
            }
        };
        let spec = lease.spec.as_ref()?;
        let holder =
            spec.holder_identity.as_deref().filter(|holder| !holder.is_empty() && *holder != identity)?;
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(DURATION, Duration::from_secs);
        (since.elapsed() < duration).then(|| holder.to_owned())
    }
}

/// None: another was faster.
fn taken(outcome: Result<Lease, kube::Error>) -> Result<Option<Try>, kube::Error> {
    match outcome {
        Ok(_) => Ok(Some(Try::Held)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn unknown_holder() -> Try {
    Try::HeldByOther("another replica, which was faster".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::testing::FakeApi;

    fn replica(api: &FakeApi, identity: &str) -> Leadership {
        Leadership::new(api.client(), "system", identity)
    }

    fn holder(api: &FakeApi) -> Option<String> {
        api.get::<Lease>(Some("system"), LEASE)?.spec?.holder_identity
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_the_other_waits_until_it_gives_up() {
        let api = FakeApi::new();
        let (one, two) = (replica(&api, "one"), replica(&api, "two"));
        one.acquire().await;
        assert!(timeout(Duration::from_secs(10), two.acquire()).await.is_err());
        one.release().await;
        timeout(PERIOD * 2, two.acquire()).await.unwrap();
        assert_eq!(holder(&api).as_deref(), Some("two"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_renews_is_taken_when_it_is_over_and_not_before() {
        let api = FakeApi::new();
        let (one, two) = (replica(&api, "one"), replica(&api, "two"));
        one.acquire().await;
        let began = Instant::now();
        two.acquire().await;
        assert!(
            began.elapsed() >= DURATION && began.elapsed() <= DURATION + PERIOD * 2,
            "{:?}",
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_stays() {
        let api = FakeApi::new();
        let (one, two) = (replica(&api, "one"), replica(&api, "two"));
        let held = one.acquire().await;
        tokio::select! {
            () = one.hold(held) => panic!("lost"),
            _ = two.acquire() => panic!("taken"),
            () = sleep(DURATION * 10) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_cannot_renew_stops_before_another_may_begin() {
        let api = FakeApi::new();
        let one = replica(&api, "one");
        let held = one.acquire().await;
        api.stop();
        let began = Instant::now();
        one.hold(held).await;
        assert!(began.elapsed() < DURATION, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_costs_nobody_the_lease() {
        let api = FakeApi::new();
        let one = replica(&api, "one");
        let held = one.acquire().await;
        let outage = async {
            sleep(PERIOD * 3).await;
            api.stop();
            sleep(PERIOD * 2).await;
            api.start();
            sleep(DURATION).await;
        };
        tokio::select! {
            () = one.hold(held) => panic!("lost"),
            () = outage => {}
        }
        assert_eq!(holder(&api).as_deref(), Some("one"));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_another_name_in_the_lease_stops_at_once() {
        let api = FakeApi::new();
        let one = replica(&api, "one");
        let held = one.acquire().await;
        let mut lease: Lease = api.get(Some("system"), LEASE).unwrap();
        lease.spec.as_mut().unwrap().holder_identity = Some("two".to_owned());
        api.put(&lease);
        timeout(PERIOD * 2, one.hold(held)).await.unwrap();
    }

    /// An API server that writes at once and answers so much later.
    fn slow(api: &FakeApi, answers: Arc<Mutex<Duration>>) -> Client {
        let inner = api.client();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (inner, answers) = (inner.clone(), answers.clone());
            async move {
                let answer = inner.send(request).await;
                let pause = *answers.lock().unwrap();
                sleep(pause).await;
                answer
            }
        });
        Client::new(service, "system")
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_from_when_it_was_asked_for_and_not_from_the_answer() {
        let (api, answers) = (FakeApi::new(), Arc::new(Mutex::new(Duration::from_secs(4))));
        let one = Leadership::new(slow(&api, answers), "system", "one");
        let began = Instant::now();
        // Asks twice, for what there is and to write.
        let held = one.acquire().await;
        assert_eq!(began.elapsed(), Duration::from_secs(8));
        api.stop();
        one.hold(held).await;
        assert!(began.elapsed() <= DEADLINE, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_renews_slowly_has_stopped_before_another_may_begin() {
        let (api, answers) = (FakeApi::new(), Arc::new(Mutex::new(Duration::ZERO)));
        let one = Leadership::new(slow(&api, answers.clone()), "system", "one");
        let held = one.acquire().await;
        *answers.lock().unwrap() = Duration::from_secs(4);
        let outage = async {
            // It renews at two seconds, hears of it eight seconds later, and never again.
            sleep(Duration::from_secs(9)).await;
            let renewed = Instant::now();
            api.stop();
            renewed
        };
        let began = Instant::now();
        let (renewed, ()) = tokio::join!(outage, one.hold(held));
        assert!(renewed - began == Duration::from_secs(9));
        assert!(began.elapsed() <= PERIOD + DEADLINE, "{:?}", began.elapsed());
    }
}
