//! What there is to see when a test has failed.

use serde_json::Value;

use super::{Kubectl, conditions};
use crate::program;

/// How many lines of a log tell the end of the story.
const LOG_LINES: &str = "--tail=100";

/// Prints pods, events, conditions of our kinds and logs: of a namespace, and of Chancery's own.
///
/// By `eprintln`, which the test runner shows of a test that failed. What cannot be had is left out: this must not hide
/// why the test failed.
#[allow(clippy::print_stderr, reason = "see above")]
pub fn dump(kubectl: &Kubectl, namespace: &str) {
    eprintln!("--- namespace {namespace}");
    show(kubectl, &["get", "pods,persistentvolumeclaims,services,certificaterequests", "--output=wide"]);
    show(kubectl, &["get", "events", "--sort-by=.metadata.creationTimestamp"]);
    show_conditions(kubectl);
    for (pod, ready) in pods(kubectl) {
        eprintln!("--- log of {pod}{}", if ready { "" } else { ", which is not ready" });
        show(kubectl, &["logs", &pod, "--all-containers", LOG_LINES]);
        if !ready {
            show(kubectl, &["logs", &pod, "--all-containers", "--previous", LOG_LINES]);
        }
    }
    eprintln!("--- the operator");
    let operator = kubectl.in_namespace("chancery-system");
    show(&operator, &["get", "pods", "--output=wide"]);
    show(&operator, &["logs", "--selector=app.kubernetes.io/name=chancery", "--prefix", LOG_LINES]);
    eprintln!("---");
}

#[allow(clippy::print_stderr, reason = "see dump")]
fn show(kubectl: &Kubectl, arguments: &[&str]) {
    if let Ok(answer) = kubectl.run(arguments, None) {
        eprint!("$ kubectl {}\n{}", arguments.join(" "), program::printed(&answer));
    }
}

#[allow(clippy::print_stderr, reason = "see dump")]
fn show_conditions(kubectl: &Kubectl) {
    // The category that all our kinds are in.
    for object in kubectl.list("chancery", "").unwrap_or_default() {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        eprintln!("{kind} {name}\n    {}", conditions::lines(&object).join("\n    "));
    }
}

/// Names as `pod/x`, and whether they are ready.
fn pods(kubectl: &Kubectl) -> Vec<(String, bool)> {
    let pods = kubectl.list("pods", "").unwrap_or_default();
    let pod = |pod: &Value| {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        (format!("pod/{name}"), conditions::condition_is(pod, "Ready", "True", None))
    };
    pods.iter().map(pod).collect()
}
