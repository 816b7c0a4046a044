//! REST on a real cluster: pods that order with the token of their service account, and operators with `kubectl chancery`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::office::{self, READY, resource, text};
use chancery_tests::cluster::{Namespace, Route, in_namespace};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::openssl::{self, CsrOptions};
use chancery_tests::server::wait_until;
use serde_json::{Value, json};

const AUDIENCE: &str = "https://orders.office.test";

const LIMIT: Duration = Duration::from_secs(60);

/// A minute is told of when it is over, and the operator looks twice a minute.
const TOLD: Duration = Duration::from_secs(240);

/// A server with a method of REST that takes access keys and the tokens of one service account.
struct Desk<'a> {
    namespace: &'a Namespace,
    route: Route,
    workspace: Workspace,
}

impl<'a> Desk<'a> {
    fn open(namespace: &'a Namespace) -> Result<Self> {
        namespace.cluster().install_chancery()?;
        let kubectl = namespace.kubectl();
        let accounts = json!([{ "namespace": namespace.name(), "name": "builder" }]);
        let mut documents = office::office(&json!({ "storage": { "sqlite": { "size": "64Mi" } } }));
        documents.extend([
            resource(
                "CertificateProfile",
                "service",
                json!({
                    "authorityRef": { "name": "issuing" }, "preset": "TLSServer",
                    "subjectAltNames": { "dns": { "patterns": ["**.office.test"] }, "commonNameToDns": "Copy" },
                }),
            ),
            resource(
                "CertificateProfile",
                "brief",
                json!({
                    "authorityRef": { "name": "issuing" }, "preset": "TLSServer",
                    "subjectAltNames": { "dns": { "patterns": ["**.office.test"] } },
                    "validity": { "default": "2m", "maximum": "2m", "backdate": "1s" },
                }),
            ),
            resource(
                "EnrollmentMethod",
                "orders",
                json!({
                    "profileRef": { "name": "service" },
                    "rest": {
                        "serviceAccountTokens": { "audience": AUDIENCE, "accounts": accounts },
                        "serverKeys": { "algorithm": "ECDSA-P256" },
                        "products": [{ "name": "brief", "profileRef": { "name": "brief" } }],
                    },
                }),
            ),
            resource(
                "EnrollmentCredential",
                "desk",
                json!({
                    "methodRef": { "name": "orders" }, "owner": { "user": "ada" },
                    "rest": { "actions": ["read", "revoke", "approve", "report", "credentials"] },
                }),
            ),
            resource(
                "EnrollmentCredential",
                "kiosk",
                json!({ "methodRef": { "name": "orders" }, "owner": { "user": "ada" }, "rest": {} }),
            ),
        ]);
        office::apply_all(&kubectl, &documents)?;
        for account in ["builder", "stranger"] {
            kubectl.succeed(&["create", "serviceaccount", account], None)?;
        }
        let credentials = ["enrollmentcredential/desk", "enrollmentcredential/kiosk"];
        for object in ["enrollmentserver/enroll", "enrollmentmethod/orders"].into_iter().chain(credentials) {
            kubectl.wait_condition(object, "Ready", READY)?;
        }
        let workspace = Workspace::new()?;
        let root: Value = kubectl.get("certificateauthority/root")?;
        workspace.write("root.pem", text(&root, "/status/certificate"))?;
        let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
        Ok(Self { namespace, route, workspace })
    }

    /// What the API server gives a pod of this service account.
    fn token(&self, account: &str, audience: &str) -> Result<String> {
        let audience = format!("--audience={audience}");
        let token = self.namespace.kubectl().succeed(&["create", "token", account, &audience], None)?;
        Ok(token.trim().to_owned())
    }

    fn order(&self, bearer: &str, name: &str) -> Result<Answer> {
        let csr = CsrOptions::new(&format!("/CN={name}")).make(&self.workspace, "order")?;
        let lines = String::from_utf8(openssl::base64_lines(&csr.der)?)?;
        self.place(bearer, &json!({ "csr": lines.split_whitespace().collect::<String>() }))
    }

    fn place(&self, bearer: &str, body: &Value) -> Result<Answer> {
        let url = format!("https://enroll.{}.svc/api/v1/orders", self.namespace.name());
        Request::post(&url, body.to_string())
            .ca(&self.workspace.file("root.pem"))
            .header("Content-Type", "application/json")
            .header("Authorization", &format!("Bearer {bearer}"))
            .option("--connect-to")
            .option(&self.route.connect_to())
            .send()
    }

    /// The access key that the operator made.
    fn key(&self, credential: &str) -> Result<String> {
        let key = self.namespace.kubectl().secret(credential)?.remove("accessKey");
        Ok(String::from_utf8(key.context("the Secret has no accessKey")?)?)
    }

    /// Notes of the method's events for this reason.
    fn told(&self, reason: &str) -> Result<Vec<String>> {
        let events = self.namespace.kubectl().list("events.events.k8s.io", "")?;
        let of_reason = events.iter().filter(|event| {
            text(event, "/reason") == reason
                && text(event, "/regarding/kind") == "EnrollmentMethod"
                && text(event, "/regarding/name") == "orders"
        });
        Ok(of_reason.map(|event| text(event, "/note").to_owned()).collect())
    }

