use http::{Request, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

#[derive(Debug)]
struct Fixed(Vec<Check>);

impl Readiness for Fixed {
    fn report(&self) -> ReadinessReport {
        ReadinessReport::new(self.0.clone())
    }
}

fn check(name: &'static str, ok: bool, detail: &str) -> Check {
    Check { name, ok, detail: detail.to_owned() }
}

async fn fetch(checks: Vec<Check>, path: &str) -> (u16, String, String) {
    let router = private_router(Arc::new(Metrics::new()), Arc::new(Fixed(checks)));
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, media_type, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_which_check_failed_and_is_alive() {
    let checks = vec![check("store", true, "sqlite"), check("configuration", false, "nothing loaded yet")];

    let (status, _, body) = fetch(checks.clone(), "/readyz").await;

    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"ready": false, "checks": [
            {"name": "store", "ok": true, "detail": "sqlite"},
            {"name": "configuration", "ok": false, "detail": "nothing loaded yet"},
        ]})
    );
    assert_eq!(fetch(checks, "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_server_whose_checks_pass_is_ready() {
    let (status, _, body) = fetch(vec![check("store", true, "")], "/readyz").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"ready":true"#), "{body}");
}

#[tokio::test]
async fn metrics_are_given_as_openmetrics() {
    let (status, media_type, body) = fetch(Vec::new(), "/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(media_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(body.ends_with("# EOF\n"), "{body}");
}
