//! A watch that notes when it saw what.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Kubectl, condition};
use serde_json::Value;

/// A running `kubectl get --watch`. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Watch {
    process: Child,
    events: Receiver<(Instant, Value)>,
}

impl Watch {
    /// Of all objects of a kind that a selector chooses: `--selector=...` or `--field-selector=...`.
    pub(super) fn start(kubectl: &Kubectl, kind: &str, selector: &str) -> Result<Self> {
        let arguments = ["get", kind, selector, "--watch", "--output-watch-events", "--output=json"];
        let mut command = kubectl.command(&arguments)?;
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run kubectl")?;
        let pipe = process.stdout.take().context("no standard output")?;
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            let values = serde_json::Deserializer::from_reader(BufReader::new(pipe)).into_iter::<Value>();
            for mut event in values.map_while(Result::ok) {
                let object = event.get_mut("object").map(Value::take).unwrap_or_default();
                if sender.send((Instant::now(), object)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, events })
    }

    /// Shows `see` every object that comes until it answers true, and answers when that was.
    pub(super) fn until(
        &self,
        what: &str,
        limit: Duration,
        mut see: impl FnMut(Instant, &Value) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.events.recv_timeout(left);
            let (when, object) = next.with_context(|| format!("waited {limit:?} in vain for {what}"))?;
            if see(when, &object) {
                return Ok(when);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `/metadata/name` and the like; empty where it is not there.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The generation of an object of ours.
pub(super) fn generation(object: &Value) -> Result<i64> {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let generation = generation.context("no generation")?;
    ensure!(generation > 0, "generation {generation}");
    Ok(generation)
}

/// Whether a condition is true, and says so of this generation or a later one.
pub(super) fn holds_of(object: &Value, kind: &str, generation: i64) -> bool {
    condition(object, kind).is_some_and(|condition| {
        let observed = condition.get("observedGeneration").and_then(Value::as_i64);
        text(condition, "/status") == "True" && observed.is_some_and(|observed| observed >= generation)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_condition_says_of_an_earlier_generation_does_not_count() {
        let object = json!({"metadata": {"generation": 4}, "status": {"conditions": [
            {"type": "Programmed", "status": "True", "observedGeneration": 3}]}});
        assert!(holds_of(&object, "Programmed", 3));
        assert!(!holds_of(&object, "Programmed", 4));
        assert!(!holds_of(&object, "Ready", 3));
    }
}
