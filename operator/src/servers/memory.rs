//! Servers in memory, for tests: they answer what a test tells them to.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ::client::internal::{
    IssueOutcome, IssueRequest, Loaded, Renewals, RenewalsRequest, RevokeOutcome, RevokeRequest, Usage,
};
use async_trait::async_trait;
use issuance::identity::ResourceName;

use super::{CallError, Replica, ServerApi};

type Issues = Box<dyn Fn(&ResourceName, &IssueRequest) -> Result<IssueOutcome, CallError> + Send>;
type Renews = Box<dyn FnMut(&ResourceName, &RenewalsRequest) -> Result<Renewals, CallError> + Send>;
type Revokes = Box<dyn Fn(&ResourceName, &RevokeRequest) -> Result<RevokeOutcome, CallError> + Send>;

/// Answers by pod; a pod that nothing was said about cannot be reached.
#[derive(Default)]
pub(crate) struct MemoryServers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: BTreeMap<String, Loaded>,
    usage: BTreeMap<String, Usage>,
    issues: Option<Issues>,
    revokes: Option<Revokes>,
    renews: Option<Renews>,
    issue_requests: Vec<(ResourceName, IssueRequest)>,
    revoke_requests: Vec<(ResourceName, RevokeRequest)>,
}

impl fmt::Debug for MemoryServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryServers")
    }
}

impl MemoryServers {
    pub(crate) fn serves(&self, pod: &str, loaded: Loaded) {
        self.lock().loaded.insert(pod.to_owned(), loaded);
    }

    pub(crate) fn has_used(&self, pod: &str, usage: Usage) {
        self.lock().usage.insert(pod.to_owned(), usage);
    }

    pub(crate) fn fails(&self, pod: &str) {
        self.lock().loaded.remove(pod);
    }

    pub(crate) fn issues_by(
        &self,
        answer: impl Fn(&ResourceName, &IssueRequest) -> Result<IssueOutcome, CallError> + Send + 'static,
    ) {
        self.lock().issues = Some(Box::new(answer));
    }

    pub(crate) fn revokes_by(
        &self,
        answer: impl Fn(&ResourceName, &RevokeRequest) -> Result<RevokeOutcome, CallError> + Send + 'static,
    ) {
        self.lock().revokes = Some(Box::new(answer));
    }

    pub(crate) fn renews_by(
        &self,
        answer: impl FnMut(&ResourceName, &RenewalsRequest) -> Result<Renewals, CallError> + Send + 'static,
    ) {
        self.lock().renews = Some(Box::new(answer));
    }

    pub(crate) fn issue_requests(&self) -> Vec<(ResourceName, IssueRequest)> {
        self.lock().issue_requests.clone()
    }

    pub(crate) fn revoke_requests(&self) -> Vec<(ResourceName, RevokeRequest)> {
        self.lock().revoke_requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(replica: &Replica) -> CallError {
    CallError::Unreachable { replica: replica.pod.clone(), detail: "connection refused".to_owned() }
}

#[async_trait]
impl ServerApi for MemoryServers {
    async fn loaded(&self, replica: &Replica) -> Result<Loaded, CallError> {
        self.lock().loaded.get(&replica.pod).cloned().ok_or_else(|| unreachable(replica))
    }

    async fn usage(&self, replica: &Replica) -> Result<Usage, CallError> {
        self.lock().usage.get(&replica.pod).cloned().ok_or_else(|| unreachable(replica))
    }

    async fn issue(&self, server: &ResourceName, request: &IssueRequest) -> Result<IssueOutcome, CallError> {
        let mut state = self.lock();
        state.issue_requests.push((server.clone(), request.clone()));
        match &state.issues {
            Some(answer) => answer(server, request),
            None => Err(CallError::NoReplica(server.clone())),
        }
    }

    async fn revoke(
        &self,
        server: &ResourceName,
        request: &RevokeRequest,
    ) -> Result<RevokeOutcome, CallError> {
        let mut state = self.lock();
        state.revoke_requests.push((server.clone(), request.clone()));
        match &state.revokes {
            Some(answer) => answer(server, request),
            None => Err(CallError::NoReplica(server.clone())),
        }
    }

    async fn renewals(
        &self,
        server: &ResourceName,
        request: &RenewalsRequest,
    ) -> Result<Renewals, CallError> {
        match &mut self.lock().renews {
            Some(answer) => answer(server, request),
            None => Err(CallError::NoReplica(server.clone())),
        }
    }
}
