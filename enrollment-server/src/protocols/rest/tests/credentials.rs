//! The desk for credentials.

use issuance::{
    authn::Freshness,
    credential::{CredentialRow, CredentialState, PreviousValue},
    identity::{CredentialId, Owner, ResourceName},
    ports::Clock as _,
    rest::{RestAction, RestActions},
    secret::Secret,
    store::{Commit, Write},
};
use pki::time::Time;
use serde_json::{Value, json};

use super::{
    super::objects::Timestamp,
    desk::{accepting, act, all},
    scene::Scene,
};

fn wanted(name: &str) -> Value {
    json!({"name": name, "owner": "group:ops"})
}

/// Makes one, which is answered with its secret.
async fn made(scene: &Scene, body: &Value) -> Value {
    scene.post("/credentials", body).await.ok(201).json()
}

fn id(made: &Value) -> &str {
    made["credential"]["id"].as_str().unwrap()
}

fn secret(made: &Value) -> &str {
    made["accessKey"].as_str().unwrap()
}

async fn row(scene: &Scene, id: &str) -> CredentialRow {
    scene.app.engine.store().credential(&id.parse().unwrap()).await.unwrap().unwrap()
}

/// What the trail says last, done by the credential `lab/all`.
async fn last(scene: &Scene) -> (String, String, String) {
    let last = scene.audit().await.pop().unwrap();
    assert_eq!((&last["actor"]["kind"], &last["actor"]["name"]), (&json!("requester"), &json!("lab/all")));
    assert_eq!(last["method"], "lab/api");
    let text = |member: &str| last[member].as_str().unwrap().to_owned();
    (text("action"), text("outcome"), text("credential"))
}

