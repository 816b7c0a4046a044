//! Who makes the tokens of the cluster's service accounts, and with which keys: what its API server publishes (OpenID Connect
//! Discovery 1.0 §4). It is asked only where a method takes such tokens.

use http::Request;
use kube::Client;
use pki::time::Time;
use resolve::{Resources, TokenIssuer};
use serde::Deserialize;

use crate::api::sentence;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Not what the configuration names: that may be the address of a machine that nobody reaches from here.
const KEYS: &str = "/openid/v1/jwks";

/// Seconds until keys are asked for again: a new one is known here soon after it is first used.
const REFRESH: i64 = 600;

/// Seconds until it is tried again after it failed.
const RETRY: i64 = 30;

/// What was last read.
#[derive(Debug, Default)]
pub struct ClusterTokens {
    held: Option<TokenIssuer>,
    /// Why the last attempt failed.
    failure: Option<String>,
    asked_at: Option<Time>,
}

impl ClusterTokens {
    /// What is known now; why nothing is. What was read once stays, where it cannot be read again.
    pub async fn read(
        &mut self,
        client: &Client,
        resources: &Resources,
        now: Time,
    ) -> Result<TokenIssuer, String> {
        if is_wanted(resources) && self.is_due(now) {
            self.asked_at = Some(now);
            match ask(client).await {
                Ok(issuer) => {
                    self.held = Some(issuer);
                    self.failure = None;
                }
                Err(error) => {
                    let failure = sentence(&error);
                    tracing::warn!(error = failure, "the issuer of the cluster and its keys cannot be read");
                    self.failure = Some(failure);
                }
            }
        }
        let why = || self.failure.clone().unwrap_or_else(|| "nobody has asked yet".to_owned());
        self.held.clone().ok_or_else(why)
    }

    fn is_due(&self, now: Time) -> bool {
        let pause = if self.failure.is_some() { RETRY } else { REFRESH };
        self.asked_at.is_none_or(|at| at.plus_seconds(pause) <= now)
    }
}

/// Whether a method takes tokens of the cluster's own service accounts.
fn is_wanted(resources: &Resources) -> bool {
    let mut methods = resources.methods.iter().filter_map(|method| method.spec.rest.as_ref());
    let is_own = |tokens: &crds::ServiceAccountTokens| tokens.issuer.is_none();
    methods.any(|rest| rest.service_account_tokens.as_ref().is_some_and(is_own))
}

async fn ask(client: &Client) -> Result<TokenIssuer, kube::Error> {
    #[derive(Deserialize)]
    struct Configuration {
        issuer: String,
    }
    let get = |path: &str| Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError);
    let text = client.request_text(get(CONFIGURATION)?).await?;
    let Configuration { issuer } = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    let jwks = client.request_text(get(KEYS)?).await?;
    Ok(TokenIssuer { issuer, jwks })
}

#[cfg(test)]
mod tests {
    use crds::EnrollmentMethod;
    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    const NOW: Time = Time::from_unix(1_790_000_000);

    fn taking(tokens: serde_json::Value) -> Resources {
        let method = json!({
            "apiVersion": crds::API_VERSION, "kind": "EnrollmentMethod",
            "metadata": { "name": "rest", "namespace": "ci" },
            "spec": { "profileRef": { "name": "tls" }, "rest": tokens },
        });
        let method: EnrollmentMethod = serde_json::from_value(method).unwrap();
        Resources { methods: vec![method], ..Resources::default() }
    }

    fn own() -> Resources {
        let accounts = json!([{ "namespace": "ci", "name": "builder" }]);
        taking(json!({ "serviceAccountTokens": { "audience": "pki", "accounts": accounts } }))
    }

    fn publishing(api: &FakeApi, issuer: &str, keys: &str) {
        api.publish(CONFIGURATION, json!({ "issuer": issuer, "jwks_uri": "https://10.0.0.1:6443/keys" }));
        api.publish(KEYS, json!({ "keys": [{ "kid": keys }] }));
    }

    fn issuer(issuer: &str, keys: &str) -> TokenIssuer {
        let jwks = json!({ "keys": [{ "kid": keys }] }).to_string();
        TokenIssuer { issuer: issuer.to_owned(), jwks }
    }

    #[tokio::test]
    async fn nobody_is_asked_where_no_method_takes_tokens_of_the_cluster() {
        let api = FakeApi::new();
        publishing(&api, "https://cluster", "one");
        let accounts = json!([{ "namespace": "ci", "name": "builder" }]);
        let elsewhere = json!({ "serviceAccountTokens": {
            "audience": "pki", "issuer": "i", "jwksFrom": { "secretKeyRef": { "name": "s" } }, "accounts": accounts,
        } });
        for resources in [Resources::default(), taking(json!({})), taking(elsewhere)] {
            let read = ClusterTokens::default().read(&api.client(), &resources, NOW).await;
            assert_eq!(read, Err("nobody has asked yet".to_owned()));
        }
        assert!(api.calls().is_empty());
    }

    #[tokio::test]
    async fn keys_are_read_again_after_a_while_and_not_before() {
        let api = FakeApi::new();
        publishing(&api, "https://cluster", "one");
        let mut tokens = ClusterTokens::default();
        let first = tokens.read(&api.client(), &own(), NOW).await;
        assert_eq!(first, Ok(issuer("https://cluster", "one")));
        publishing(&api, "https://cluster", "two");
        let soon = NOW.plus_seconds(REFRESH - 1);
        assert_eq!(tokens.read(&api.client(), &own(), soon).await, first);
        assert_eq!(api.calls().len(), 2);
        let later = NOW.plus_seconds(REFRESH);
        assert_eq!(tokens.read(&api.client(), &own(), later).await, Ok(issuer("https://cluster", "two")));
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_why_and_is_tried_again() {
        let api = FakeApi::new();
        publishing(&api, "https://cluster", "one");
        api.refuse("GET", KEYS, 403, "Forbidden", 1);
        let mut tokens = ClusterTokens::default();
        let refused = tokens.read(&api.client(), &own(), NOW).await;
        assert_eq!(refused, Err("refused by the test".to_owned()));
        let (calls, soon) = (api.calls().len(), NOW.plus_seconds(RETRY - 1));
        assert_eq!(tokens.read(&api.client(), &own(), soon).await, refused);
        assert_eq!(api.calls().len(), calls);
        let read = tokens.read(&api.client(), &own(), NOW.plus_seconds(RETRY)).await;
        assert_eq!(read, Ok(issuer("https://cluster", "one")));
    }

    #[tokio::test]
    async fn what_was_read_stays_while_it_cannot_be_read_again() {
        let api = FakeApi::new();
        publishing(&api, "https://cluster", "one");
        let mut tokens = ClusterTokens::default();
        let first = tokens.read(&api.client(), &own(), NOW).await;
        api.publish(CONFIGURATION, json!({ "no": "issuer" }));
        assert_eq!(tokens.read(&api.client(), &own(), NOW.plus_seconds(REFRESH)).await, first);
        publishing(&api, "https://cluster", "two");
        let again = tokens.read(&api.client(), &own(), NOW.plus_seconds(REFRESH + RETRY)).await;
        assert_eq!(again, Ok(issuer("https://cluster", "two")));
    }
}
