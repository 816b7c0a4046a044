//! Devices that enrol one after the other while something happens, and what became of each.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::est::{Client, Received, Target, csr};
use chancery_tests::server::wait_until;
use serde_json::Value;

/// How many enrol at once.
const CLIENTS: usize = 4;

/// What a device waits before the next try after it got no answer.
const PAUSE: Duration = Duration::from_millis(100);

/// How long so many answers may take that there is a load to speak of.
const FLOWS: Duration = Duration::from_secs(60);

/// Devices that enrol until [`Load::stop`].
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    attempted: AtomicUsize,
    received: Mutex<Vec<Received>>,
    failures: Mutex<Vec<String>>,
}

/// What became of the requests.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) attempted: usize,
    pub(crate) answered: Vec<Received>,
    /// Why a request got no certificate.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Starts, and returns when certificates come.
    pub(crate) fn start(target: &Target) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let clients = (0..CLIENTS)
            .map(|client| {
                let (shared, target) = (Arc::clone(&shared), target.clone());
                thread::spawn(move || shared.enrol(&target, client))
            })
            .collect();
        let load = Self { shared, clients };
        load.wait_for_more(2 * CLIENTS)?;
        Ok(load)
    }

    /// Returns when so many more were answered: whoever asks now is served.
    pub(crate) fn wait_for_more(&self, more: usize) -> Result<()> {
        let wanted = self.shared.answered() + more;
        wait_until("devices are served", FLOWS, || Ok(self.shared.answered() >= wanted))
            .with_context(|| format!("{:?}", lock(&self.shared.failures).last()))
    }

    /// Lets the requests that are under way end.
    pub(crate) fn stop(self) -> Result<Outcome> {
        self.shared.over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        }
        Ok(Outcome {
            attempted: self.shared.attempted.load(Ordering::SeqCst),
            answered: std::mem::take(&mut lock(&self.shared.received)),
            failures: std::mem::take(&mut lock(&self.shared.failures)),
        })
    }
}

impl Shared {
    fn answered(&self) -> usize {
        lock(&self.received).len()
    }

    /// Each device has a connection of its own, as devices do.
    fn enrol(&self, target: &Target, client: usize) {
        for device in 0u32.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            self.attempted.fetch_add(1, Ordering::SeqCst);
            let enrolled = csr(&format!("device-{client}-{device}"), &[])
                .and_then(|request| Client::new(target.clone()).enroll(&request));
            match enrolled {
                Ok(certificate) => lock(&self.received).push(certificate),
                Err(error) => {
                    lock(&self.failures).push(format!("{error:#}"));
                    thread::sleep(PAUSE);
                }
            }
        }
    }
}

impl Outcome {
    /// Every certificate that a device got is in the inventory (as `certificates list --format json` prints it), each once.
    pub(crate) fn check(&self, inventory: &str) -> Result<()> {
        let rows: Vec<Value> = serde_json::from_str(inventory).context("the inventory is not JSON")?;
        let mut stored = HashSet::new();
        for row in &rows {
            let serial =
                row["serial"].as_str().context("a row without a serial number")?.to_ascii_uppercase();
            ensure!(stored.insert(serial.clone()), "the serial number {serial} is stored twice");
        }
        let mut answered = HashSet::new();
        for certificate in &self.answered {
            let serial = certificate.serial.to_string().to_ascii_uppercase();
            ensure!(answered.insert(serial.clone()), "the serial number {serial} was answered twice");
            ensure!(stored.contains(&serial), "a device holds {serial}, the server does not know it");
        }
        ensure!(self.attempted == self.answered.len() + self.failures.len(), "a request is missing: {self}");
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, failures) = (self.answered.len(), self.failures.len());
        write!(
            f,
            "attempted {}, answered {answered}, unanswered {failures}, lost 0, duplicated 0",
            self.attempted
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
