//! Challenges from the client's word to what becomes of the order, at once, by jobs, and by several servers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use issuance::{
    Error,
    acme::{
        AcmeOrderId, AuthorizationStatus, ChallengeStatus, ChallengeType, OrderRow, OrderStatus,
        validation_job,
    },
    ports::Clock as _,
    store::{Commit, Expect, Job, JobKind, JobLease, Write},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    super::validation::{
        self, Claimant, Ended, Place, Planning,
        tests::{
            CLOSED, OPEN,
            dns::Dns,
            web::{Say, Web},
        },
    },
    scene::{Client, Scene, Setup},
};
use crate::{
    jobs::{Renewal, Runner},
    serving::Serving,
};

const NAME: &str = "www.acme.example";

/// A client that has ordered, and where its names lead.
pub(super) struct Ordered {
    pub(super) scene: Scene,
    pub(super) client: Client,
    pub(super) url: String,
    pub(super) order: Value,
    pub(super) dns: Dns,
    pub(super) web: Web,
    /// What is said instead of the key authorization.
    pub(super) instead: Arc<Mutex<Option<Say>>>,
}

#[derive(Debug)]
struct NothingToRenew;

#[async_trait]
impl Renewal for NothingToRenew {
    async fn renew(&self) -> Result<i64, Error> {
        Ok(3600)
    }
}

impl Ordered {
    async fn one() -> Self {
        Self::of(&[NAME], None).await
    }

    /// `caa`: the name of the authority.
    async fn of(names: &[&str], caa: Option<&str>) -> Self {
        Self::with(names, caa, Setup::default()).await
    }

    pub(super) async fn with(names: &[&str], caa: Option<&str>, setup: Setup) -> Self {
        let dns = Dns::new().await;
        for name in names {
            dns.a(name, OPEN);
        }
        let thumbprint = Arc::new(Mutex::new(String::new()));
        let instead: Arc<Mutex<Option<Say>>> = Arc::default();
        let (of_client, other) = (thumbprint.clone(), instead.clone());
        let web = Web::on(OPEN, 0, move |path| {
            let token = path.rsplit('/').next().unwrap();
            let right = Say::ok(&format!("{token}.{}", of_client.lock().unwrap()));
            other.lock().unwrap().clone().unwrap_or(right)
        });
        let web = web.await;
        let (address, port, caa) = (dns.address, web.port, caa.map(|name| vec![name.to_owned()]));
        let scene = Scene::of(setup.settings(move |settings| {
            settings.external_account_binding = crds::ExternalAccountBinding::Optional;
            settings.validation.resolvers = vec![address];
            settings.validation.http_port = port;
            settings.validation.allowed_networks = vec!["127.0.0.2/32".parse().unwrap()];
            settings.caa = caa;
        }));
        let scene = scene.await;
        let client = scene.stranger().await;
        let digest = scene.account_row(&client).await.thumbprint;
        *thumbprint.lock().unwrap() = URL_SAFE_NO_PAD.encode(digest);
        let answer = scene.new_order(&client, names).await.ok(StatusCode::CREATED);
        let (url, order) = (answer.location(), answer.json());
        Self { scene, client, url, order, dns, web, instead }
    }

    pub(super) fn says(&self, say: Say) {
        *self.instead.lock().unwrap() = Some(say);
    }

    pub(super) fn says_the_right_thing(&self) {
        *self.instead.lock().unwrap() = None;
    }

    /// The client says that it is ready.
    pub(super) async fn ready(&self, place: usize) -> Value {
        let authorization = self.order["authorizations"][place].as_str().unwrap();
        let authorization = self.scene.read(&self.client, authorization).await.ok(StatusCode::OK).json();
        let challenges = authorization["challenges"].as_array().unwrap().clone();
        let challenge = challenges.iter().find(|challenge| challenge["type"] == "http-01").unwrap();
        let url = challenge["url"].as_str().unwrap();
        self.scene.ask(&self.client, url, &json!({})).await.ok(StatusCode::OK).json()
    }

