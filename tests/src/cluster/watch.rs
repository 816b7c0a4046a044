//! Waiting for an object to become as one wants it, by a watch.

use std::io::{BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Kubectl, conditions};

/// Between two tries where the API server cannot be reached, which some tests bring about.
const PAUSE: Duration = Duration::from_millis(200);

/// A running `kubectl get --watch`. Dropping it ends it.
struct Watch {
    process: Child,
    events: Receiver<Value>,
}

/// See [`Kubectl::wait_until`].
pub(super) fn wait_until(
    kubectl: &Kubectl,
    object: &str,
    what: &str,
    limit: Duration,
    mut holds: impl FnMut(&Value) -> bool,
) -> Result<Value> {
    let (kind, name) = object.split_once('/').with_context(|| format!("{object} is not kind/name"))?;
    let deadline = Instant::now() + limit;
    let mut last = None;
    let mut complaint = String::new();
    while Instant::now() < deadline {
        let mut watch = Watch::start(kubectl, kind, name)?;
        loop {
            match watch.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    let deleted = event.get("type").is_some_and(|kind| kind == "DELETED");
                    last = event.get("object").filter(|_| !deleted).cloned();
                    if let Some(found) = last.take_if(|found| holds(found)) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    complaint = watch.complaint();
                    thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
                    break;
                }
            }
        }
    }
    let Some(last) = last else {
        bail!("waited {limit:?} in vain for {object}, {what}: it is not there. {complaint}")
    };
    let conditions = conditions::lines(&last).join("\n");
    bail!("waited {limit:?} in vain for {object}, {what}. It is:\n{last:#}\n{conditions}\n{complaint}")
}

impl Watch {
    fn start(kubectl: &Kubectl, kind: &str, name: &str) -> Result<Self> {
        // By a selector, since an object that does not exist yet can be watched for but not got.
        let selector = format!("--field-selector=metadata.name={name}");
        let arguments = ["get", kind, &selector, "--watch", "--output-watch-events", "--output=json"];
        let mut command = kubectl.command(&arguments)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot run kubectl")?;
        let pipe = process.stdout.take().context("no standard output")?;
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            let values = serde_json::Deserializer::from_reader(BufReader::new(pipe)).into_iter();
            for event in values.map_while(Result::ok) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, events })
    }

    /// What kubectl said as it ended.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(pipe) = &mut self.process.stderr {
            // What cannot be read is not missed: this only makes a message better.
            let _ = pipe.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
