//! The document, and that everything it describes is closed to strangers.

use axum::body::Body;
use http::Method as HttpMethod;
use serde_json::Value;

use super::scene::{Scene, request};

#[tokio::test]
async fn the_document_is_for_everybody_and_says_which_version_of_openapi_it_is() {
    let scene = Scene::new().await;
    let document = scene.get_with("", "/openapi.json").await.ok(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    assert!(document["components"]["securitySchemes"]["bearer"].is_object());
}

#[tokio::test]
async fn every_operation_of_the_document_is_closed_to_strangers_and_says_so() {
    let scene = Scene::new().await;
    let document = scene.get_with("", "/openapi.json").await.ok(200).json();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = filled(path);
            let method: HttpMethod = method.to_uppercase().parse().unwrap();
            let request = request(method.clone(), &path, "").body(Body::empty()).unwrap();
            let answer = scene.send(request).await;
            assert_eq!(answer.status.as_u16(), 401, "{method} {path}: {}", answer.text());
            answer.refused(401, "unauthenticated", "");
            described(&path, operation);
            operations += 1;
        }
    }
    assert!(operations >= 6, "{operations}");
}

#[tokio::test]
async fn every_parameter_of_the_document_is_one_that_its_operation_takes() {
    let scene = Scene::new().await;
    let document = scene.get_with("", "/openapi.json").await.ok(200).json();
    let mut taken = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let path = format!("{}?{}=x", filled(path), parameter["name"].as_str().unwrap());
                let method: HttpMethod = method.to_uppercase().parse().unwrap();
                let answer =
                    scene.send(request(method, &path, &scene.key).body(Body::empty()).unwrap()).await;
                assert!(!answer.text().contains("is none of this operation"), "{path}: {}", answer.text());
                taken += 1;
            }
        }
    }
    assert!(taken > 50, "{taken}");
    scene.get("/orders?x=x").await.refused(400, "malformed", "is none of this operation");
}

#[tokio::test]
async fn nothing_that_is_sent_may_be_null() {
    let scene = Scene::new().await;
    let document = scene.get_with("", "/openapi.json").await.ok(200).text();
    assert!(!document.contains("\"null\""), "{document}");
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let scene = Scene::new().await;
    let document = scene.get_with("", "/openapi.json").await.ok(200).json();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// Any value will do for a stranger.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn described(path: &str, operation: &Value) {
    assert!(operation["operationId"].is_string(), "{path}: {operation}");
    assert!(operation["summary"].is_string(), "{path}: {operation}");
    let responses = operation["responses"].as_object().unwrap();
    for status in ["400", "401", "403", "404", "429", "500", "503"] {
        let content = &responses[status]["content"]["application/problem+json"];
        assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{path}: {status}");
    }
    if operation.get("requestBody").is_some() {
        for status in ["408", "413", "415", "422"] {
            assert!(responses.contains_key(status), "{path}: {status}");
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