    /// That it is ready is committed, and the process that was to validate it dies.
    pub(super) async fn ready_and_dead(&self) -> Job {
        let mut order = self.row().await;
        let version = order.version;
        let now = self.scene.clock.now();
        order.start_challenge(0, ChallengeType::Http01, now).unwrap();
        let service = self.scene.app.serving().acme.get(Some("lab.web")).unwrap().clone();
        let validations = &self.scene.app.acme.validations;
        let claimant = Claimant::Account(order.account.clone());
        let account_uri = &self.client.account;
        let planning = Planning { order: (&order.id).into(), place: 0, claimant, account_uri };
        let planned = validations.plan(planning, &service.validator, now);
        let (write, id) = (planned.write(), order.id.clone());
        let Write::PutJob(job) = &write else { panic!("not a job") };
        let job = (**job).clone();
        let commit = Commit {
            expect: vec![Expect::AcmeOrderVersion { id, version }],
            writes: vec![Write::PutAcmeOrder(Box::new(order)), write],
            audit: Vec::new(),
        };
        self.scene.app.engine.store().commit(commit).await.unwrap().unwrap();
        job
    }

    pub(super) async fn row(&self) -> OrderRow {
        self.scene.order_row(&self.url).await
    }

    pub(super) async fn status(&self) -> OrderStatus {
        self.row().await.status(self.scene.clock.now())
    }

    /// Status, attempts and problem of the challenge.
    async fn challenge(&self) -> (ChallengeStatus, u32, String) {
        let order = self.row().await;
        let challenge = order.authorizations[0].challenge(ChallengeType::Http01).unwrap();
        let problem = challenge.error.as_ref().map(|error| format!("{}: {}", error.kind, error.detail));
        (challenge.status, challenge.attempts, problem.unwrap_or_default())
    }

    pub(super) async fn idle(&self) {
        self.scene.app.acme.validations.idle().await;
    }

    /// Does what is due now, as a server does.
    pub(super) async fn work(&self) {
        work(&self.scene).await;
    }

    /// When the job falls due, seconds from now.
    pub(super) async fn next(&self) -> Option<i64> {
        let next = self.scene.app.engine.store().next_job(&[JobKind::AcmeValidation]).await.unwrap();
        next.map(|at| at.unix() - self.scene.clock.now().unix())
    }

    /// How often the audit trail has this action.
    pub(super) async fn recorded(&self, action: &str) -> usize {
        self.scene.audit().await.iter().filter(|event| event["action"] == action).count()
    }

    async fn event(&self, action: &str) -> Value {
        self.scene.audit().await.into_iter().find(|event| event["action"] == action).unwrap()
    }
}

pub(super) async fn work(scene: &Scene) {
    let runner = Runner::new(scene.app.clone(), Arc::new(NothingToRenew)).unwrap();
    runner.validate_due().await;
}

/// A number of seconds that passed since, give or take one.
#[track_caller]
fn assert_about(seconds: Option<i64>, expected: i64) {
    assert!(seconds.is_some_and(|seconds| (expected - 1..=expected).contains(&seconds)), "{seconds:?}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_at_once_and_the_order_with_it() {
    let ordered = Ordered::one().await;
    ordered.dns.clear(NAME);
    ordered.dns.a(NAME, CLOSED);
    ordered.ready(0).await;
    ordered.idle().await;
    let (status, attempts, problem) = ordered.challenge().await;
    assert_eq!((status, attempts), (ChallengeStatus::Invalid, 1));
    assert!(problem.starts_with("connection: ") && problem.contains("not public"), "{problem}");
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Invalid, None));
    assert_eq!(ordered.web.heads().len(), 0);
    let event = ordered.event("authorizationInvalid").await;
    assert_eq!((&event["outcome"], &event["subject"]), (&json!("refused"), &json!(NAME)));
    let reason = event["reason"].as_str().unwrap();
    assert!(reason.starts_with("http-01: ") && reason.contains("127.0.0.3"), "{reason}");
    let shown = ordered.scene.read(&ordered.client, &ordered.url).await.json();
    assert_eq!(shown["status"], "invalid");
    assert_eq!(shown["error"]["type"], "urn:ietf:params:acme:error:connection");
}

