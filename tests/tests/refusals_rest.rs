//! Who is refused what over REST: every operation of the served document, with every kind of credential that must not open it.

#[path = "refusals_rest/scene.rs"]
mod scene;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::Answer;
use chancery_tests::rest::{Client, object, text};
use serde_json::{Value, json};

use self::scene::{ACTIONS, Laboratory, check_refusal};

/// An operation of the document, the action that it needs, what it is asked with, and what comes then: for whoever has all actions
/// of its method, and for whoever has all actions of another one.
struct Row {
    operation: &'static str,
    action: &'static str,
    body: Option<&'static str>,
    own: u16,
    other: u16,
}

const fn row(operation: &'static str, action: &'static str, own: u16, other: u16) -> Row {
    Row { operation, action, body: None, own, other }
}

const fn with(body: &'static str, row: Row) -> Row {
    Row { body: Some(body), ..row }
}

const KEY: &str = r#"{"format": "pkcs8", "passphrase": "correct horse"}"#;
const NAMES: &str = r#"{"domains": ["a.rest.example"], "serverKey": true}"#;
const ISSUE: &str = r#"{"domains": ["a.rest.example"]}"#;
const CREDENTIAL: &str = r#"{"name": "new", "owner": "user:new", "actions": ["read"]}"#;

/// In an order in which each finds what it needs.
const ROWS: &[Row] = &[
    row("GET /orders", "read", 200, 200),
    with(NAMES, row("POST /orders", "request", 201, 201)),
    row("GET /orders/{id}", "read", 200, 404),
    with(r#"{"csr": "none"}"#, row("PUT /orders/{id}/csr", "request", 422, 404)),
    with("{}", row("POST /orders/{id}/authorizations/{place}/challenges/{type}", "request", 404, 404)),
    row("DELETE /orders/{id}", "request", 200, 404),
    with(KEY, row("POST /orders/{id}/key", "request", 200, 404)),
    with(ISSUE, row("POST /certificates", "request", 201, 201)),
    row("GET /certificates", "read", 200, 200),
    row("GET /certificates/{id}", "read", 200, 404),
    row("GET /certificates/{id}/download", "read", 200, 404),
    with("{}", row("POST /certificates/{id}/renew", "request", 201, 404)),
    with("{}", row("POST /certificates/{id}/hold", "revoke", 200, 404)),
    with("{}", row("POST /certificates/{id}/release", "revoke", 200, 404)),
    with("{}", row("POST /certificates/{id}/revoke", "revoke", 200, 404)),
    row("GET /requests", "approve", 200, 200),
    row("GET /requests/{id}", "approve", 200, 404),
    row("POST /requests/{id}/approve", "approve", 200, 404),
    // Decided by now.
    with("{}", row("POST /requests/{id}/deny", "approve", 409, 404)),
    row("GET /credentials", "credentials", 200, 200),
    row("GET /credentials/export", "credentials", 200, 200),
    row("GET /credentials/{id}", "credentials", 200, 404),
    with(CREDENTIAL, row("POST /credentials", "credentials", 201, 201)),
    row("POST /credentials/{id}/regenerate", "credentials", 200, 404),
    with("{}", row("POST /credentials/{id}/expire", "credentials", 200, 404)),
    with("{}", row("POST /credentials/{id}/revoke", "credentials", 200, 404)),
    row("GET /reports/issued", "report", 200, 200),
    row("GET /reports/expiring", "report", 200, 200),
    row("GET /reports/revoked", "report", 200, 200),
    row("GET /reports/inventory", "report", 200, 200),
    row("GET /reports/summary", "report", 200, 200),
    row("GET /audit", "report", 200, 200),
    row("GET /audit/export", "report", 200, 200),
    row("GET /status", "read", 200, 200),
];

impl Row {
    /// Sends it. What the document leaves open in the path names what `laboratory` has.
    fn send(&self, laboratory: &Laboratory, client: &Client, query: &str) -> Result<Answer> {
        let (method, path) = self.operation.split_once(' ').context("no method")?;
        let path = format!("{}{query}", laboratory.filled(path));
        match self.body {
            Some(body) => client.with_json(method, &path, &serde_json::from_str(body)?).send(),
            None => client.request(method, &path).send(),
        }
    }
}

#[test]
fn every_operation_of_the_document_is_in_the_table() -> Result<()> {
    let laboratory = Laboratory::new()?;
    let document = laboratory.all.with_key("").get("/openapi.json")?;
    let paths = document["paths"].as_object().context("no paths")?;
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let listed: BTreeSet<String> = ROWS.iter().map(|row| row.operation.to_owned()).collect();
    ensure!(listed.len() == ROWS.len(), "an operation is in the table twice");
    let different: Vec<_> = described.symmetric_difference(&listed).collect();
    ensure!(
        different.is_empty(),
        "in the table and not in the document, or the other way round: {different:?}"
    );
    Ok(())
}

#[test]
fn no_operation_is_open_to_who_has_no_good_credential_or_not_the_action_for_it() -> Result<()> {
    let laboratory = Laboratory::new()?;
    let strangers = laboratory.strangers()?;
    for row in ROWS {
        for (what, client) in &strangers {
            let what = format!("{}: {what}", row.operation);
            check_refusal(&what, &row.send(&laboratory, client, "")?, 401, "unauthenticated")?;
        }
        let what = format!("{}: a good key, of another method than is asked", row.operation);
        let answer = row.send(&laboratory, &laboratory.other, "?method=test/api")?;
        check_refusal(&what, &answer, 404, "not-found")?;
        let what = format!("{}: a key for all but {}", row.operation, row.action);
        let answer = row.send(&laboratory, laboratory.without(row.action)?, "")?;
        check_refusal(&what, &answer, 403, "action-not-allowed")?;
        ensure!(object(&answer)?["action"] == row.action, "{what}: {}", answer.text());
    }
    // Nothing has come of it: each does now what it does where nobody has tried before.
    for row in ROWS {
        let answer = row.send(&laboratory, &laboratory.all, "")?;
        ensure!(
            answer.status == row.own,
            "{}: expected {}, got {}: {}",
            row.operation,
            row.own,
            answer.status,
            answer.text()
        );
    }
    Ok(())
}

#[test]
fn a_credential_of_another_method_finds_nothing_and_changes_nothing() -> Result<()> {
    let laboratory = Laboratory::new()?;
    for row in ROWS {
        let answer = row.send(&laboratory, &laboratory.other, "")?;
        ensure!(
            answer.status == row.other,
            "{}: expected {}, got {}: {}",
            row.operation,
            row.other,
            answer.status,
            answer.text()
        );
        if row.other == 404 {
            check_refusal(row.operation, &answer, 404, "not-found")?;
        }
        let said = answer.text();
        let seen: Vec<_> = laboratory.identifiers().into_iter().filter(|id| said.contains(*id)).collect();
        ensure!(seen.is_empty(), "{}: {seen:?} are of another method: {said}", row.operation);
        if row.operation == "POST /credentials" {
            // A name in use is nobody else's in the namespace.
            let id = text(&object(&answer)?, "/credential/id")?;
            laboratory.other.post(&format!("/credentials/{id}/revoke"), &json!({}), 200)?;
        }
    }
    for row in ROWS {
        let answer = row.send(&laboratory, &laboratory.all, "")?;
        ensure!(
            answer.status == row.own,
            "{}: expected {}, got {}: {}",
            row.operation,
            row.own,
            answer.status,
            answer.text()
        );
    }
    Ok(())
}

/// Orders are of their own method, whoever administers that.
#[test]
fn a_credential_of_a_method_that_administers_another_does_all_there_but_order() -> Result<()> {
    let laboratory = Laboratory::new()?;
    for row in ROWS {
        let answer = row.send(&laboratory, &laboratory.desk, "?method=test/other")?;
        check_refusal(row.operation, &answer, 404, "not-found")?;
        let is_of_orders = row.action == "request" || row.operation.starts_with("GET /orders");
        if is_of_orders {
            let answer = row.send(&laboratory, &laboratory.desk, "?method=test/api")?;
            check_refusal(row.operation, &answer, 404, "not-found")?;
        }
        let expected = if is_of_orders { row.other } else { row.own };
        let answer = row.send(&laboratory, &laboratory.desk, "")?;
        let (operation, got, text) = (row.operation, answer.status, answer.text());
        ensure!(answer.status == expected, "{operation}: expected {expected}, got {got}: {text}");
    }
    Ok(())
}

#[test]
fn a_used_up_key_changes_nothing_more_and_fetches_what_it_ordered() -> Result<()> {
    let laboratory = Laboratory::new()?;
    let (_, key) = laboratory.another_key("once", &ACTIONS, &json!({"maximumUses": 1}))?;
    let client = laboratory.all.with_key(&key);
    let order = client.post("/orders", &serde_json::from_str(NAMES)?, 201)?;
    // What is done with an order is done by whoever ordered, below.
    for row in ROWS
        .iter()
        .filter(|row| row.operation == "GET /orders/{id}" || !row.operation.contains("/orders/{id}"))
    {
        let answer = row.send(&laboratory, &client, "")?;
        if row.operation.starts_with("GET ") {
            ensure!(answer.status == row.own, "{}: {}", row.operation, answer.text());
        } else if answer.status == 409 {
            // Whether it is in a state for this is looked at first.
            check_refusal(row.operation, &answer, 409, "conflict")?;
        } else {
            check_refusal(row.operation, &answer, 403, "refused")?;
            ensure!(object(&answer)?["rule"] == "maximumUses", "{}: {}", row.operation, answer.text());
        }
    }
    let path = format!("/orders/{}", text(&order, "/id")?);
    ensure!(client.get(&path)? == order);
    client.post(&format!("{path}/key"), &serde_json::from_str(KEY)?, 200)?;
    Ok(())
}

/// With two servers the one that changes it is never the one that is asked next.
#[test]
fn a_key_that_is_changed_on_one_server_is_refused_by_the_other_with_the_next_request() -> Result<()> {
    let laboratory = Laboratory::new()?;
    let servers = laboratory.scene.servers()?;
    let changes =
        [("regenerate", json!({})), ("regenerate", json!({})), ("expire", json!({})), ("revoke", json!({}))];
    for (round, (change, body)) in changes.into_iter().enumerate() {
        let here = servers[round % servers.len()];
        let there = servers[(round + 1) % servers.len()];
        let (id, key) = laboratory.another_key(&format!("changed-{round}"), &ACTIONS, &json!({}))?;
        let client = laboratory.all.with_key(&key).at(there)?;
        // Twice: so that the other server has it at hand.
        for _ in 0..2 {
            client.get("/orders")?;
            client.post("/orders", &serde_json::from_str(NAMES)?, 201)?;
        }
        let office = laboratory.all.at(here)?;
        let changed = match change {
            "regenerate" => {
                object(&office.request("POST", &format!("/credentials/{id}/{change}")).send()?.expect(200)?)?
            }
            _ => office.post(&format!("/credentials/{id}/{change}"), &body, 200)?,
        };
        let order = client.with_json("POST", "/orders", &serde_json::from_str::<Value>(NAMES)?).send()?;
        check_refusal(&format!("{change}: an order"), &order, 401, "unauthenticated")?;
        let list = client.request("GET", "/orders").send()?;
        check_refusal(&format!("{change}: a list"), &list, 401, "unauthenticated")?;
        if change == "regenerate" {
            client.with_key(&text(&changed, "/accessKey")?).get("/orders")?;
        }
    }
    Ok(())
}
