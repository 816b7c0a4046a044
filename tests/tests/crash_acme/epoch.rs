//! When the server runs and when it does not: which failures of a request are its death, and which are faults.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use instant_acme::Error;
use tokio::sync::watch;
use tokio::time::timeout;

/// No request takes longer, also where the machine is busy.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// After which the server may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A client is about to ask, or was answered.
    Message,
    /// The server asks for the answer to a challenge.
    Validation,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// How often it was started.
    number: usize,
    runs: bool,
    /// No more kills, and so no more orders.
    is_last: bool,
}

/// The side of whoever kills.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<State>);

impl Gate {
    pub(crate) fn open() -> (Self, Watching) {
        let (sender, receiver) = watch::channel(State { number: 0, runs: true, is_last: false });
        (Self(sender), Watching(receiver))
    }

    /// To be called before the kill: whoever fails from here on is not at fault.
    pub(crate) fn shut(&self) {
        self.0.send_modify(|state| state.runs = false);
    }

    pub(crate) fn open_again(&self) {
        self.0.send_modify(|state| {
            state.number += 1;
            state.runs = true;
        });
    }

    /// Says that the start that runs now was the last.
    pub(crate) fn close(&self) {
        self.0.send_modify(|state| state.is_last = true);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Watching(watch::Receiver<State>);

/// The side of one client.
#[derive(Debug)]
pub(crate) struct Epoch {
    state: watch::Receiver<State>,
    events: mpsc::Sender<Event>,
}

impl Epoch {
    pub(crate) fn new(watching: Watching, events: mpsc::Sender<Event>) -> Self {
        Self { state: watching.0, events }
    }

    /// For others who see what the server does.
    pub(crate) fn events(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }

    /// How often the server was started so far.
    pub(crate) fn number(&self) -> usize {
        self.state.borrow().number
    }

    pub(crate) fn is_last(&self) -> bool {
        self.state.borrow().is_last
    }

    /// Sends a request while the server runs. None: it was killed meanwhile, and runs again. Every problem document is an
    /// error: being killed is no reason to refuse anybody anything, and `badNonce` is tried again by the library.
    pub(crate) async fn attempt<T>(
        &mut self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>> {
        let before = self.state.wait_for(|state| state.runs).await?.number;
        // Whoever kills may no longer be listening.
        let _ = self.events.send(Event::Message);
        let answer = timeout(REQUEST_LIMIT, request).await.context("no answer")?;
        match answer {
            Ok(answer) => {
                let _ = self.events.send(Event::Message);
                Ok(Some(answer))
            }
            Err(Error::Api(problem)) => bail!("refused: {problem}"),
            Err(error) => {
                let now = *self.state.borrow();
                if now.runs && now.number == before {
                    bail!("not served, and not killed: {error:?}");
                }
                self.state.wait_for(|state| state.runs).await?;
                Ok(None)
            }
        }
    }
}