#[tokio::test]
async fn a_wrong_answer_is_looked_at_again_and_then_no_more() {
    let ordered = Ordered::one().await;
    ordered.says(Say::status("404 Not Found"));
    assert_eq!(ordered.ready(0).await["status"], "processing");
    ordered.idle().await;
    for (attempts, backoff) in [(1, 3), (2, 10)] {
        let (status, failed, problem) = ordered.challenge().await;
        assert_eq!((status, failed), (ChallengeStatus::Processing, attempts));
        assert!(problem.starts_with("incorrectResponse: ") && problem.contains("404"), "{problem}");
        assert_about(ordered.next().await, backoff);
        assert_eq!(ordered.status().await, OrderStatus::Pending);
        // Not before it is due.
        ordered.work().await;
        assert_eq!(ordered.web.heads().len(), usize::try_from(attempts).unwrap());
        ordered.scene.clock.forward(backoff);
        ordered.work().await;
    }
    assert_eq!(ordered.challenge().await.0, ChallengeStatus::Invalid);
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Invalid, None));
    assert_eq!(ordered.recorded("authorizationInvalid").await, 1);
    ordered.scene.clock.forward(3600);
    ordered.work().await;
    assert_eq!(ordered.web.heads().len(), 3);
}

#[tokio::test]
async fn an_answer_that_is_right_the_second_time_is_right() {
    let ordered = Ordered::one().await;
    ordered.says(Say::status("503 Service Unavailable"));
    ordered.ready(0).await;
    ordered.idle().await;
    ordered.says_the_right_thing();
    ordered.scene.clock.forward(3);
    ordered.work().await;
    assert_eq!(ordered.challenge().await, (ChallengeStatus::Valid, 1, String::new()));
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Ready, None));
}

#[tokio::test]
async fn the_account_proves_control_and_the_order_is_ready() {
    let ordered = Ordered::one().await;
    ordered.ready(0).await;
    ordered.idle().await;
    assert_eq!(ordered.challenge().await, (ChallengeStatus::Valid, 0, String::new()));
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Ready, None));
    let event = ordered.event("authorizationValid").await;
    assert_eq!((&event["subject"], &event["reason"]), (&json!(NAME), &json!("http-01")));
    let account = ordered.scene.account_row(&ordered.client).await;
    assert_eq!(event["actor"]["name"], format!("acme:{}", account.id));
    let metrics = ordered.scene.app.metrics.encode().unwrap();
    assert!(
        metrics.contains(r#"chancery_acme_validations_total{challenge="http-01",outcome="valid"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_validation_whose_process_died_is_done_by_another() {
    let ordered = Ordered::one().await;
    ordered.ready_and_dead().await;
    let replica = ordered.scene.replica();
    // The dead might still be at it.
    work(&replica).await;
    assert_eq!(ordered.web.heads().len(), 0);
    assert_about(ordered.next().await, 30);
    ordered.scene.clock.forward(30);
    work(&replica).await;
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Ready, None));
}