    /// As an operator with a kubeconfig: where to ask and with what is looked up.
    fn plugin(&self) -> Result<Plugin> {
        let method = format!("{}/orders", self.namespace.name());
        let options = ["--method", &method, "--credential", "desk", "--port-forward"];
        Ok(options.into_iter().fold(Plugin::new()?, Plugin::option))
    }
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_pod_orders_with_the_token_of_its_service_account_and_an_operator_finds_and_revokes_it() -> Result<()> {
    in_namespace("rest", |namespace| {
        let desk = Desk::open(namespace)?;
        let order = desk.order(&desk.token("builder", AUDIENCE)?, "shop.office.test")?.expect(201)?;
        let order: Value = serde_json::from_slice(&order.body)?;
        ensure!(text(&order, "/status") == "issued", "{order}");
        let account = format!("system:serviceaccount:{}:builder", namespace.name());
        ensure!(text(&order, "/requester") == account, "{order}");

        let plugin = desk.plugin()?;
        let listed: Value = plugin.json(&["certificates", "list"])?;
        let id = text(&order, "/certificateId");
        ensure!(!id.is_empty() && listed.to_string().contains(id), "{id} is not in {listed}");
        plugin.succeed(&["revoke", id, "--reason", "superseded"])?;
        let revoked: Value = plugin.json(&["certificates", "get", id])?;
        ensure!(text(&revoked, "/status") == "revoked", "{revoked}");
        let audit = plugin.succeed(&["audit", "list"])?;
        let desk = format!("{}/desk", namespace.name());
        ensure!(audit.contains(&account) && audit.contains(&desk), "{audit}");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn only_tokens_of_the_account_and_the_audience_and_only_keys_in_force_open_the_method() -> Result<()> {
    in_namespace("rest-refused", |namespace| {
        let desk = Desk::open(namespace)?;
        for (account, audience) in [("stranger", AUDIENCE), ("builder", "https://somebody.else.test")] {
            let answer = desk.order(&desk.token(account, audience)?, "shop.office.test")?;
            ensure!(answer.status == 401, "{account} for {audience}: {}", answer.status);
        }

        // The key that the operator made, and then another in its place.
        let kubectl = namespace.kubectl();
        let key = || desk.key("desk");
        let before = key()?;
        // It is good, but not for orders.
        ensure!(desk.order(&before, "shop.office.test")?.status == 403);
        kubectl.patch("enrollmentcredential/desk", &json!({ "spec": { "regeneration": 1 } }))?;
        kubectl.wait_until("secret/desk", "holds another key", LIMIT, |_| {
            key().is_ok_and(|after| after != before)
        })?;
        kubectl.wait_condition("enrollmentcredential/desk", "Ready", LIMIT)?;
        ensure!(desk.order(&before, "shop.office.test")?.status == 401, "the old key is still good");
        ensure!(desk.order(&key()?, "shop.office.test")?.status == 403);
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_status_of_everything_is_one_command() -> Result<()> {
    in_namespace("rest-status", |namespace| {
        let desk = Desk::open(namespace)?;
        drop(desk);
        let status: Value =
            Plugin::new()?.option("--namespace").option(namespace.name()).json(&["status"])?;
        let all = status.to_string();
        for name in ["enroll", "root", "issuing", "service", "orders", "desk"] {
            ensure!(all.contains(&format!("\"{name}\"")), "{name} is not in {all}");
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn events_of_the_method_tell_once_of_renewals_and_of_those_that_fail() -> Result<()> {
    in_namespace("rest-renewed", |namespace| {
        let desk = Desk::open(namespace)?;
        let key = desk.key("kiosk")?;
        // It is renewed after three quarters of a minute, and so is what renews it.
        let body = json!({
            "product": "brief", "domains": ["kiosk.office.test"], "serverKey": true,
            "renewal": { "renewBefore": "75s" },
        });
        let order: Value = serde_json::from_slice(&desk.place(&key, &body)?.expect(201)?.body)?;
        let (_, first) = text(&order, "/certificateId").split_once('.').with_context(|| order.to_string())?;
        let renewed = || desk.told("CertificateRenewed");
        wait_until("an event of the renewal", TOLD, || {
            Ok(renewed()?.iter().any(|note| note.contains(&format!("renewed the certificate {first} by"))))
        })?;

        // Whoever ordered may order no more, and another operator is to tell that.
        let system = namespace.cluster().kubectl().in_namespace("chancery-system");
        system.succeed(&["rollout", "restart", "deployment/chancery"], None)?;
        namespace.kubectl().patch("enrollmentcredential/kiosk", &json!({ "spec": { "revoked": true } }))?;
        system.wait_rollout("deployment/chancery", READY)?;
        wait_until("an event of the failure", TOLD, || {
            Ok(!desk.told("CertificateRenewalFailed")?.is_empty())
        })?;
        let failed = desk.told("CertificateRenewalFailed")?;
        ensure!(
            failed.len() == 1 && failed.iter().all(|note| note.contains("order nothing now")),
            "{failed:?}"
        );
        let all = renewed()?;
        let distinct: BTreeSet<&String> = all.iter().collect();
        ensure!(distinct.len() == all.len() && all.iter().any(|note| note.contains(first)), "{all:?}");
        Ok(())
    })
}
