use std::{
    ffi::OsStr,
    io::Write,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use axum::{Router, body::Body, routing::get};
use tower::ServiceExt;

use super::*;

/// Keeps what is logged.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn enroll() -> Response {
    Span::current().record("serial", "0a1b");
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Outcome::Issued);
    response
}

async fn broken() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

fn router(metrics: &Metrics) -> Router {
    let traced = |operation| TraceRequests::new(metrics, Protocol::Est, operation);
    Router::new()
        .route("/est/{label}/enroll", get(enroll).layer(traced(Operation::SimpleEnroll)))
        .route("/broken", get(broken).layer(traced(Operation::CaCerts)))
        .route("/never", get(std::future::pending::<()>).layer(traced(Operation::CsrAttrs)))
}

fn request(uri: &str) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.parse().unwrap();
    request.headers_mut().insert("authorization", "Basic c2VjcmV0".parse().unwrap());
    request.extensions_mut().insert(Peer::plain("[::ffff:192.0.2.7]:4711".parse().unwrap()));
    request
}

async fn logged(uri: &str, filter: &str) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let filter = filter_from(Some(OsStr::new(filter))).unwrap();
    let dispatch = dispatch(LogFormat::Json, filter, false, move || writer.clone());
    let _default = tracing::dispatcher::set_default(&dispatch);
    router(&Metrics::new()).oneshot(request(uri)).await.unwrap();
    lines.text()
}

#[tokio::test]
async fn a_request_is_one_line_with_the_fields_of_its_span() {
    let text = logged("/est/acme.devices/enroll?password=hunter2", "info").await;

    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["status"], 200);
    assert!(line["duration_us"].is_u64());
    let span = &line["span"];
    assert_eq!(span["protocol"], "est");
    assert_eq!(span["operation"], "simple_enroll");
    assert_eq!(span["method"], "GET");
    assert_eq!(span["path"], "/est/{label}/enroll");
    assert_eq!(span["peer"], "192.0.2.7");
    assert_eq!(span["serial"], "0a1b");
    assert_eq!(span["outcome"], "issued");
    assert_eq!(span.get("tls"), None);
}

#[tokio::test]
async fn neither_query_nor_header_is_logged_even_at_trace() {
    let text = logged("/est/acme.devices/enroll?password=hunter2", "trace").await;
    assert!(text.contains("simple_enroll"));
    assert!(!text.contains("hunter2") && !text.contains("c2VjcmV0"), "{text}");
}

#[tokio::test]
async fn an_error_of_the_server_is_a_warning() {
    let line: serde_json::Value = serde_json::from_str(&logged("/broken", "info").await).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["status"], 500);
    assert_eq!(line["span"]["outcome"], "failed");
}

#[tokio::test]
async fn nothing_is_logged_when_the_level_is_off() {
    assert_eq!(logged("/est/acme.devices/enroll", "error").await, "");
}

#[tokio::test]
async fn a_request_that_the_peer_abandons_is_counted() {
    let metrics = Metrics::new();
    let answer = router(&metrics).oneshot(request("/never"));
    assert!(futures::poll!(std::pin::pin!(answer)).is_pending());
    let series = r#"operation="csr_attrs",outcome="abandoned"} 1"#;
    assert!(metrics.encode().unwrap().contains(series));
}

/// Runs itself once more with nobody at the other end of stderr: only a process of its own has a stderr to lose, the
/// test harness catches what is written to this one.
#[test]
fn a_closed_stderr_does_not_end_the_process() {
    const CHILD: &str = "CHANCERY_TEST_CLOSED_STDERR";
    const NAME: &str = "telemetry::tests::a_closed_stderr_does_not_end_the_process";
    if std::env::var_os(CHILD).is_some() {
        io::stdin().read_line(&mut String::new()).unwrap();
        init(LogFormat::Text).unwrap();
        info!("nobody reads this");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(b"stderr is closed\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_filter_that_does_not_parse_is_refused() {
    assert!(matches!(filter_from(Some(OsStr::new("a=b=c"))), Err(TelemetryError::Filter(_))));
}