#[tokio::test]
async fn a_job_whose_process_died_is_done_by_another() {
    let ordered = Ordered::one().await;
    ordered.ready_and_dead().await;
    ordered.scene.clock.forward(30);
    let now = ordered.scene.clock.now();
    let lease = JobLease { owner: "the dead".into(), until: now.plus_seconds(60) };
    let store = ordered.scene.app.engine.store();
    assert_eq!(store.lease_jobs(&[JobKind::AcmeValidation], &lease, now, 10).await.unwrap().len(), 1);
    ordered.work().await;
    assert_eq!(ordered.web.heads().len(), 0);
    ordered.scene.clock.forward(60);
    ordered.work().await;
    assert_eq!(ordered.status().await, OrderStatus::Ready);
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_began() {
    let ordered = Ordered::one().await;
    ordered.ready_and_dead().await;
    ordered.scene.clock.forward(30);
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    ordered.says(Say::Wait { asked: asked.clone(), go_on: go_on.clone() });
    let shutdown = CancellationToken::new();
    let runner = Runner::new(ordered.scene.app.clone(), Arc::new(NothingToRenew)).unwrap();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    asked.notified().await;
    shutdown.cancel();
    go_on.notify_one();
    running.await.unwrap();
    let (status, attempts, problem) = ordered.challenge().await;
    assert_eq!((status, attempts), (ChallengeStatus::Processing, 1), "{problem}");
    assert!(problem.starts_with("connection: "), "{problem}");
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_validation() {
    let ordered = Ordered::one().await;
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    ordered.says(Say::Wait { asked: asked.clone(), go_on: go_on.clone() });
    tokio::select! {
        biased;
        () = asked.notified() => {}
        // Where the answer did not wait so long.
        _ = ordered.ready(0) => asked.notified().await,
    }
    go_on.notify_one();
    ordered.idle().await;
    let (status, attempts, problem) = ordered.challenge().await;
    assert_eq!((status, attempts), (ChallengeStatus::Processing, 1), "{problem}");
    assert_about(ordered.next().await, 3);
}

#[tokio::test]
async fn two_that_validate_at_once_record_one_result() {
    for say in [None, Some(Say::status("404 Not Found"))] {
        let ordered = Ordered::one().await;
        let right = say.is_none();
        if let Some(say) = say {
            ordered.says(say);
        }
        let job = ordered.ready_and_dead().await;
        let replica = ordered.scene.replica();
        let (one, other) =
            tokio::join!(validation::run(&ordered.scene.app, &job), validation::run(&replica.app, &job));
        // Whoever came second finds it done.
        let ended = [one.unwrap(), other.unwrap()];
        assert!(ended.contains(&Ended::Committed), "{ended:?}");
        let (status, attempts, _) = ordered.challenge().await;
        if right {
            assert_eq!((status, attempts), (ChallengeStatus::Valid, 0));
            assert_eq!((ordered.recorded("authorizationValid").await, ordered.next().await), (1, None));
        } else {
            assert_eq!((status, attempts), (ChallengeStatus::Processing, 1));
            assert_about(ordered.next().await, 3);
        }
    }
}

#[tokio::test]
async fn what_finds_no_place_is_done_when_there_is_one() {
    let ordered = Ordered::one().await;
    let validations = &ordered.scene.app.acme.validations;
    let taken: Vec<Place> = std::iter::from_fn(|| validations.place()).collect();
    ordered.ready(0).await;
    assert_about(ordered.next().await, 0);
    ordered.work().await;
    assert_eq!(ordered.web.heads().len(), 0);
    drop(taken);
    ordered.work().await;
    assert_eq!(ordered.status().await, OrderStatus::Ready);
}

#[tokio::test]
async fn many_names_of_one_order_are_validated_at_the_same_time() {
    let names: Vec<String> = (0..30).map(|number| format!("{number}.acme.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ordered = Ordered::of(&names, None).await;
    for place in 0..names.len() {
        ordered.ready(place).await;
    }
    ordered.idle().await;
    let order = ordered.row().await;
    let valid = order.authorizations.iter().filter(|one| one.status == AuthorizationStatus::Valid);
    assert_eq!(valid.count(), 30);
    assert_eq!((ordered.status().await, ordered.next().await), (OrderStatus::Ready, None));
    assert_eq!(ordered.recorded("authorizationValid").await, 30);
}

#[tokio::test]
async fn a_challenge_of_an_account_that_is_no_more_is_refused() {
    let ordered = Ordered::one().await;
    let job = ordered.ready_and_dead().await;
    let deactivation = json!({ "status": "deactivated" });
    ordered.scene.ask(&ordered.client, &ordered.client.account, &deactivation).await.ok(StatusCode::OK);
    validation::run(&ordered.scene.app, &job).await.unwrap();
    assert_eq!(ordered.web.heads().len(), 0);
    assert_ne!(ordered.challenge().await.0, ChallengeStatus::Valid);
    assert_ne!(ordered.status().await, OrderStatus::Ready);
}

#[tokio::test]
async fn a_method_that_is_not_served_for_a_while_keeps_its_challenges() {
    let ordered = Ordered::one().await;
    ordered.ready_and_dead().await;
    ordered.scene.clock.forward(30);
    ordered.scene.app.serve(Serving { generation: 2, ..Serving::default() });
    ordered.work().await;
    assert_eq!(ordered.challenge().await.0, ChallengeStatus::Processing);
    let again = ordered.next().await.unwrap();
    ordered.scene.clock.forward(again);
    work(&ordered.scene.replica()).await;
    assert_eq!(ordered.status().await, OrderStatus::Ready);
}

#[tokio::test]
async fn a_job_of_nothing_is_forgotten() {
    let ordered = Ordered::one().await;
    let now = ordered.scene.clock.now();
    let order = ordered.row().await.id;
    let unknown: AcmeOrderId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    // Of no order, of no authorization, and of a challenge that nobody has answered.
    let jobs =
        [validation_job(&unknown, 0, now), validation_job(&order, 7, now), validation_job(&order, 0, now)];
    let writes = jobs.into_iter().map(|job| Write::PutJob(Box::new(job))).collect();
    let commit = Commit { writes, ..Commit::default() };
    ordered.scene.app.engine.store().commit(commit).await.unwrap().unwrap();
    ordered.work().await;
    assert_eq!((ordered.next().await, ordered.web.heads().len()), (None, 0));
    assert_eq!(ordered.challenge().await.0, ChallengeStatus::Pending);
}

#[tokio::test]
async fn an_order_that_ended_is_not_validated() {
    let ordered = Ordered::one().await;
    ordered.ready_and_dead().await;
    let lifetime = ordered.scene.settings.order_lifetime.as_secs();
    ordered.scene.clock.forward(i64::try_from(lifetime).unwrap());
    ordered.work().await;
    assert_eq!((ordered.next().await, ordered.web.heads().len()), (None, 0));
}

#[tokio::test]
async fn an_authorization_that_is_given_up_meanwhile_stays_so() {
    let ordered = Ordered::one().await;
    let job = ordered.ready_and_dead().await;
    let url = ordered.order["authorizations"][0].as_str().unwrap();
    let deactivation = json!({ "status": "deactivated" });
    // The validation is on its way, and waits for an answer.
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    ordered.says(Say::Wait { asked: asked.clone(), go_on: go_on.clone() });
    let app = ordered.scene.app.clone();
    let running = tokio::spawn(async move { validation::run(&app, &job).await });
    asked.notified().await;
    ordered.scene.ask(&ordered.client, url, &deactivation).await.ok(StatusCode::OK);
    go_on.notify_one();
    assert_eq!(running.await.unwrap().unwrap(), Ended::Obsolete);
    assert_eq!(ordered.row().await.authorizations[0].status, AuthorizationStatus::Deactivated);
    assert_eq!(ordered.recorded("authorizationInvalid").await, 0);
}

#[tokio::test]
async fn records_of_the_domain_forbid_what_the_challenge_proves() {
    let ordered = Ordered::of(&[NAME], Some("ca.example")).await;
    ordered.dns.caa("acme.example", false, "issue", "other.example");
    ordered.ready(0).await;
    ordered.idle().await;
    let (status, _, problem) = ordered.challenge().await;
    assert_eq!(status, ChallengeStatus::Invalid);
    assert!(problem.starts_with("caa: ") && problem.contains("acme.example"), "{problem}");
}

#[tokio::test]
async fn records_of_the_domain_may_name_the_account() {
    let ordered = Ordered::of(&[NAME], Some("ca.example")).await;
    let value = format!("ca.example; accounturi={}; validationmethods=http-01", ordered.client.account);
    ordered.dns.caa("acme.example", false, "issue", &value);
    // Also where another process does it.
    ordered.ready_and_dead().await;
    ordered.scene.clock.forward(30);
    work(&ordered.scene.replica()).await;
    assert_eq!(ordered.status().await, OrderStatus::Ready);
}

#[tokio::test]
async fn what_is_proved_late_counts_as_long_as_what_is_proved_at_once() {
    let ordered = Ordered::one().await;
    let settings = &ordered.scene.settings;
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap();
    let made = ordered.scene.order_row(&ordered.url).await;
    // Nobody proves anything for an order that has ended.
    assert_eq!(made.authorizations[0].expires_at, made.expires_at);
    let wait = seconds(settings.order_lifetime) - 3600;
    ordered.scene.clock.forward(wait);
    ordered.ready(0).await;
    ordered.scene.app.acme.validations.idle().await;
    let proved = ordered.scene.order_row(&ordered.url).await.authorizations.remove(0);
    let lasts = proved.expires_at.unix() - proved.validated_at.unwrap().unix();
    assert_eq!(lasts, seconds(settings.authorization_lifetime));
}