#[tokio::test]
async fn a_credential_is_made_and_its_secret_is_shown_once() {
    let scene = Scene::new().await;
    let answer = scene.post("/credentials", &wanted("ci")).await.ok(201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let made = answer.json();
    assert_eq!(answer.headers["location"], format!("/api/v1/credentials/{}", id(&made)));
    let shown = &made["credential"];
    assert_eq!((&shown["name"], &shown["status"]), (&json!("ci"), &json!("active")));
    assert_eq!((&shown["owner"], &shown["actions"]), (&json!("group:ops"), &json!(["request", "read"])));
    assert_eq!(last(&scene).await, ("credentialCreated".into(), "done".into(), id(&made).into()));
    assert_eq!(scene.get(&format!("/credentials/{}", id(&made))).await.ok(200).json(), *shown);
    // It is good for its actions.
    scene.get_with(secret(&made), "/credentials").await.refused(403, "action-not-allowed", "credentials");
    let now = scene.app.engine.clock().now();
    let holder = scene
        .app
        .passwords
        .verify_access_key(&Secret::new(secret(&made)), now, Freshness::Fresh, None)
        .await
        .unwrap();
    assert_eq!(holder.evidence.credential().unwrap().as_str(), id(&made));
}

#[tokio::test]
async fn no_list_export_or_record_holds_a_secret_or_what_it_is_checked_by() {
    let scene = Scene::new().await;
    let made = made(&scene, &wanted("ci")).await;
    let again =
        act(&scene, &scene.key, &format!("/credentials/{}/regenerate", id(&made))).await.ok(200).json();
    let mut texts = vec![json!(scene.audit().await).to_string()];
    for path in
        ["/credentials", "/credentials/export", "/credentials/export?format=csv", "/audit", "/audit/export"]
    {
        texts.push(scene.get(path).await.ok(200).text());
    }
    texts.push(scene.get(&format!("/credentials/{}", id(&made))).await.ok(200).text());
    for text in texts {
        for key in [secret(&made), secret(&again), &scene.key] {
            let random = key.rsplit_once('_').map(|(_, random)| random).unwrap();
            assert!(!text.contains(random), "{text}");
        }
        assert!(
            !text.contains("sha256\":") && !text.contains("verifier") && !text.contains("hash\":{"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_new_secret_replaces_the_old_one_at_once() {
    let scene = Scene::new().await;
    let made = made(&scene, &json!({"name": "ci", "owner": "user:ann", "actions": ["report"]})).await;
    scene.get_with(secret(&made), "/audit").await.ok(200);
    let answer = act(&scene, &scene.key, &format!("/credentials/{}/regenerate", id(&made))).await.ok(200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let again = answer.json();
    assert_eq!(last(&scene).await, ("credentialRegenerated".into(), "done".into(), id(&made).into()));
    scene.get_with(secret(&made), "/audit").await.refused(401, "unauthenticated", "");
    scene.get_with(secret(&again), "/audit").await.ok(200);
    assert_eq!(again["credential"]["username"], made["credential"]["username"], "the key keeps its name");
    assert_eq!(again["credential"]["regeneration"], 1);
}

#[tokio::test]
async fn one_regenerates_their_own_secret_and_goes_on_with_the_new_one() {
    let scene = Scene::new().await;
    let path = format!("/credentials/{}/regenerate", scene.credential.id);
    let again = act(&scene, &scene.key, &path).await.ok(200).json();
    scene.get("/credentials").await.refused(401, "unauthenticated", "");
    scene.get_with(secret(&again), "/credentials").await.ok(200);
}

#[tokio::test]
async fn a_revoked_credential_is_refused_from_the_next_request_on_and_for_good() {
    let scene = Scene::new().await;
    let made = made(&scene, &json!({"name": "ci", "owner": "user:ann", "actions": ["report"]})).await;
    let path = format!("/credentials/{}", id(&made));
    scene.get_with(secret(&made), "/audit").await.ok(200);
    let revoked =
        scene.post(&format!("{path}/revoke"), &json!({"reason": "left in a log"})).await.ok(200).json();
    assert_eq!(revoked["status"], "revoked");
    scene.get_with(secret(&made), "/audit").await.refused(401, "unauthenticated", "");
    let trail = scene.audit().await;
    assert_eq!(trail.last().unwrap()["reason"], "lab/ci: left in a log");
    assert_eq!(last(&scene).await, ("credentialRevoked".into(), "done".into(), id(&made).into()));
    act(&scene, &scene.key, &format!("{path}/revoke")).await.ok(200);
    assert_eq!(scene.audit().await.len(), trail.len(), "a retry changes nothing");
    for change in ["regenerate", "expire"] {
        let answer = act(&scene, &scene.key, &format!("{path}/{change}")).await;
        answer.refused(409, "conflict", "revoked for good");
    }
}

#[tokio::test]
async fn a_credential_ends_when_that_is_said() {
    let scene = Scene::new().await;
    let made = made(&scene, &json!({"name": "ci", "owner": "user:ann", "actions": ["report"]})).await;
    let expire = format!("/credentials/{}/expire", id(&made));
    let end = scene.app.engine.clock().now().plus_seconds(600);
    let shown = scene.post(&expire, &json!({"expiresAt": end.to_string()})).await.ok(200).json();
    assert_eq!((&shown["status"], &shown["expiresAt"]), (&json!("active"), &json!(end.to_string())));
    assert_eq!(last(&scene).await.0, "credentialChanged");
    scene.get_with(secret(&made), "/audit").await.ok(200);
    let shown = act(&scene, &scene.key, &expire).await.ok(200).json();
    assert_eq!(shown["status"], "expired");
    scene.get_with(secret(&made), "/audit").await.refused(401, "unauthenticated", "");
    let regenerate = format!("/credentials/{}/regenerate", id(&made));
    act(&scene, &scene.key, &regenerate).await.refused(409, "conflict", "has expired");
}

#[tokio::test]
async fn nobody_makes_or_takes_over_a_credential_that_may_do_more_than_they_may() {
    let scene = Scene::new().await;
    let (key, desk) = scene.another_key(&[RestAction::Credentials, RestAction::Read]).await;
    let body = json!({"name": "ci", "owner": "user:ann", "actions": ["read", "approve"]});
    scene.post_with(&key, "/credentials", &body).await.refused(403, "action-not-allowed", "approve");
    // The default is no way around that.
    scene.post_with(&key, "/credentials", &wanted("ci")).await.refused(403, "action-not-allowed", "request");
    assert_eq!(all(&scene, &scene.key, "/credentials?name=ci").await, Vec::<Value>::new());
    let refused = scene.audit().await.pop().unwrap();
    assert_eq!((&refused["action"], &refused["outcome"]), (&json!("credentialCreated"), &json!("refused")));
    assert_eq!(refused["actor"]["name"], desk.name.to_string());
    for change in ["regenerate", "revoke", "expire"] {
        let path = format!("/credentials/{}/{change}", scene.credential.id);
        act(&scene, &key, &path).await.refused(403, "action-not-allowed", "request");
    }
    assert_eq!(scene.credential_row().await, scene.credential);
    scene.get("/credentials").await.ok(200);
}

#[tokio::test]
async fn nobody_raises_their_own() {
    let scene = Scene::new().await;
    let own = scene.credential_row().await;
    let end = scene.app.engine.clock().now().plus_seconds(600);
    scene.put_credential(CredentialRow { expires_at: Some(end), maximum_uses: Some(9), ..own }).await;
    let path = format!("/credentials/{}", scene.credential.id);
    let later = json!({"expiresAt": end.plus_seconds(1).to_string()});
    scene.post(&format!("{path}/expire"), &later).await.refused(403, "refused", "last longer");
    // Its uses would be counted anew.
    act(&scene, &scene.key, &format!("{path}/regenerate")).await.refused(403, "refused", "last longer");
    assert_eq!(last(&scene).await.1, "refused");
    let sooner = json!({"expiresAt": end.plus_seconds(-1).to_string()});
    scene.post(&format!("{path}/expire"), &sooner).await.ok(200);
}

#[tokio::test]
async fn who_lacks_the_action_learns_nothing_and_changes_nothing() {
    let scene = Scene::new().await;
    let others: Vec<_> =
        RestAction::ALL.into_iter().filter(|action| *action != RestAction::Credentials).collect();
    let (key, _) = scene.another_key(&others).await;
    scene.post_with(&key, "/credentials", &wanted("ci")).await.refused(
        403,
        "action-not-allowed",
        "credentials",
    );
    for id in [scene.credential.id.clone(), CredentialId::from_random([9; 16])] {
        for path in ["/credentials".into(), "/credentials/export".into(), format!("/credentials/{id}")] {
            scene.get_with(&key, &path).await.refused(403, "action-not-allowed", "credentials");
        }
        for change in ["revoke", "expire", "regenerate"] {
            let answer = act(&scene, &key, &format!("/credentials/{id}/{change}")).await;
            answer.refused(403, "action-not-allowed", "credentials");
        }
    }
    assert_eq!(scene.credential_row().await, scene.credential);
}

#[tokio::test]
async fn credentials_of_other_methods_are_not_there() {
    let scene = Scene::new().await;
    let foreign = all(&scene, &scene.other_key, "/credentials").await;
    let foreign = foreign[0]["id"].as_str().unwrap();
    let before = row(&scene, foreign).await;
    assert!(all(&scene, &scene.key, "/credentials").await.iter().all(|shown| shown["id"] != foreign));
    assert!(!scene.get("/credentials/export?format=csv").await.ok(200).text().contains(foreign));
    let absent = CredentialId::from_random([9; 16]);
    for id in [foreign, absent.as_str(), "x", "..%2F..", &"0".repeat(33)] {
        scene.get(&format!("/credentials/{id}")).await.refused(404, "not-found", "");
        for change in ["revoke", "expire", "regenerate"] {
            let answer = act(&scene, &scene.key, &format!("/credentials/{id}/{change}")).await;
            answer.refused(404, "not-found", "");
        }
    }
    assert_eq!(row(&scene, foreign).await, before);
    scene.get("/credentials?method=lab/other").await.refused(404, "not-found", "method");
}

#[tokio::test]
async fn what_a_resource_declares_is_changed_there() {
    let scene = Scene::new().await;
    let made = made(&scene, &wanted("ci")).await;
    let undeclared = row(&scene, id(&made)).await;
    let declared = scene.put_credential(CredentialRow { declared: true, ..undeclared }).await;
    for (change, field) in
        [("regenerate", "spec.regeneration"), ("revoke", "spec.revoked"), ("expire", "spec.expiresAt")]
    {
        let answer = act(&scene, &scene.key, &format!("/credentials/{}/{change}", declared.id)).await;
        answer.refused(409, "declared-by-resource", "EnrollmentCredential lab/ci");
        answer.refused(409, "declared-by-resource", field);
    }
    scene.post("/credentials", &wanted("ci")).await.refused(409, "declared-by-resource", "lab/ci");
    assert_eq!(row(&scene, id(&made)).await, declared);
    let shown = scene.get(&format!("/credentials/{}", declared.id)).await.ok(200).json();
    assert_eq!(shown["declaredBy"], "lab/ci");
}

#[tokio::test]
async fn a_name_is_given_once() {
    let scene = Scene::new().await;
    let first = made(&scene, &wanted("ci")).await;
    scene.post("/credentials", &wanted("ci")).await.refused(409, "conflict", "lab/ci");
    act(&scene, &scene.key, &format!("/credentials/{}/revoke", id(&first))).await.ok(200);
    scene.post("/credentials", &wanted("ci")).await.refused(409, "conflict", "lab/ci");
    // Of another method it is another.
    scene.post_with(&scene.other_key, "/credentials", &wanted("ci")).await.ok(201);
}

#[tokio::test]
async fn a_credential_that_is_asked_for_badly_is_not_made() {
    let scene = Scene::new().await;
    let before = all(&scene, &scene.key, "/credentials").await.len();
    let with = |member: &str, value: Value| {
        let mut body = wanted("ci");
        body[member] = value;
        body
    };
    for (body, pointer) in [
        (json!({"owner": "user:ann"}), ""),
        (json!({"name": "ci"}), ""),
        (with("name", json!("CI")), "/name"),
        (with("name", json!("a/b")), "/name"),
        (with("name", json!(7)), "/name"),
        (with("owner", json!("ann")), "/owner"),
        (with("owner", json!("user:")), "/owner"),
        (with("actions", json!([])), "/actions"),
        (with("actions", json!(["admin"])), "/actions/0"),
        (with("actions", Value::Null), "/actions"),
        (with("actions", json!("read")), "/actions"),
        (with("expiresAt", json!("tomorrow")), "/expiresAt"),
        (with("expiresAt", json!("2020-01-01T00:00:00Z")), "/expiresAt"),
        (with("maximumUses", json!(0)), "/maximumUses"),
        (with("maximumUses", json!(-1)), "/maximumUses"),
        (with("maximumUses", json!(1.5)), "/maximumUses"),
        (with("maximumUses", json!(u64::MAX)), "/maximumUses"),
        (with("accessKey", json!("chancery_0123456789abcdef_x")), "/accessKey"),
        (with("username", json!("0123456789abcdef")), "/username"),
    ] {
        scene.post("/credentials", &body).await.invalid(pointer, "");
    }
    assert_eq!(all(&scene, &scene.key, "/credentials").await.len(), before);
    let path = format!("/credentials/{}/revoke", scene.credential.id);
    scene.post(&path, &json!({"reason": "a\nb"})).await.invalid("/reason", "");
    scene.post(&path, &json!({"why": "x"})).await.invalid("/why", "");
    assert_eq!(scene.credential_row().await.state, CredentialState::Active);
}

#[tokio::test]
async fn credentials_are_found_by_status_owner_and_name() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for (name, owner) in
        [("one", "user:ann"), ("two", "user:bob"), ("three", "user:ann"), ("four", "group:ops")]
    {
        let made = made(&scene, &json!({"name": name, "owner": owner, "maximumUses": 5})).await;
        ids.push(id(&made).to_owned());
    }
    act(&scene, &scene.key, &format!("/credentials/{}/revoke", ids[0])).await.ok(200);
    act(&scene, &scene.key, &format!("/credentials/{}/expire", ids[1])).await.ok(200);
    let used = row(&scene, &ids[3]).await;
    scene.put_credential(CredentialRow { uses: 5, ..used }).await;
    for (query, expected) in [
        ("owner=user:ann", vec!["one", "three"]),
        ("owner=user%3Abob&status=active", vec![]),
        ("status=revoked", vec!["one"]),
        ("status=expired", vec!["two"]),
        ("status=usedUp", vec!["four"]),
        ("status=active&limit=1", vec!["all", "three"]),
        ("name=two", vec!["two"]),
        ("name=tw", vec![]),
    ] {
        let found = all(&scene, &scene.key, &format!("/credentials?{query}")).await;
        let names: Vec<_> = found.iter().map(|shown| shown["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{query}");
        if !query.contains("limit") {
            let exported = scene.get(&format!("/credentials/export?{query}")).await.ok(200).json();
            assert_eq!(exported, json!(found), "{query}");
        }
    }
    for query in ["status=gone", "owner=ann", "name=A", "limit=1001", "cursor=c-1", "secret=1", "format=json"]
    {
        scene.get(&format!("/credentials?{query}")).await.refused(400, "malformed", "the parameter");
    }
    scene.get("/credentials/export?limit=1").await.refused(400, "malformed", "limit");
}

#[tokio::test]
async fn credentials_are_exported_as_a_table_that_no_spreadsheet_computes() {
    let scene = Scene::new().await;
    let own = scene.credential_row().await;
    let until = scene.clock.now().plus_seconds(600);
    let actions: RestActions = [RestAction::Read].into_iter().collect();
    let row = CredentialRow {
        id: CredentialId::from_random([7; 16]),
        version: 0,
        name: ResourceName::new("lab", "=1+1"),
        username: Some("0123456789abcdef".into()),
        owner: Some(Owner::Group("a,\"b\"".into())),
        created_at: Time::from_unix(0),
        actions,
        previous: Some(PreviousValue { verifier: own.verifier.clone(), until }),
        ..own
    };
    scene.put_credential(row).await;
    let table = accepting(&scene, &scene.key, "/credentials/export?name=all", "text/csv").await.ok(200);
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(table.headers["content-disposition"], "attachment; filename=\"credentials.csv\"");
    let lines: Vec<_> = table.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let table = scene.get("/credentials/export?format=csv").await.ok(200).text();
    assert!(
        table.starts_with("id,name,status,method,protocol,username,owner,actions,identifiers,createdAt,"),
        "{table}"
    );
    let line = table.lines().find(|line| line.starts_with("0707")).unwrap();
    let expected = format!(
        "{},'=1+1,active,lab/api,rest,0123456789abcdef,\"group:a,\"\"b\"\"\",read,,1970-01-01T00:00:00Z,,{until},",
        "07".repeat(16)
    );
    assert!(line.starts_with(&expected), "{line}");
    let path = format!("/credentials/{}", "07".repeat(16));
    let shown = scene.get(&path).await.ok(200).json();
    assert_eq!(shown["previousAcceptedUntil"], until.to_string());
    scene.clock.forward(600);
    assert!(scene.get(&path).await.ok(200).json().get("previousAcceptedUntil").is_none());
    accepting(&scene, &scene.key, "/credentials/export", "image/png").await.refused(
        406,
        "not-acceptable",
        "text/csv",
    );
    scene.get("/credentials/export?format=xml").await.refused(400, "malformed", "format");
}

#[tokio::test]
async fn a_credential_says_when_from_where_and_how_often_it_was_used_and_what_went_wrong() {
    let scene = Scene::new().await;
    let made = made(&scene, &json!({"name": "ci", "owner": "user:ann", "actions": ["report"]})).await;
    let path = format!("/credentials/{}", id(&made));
    let unused = scene.get(&path).await.ok(200).json();
    for member in ["firstUsedAt", "lastUsedAt", "lastAddress", "lastFailure"] {
        assert_eq!(unused[member], Value::Null, "{member}");
    }
    let first = scene.app.engine.clock().now();
    scene.get_with(secret(&made), "/audit").await.ok(200);
    scene.clock.forward(60);
    scene.get_with(secret(&made), "/audit").await.ok(200);
    scene.clock.forward(60);
    act(&scene, &scene.key, &format!("{path}/revoke")).await.ok(200);
    scene.get_with(secret(&made), "/audit").await.refused(401, "unauthenticated", "");
    let notes = scene.app.passwords.usage().take();
    let writes = notes.into_iter().map(|note| Write::NoteCredentialUsage(Box::new(note))).collect();
    scene.app.engine.store().commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    let shown = scene.get(&path).await.ok(200).json();
    let time = |member: &Value| Timestamp::parse(member.as_str().unwrap()).unwrap().0.unix() - first.unix();
    assert_eq!((&shown["requests"], &shown["failures"], &shown["uses"]), (&json!(2), &json!(1), &json!(0)));
    assert!(
        (0..60).contains(&time(&shown["firstUsedAt"])) && (60..120).contains(&time(&shown["lastUsedAt"]))
    );
    assert_eq!(shown["lastAddress"], "192.0.2.7");
    let failure = &shown["lastFailure"];
    assert_eq!((&failure["reason"], &failure["address"]), (&json!("revoked"), &json!("192.0.2.7")));
    assert!((120..180).contains(&time(&failure["at"])), "{failure}");
    assert_eq!(all(&scene, &scene.key, "/credentials?name=ci").await, std::slice::from_ref(&shown));
    let table = scene.get("/credentials/export?name=ci&format=csv").await.ok(200).text();
    let at = failure["at"].as_str().unwrap();
    assert!(table.contains(&format!(",192.0.2.7,1,{at},revoked,192.0.2.7,")), "{table}");
}
