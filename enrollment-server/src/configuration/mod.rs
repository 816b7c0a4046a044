//! Puts a compiled configuration in force. Where it comes from differs (a folder, or Secrets of a cluster), what is done with
//! it does not:
//!
//! ```text
//! Compiled + keys ─► prepare (office.rs, tls.rs) ─► recorded by the caller ─► reconcile (credentials.rs) ─► install
//!                    everything that can fail                                 rows                       nothing fails
//! ```

pub(crate) mod credentials;
mod office;
mod tls;

use std::{fmt, sync::Arc};

use issuance::{Error, identity::ResourceName};
use resolve::Compiled;

use self::{credentials::Reconciled, tls::PreparedTls};
pub(crate) use self::{
    credentials::{Declared, Values},
    office::{Material, limits, runtime_authority},
    tls::DeviceTls,
};
use crate::{
    jobs::{ensure_crl_jobs, ensure_notice_jobs},
    listeners::{Limits, ProxyProtocol},
    serving::{App, Serving},
};

/// One per process.
#[derive(Debug)]
pub(crate) struct Installer {
    app: Arc<App>,
    tls: Arc<DeviceTls>,
    reconciled: Reconciled,
}

/// A configuration that is ready to be put in force.
#[derive(Debug)]
pub(crate) struct Prepared {
    serving: Serving,
    tls: PreparedTls,
    limits: Limits,
    proxy: Option<Arc<ProxyProtocol>>,
}

/// A part of a configuration that cannot be served. Whatever refers to it cannot either, and is reported too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailedKind,
    pub(crate) name: ResourceName,
    pub(crate) reason: String,
}

/// What kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedKind {
    Authority,
    Profile,
    Method,
    Credential,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FailedKind::Authority => "authority",
            FailedKind::Profile => "profile",
            FailedKind::Method => "method",
            FailedKind::Credential => "credential",
        };
        write!(f, "{kind} {}: {}", self.name, self.reason)
    }
}

impl Installer {
    pub(crate) fn new(app: Arc<App>, tls: Arc<DeviceTls>) -> Self {
        Self { app, tls, reconciled: Reconciled::default() }
    }

    /// Makes everything that serving this configuration takes; nothing is in force yet.
    ///
    /// # Errors
    /// Where the server's own certificate cannot be had.
    pub(crate) async fn prepare(
        &self,
        compiled: &Compiled,
        material: &Material<'_>,
        generation: u64,
    ) -> anyhow::Result<(Prepared, Vec<Failure>)> {
        let (serving, failures) = office::serving(compiled, material, generation);
        let tls = self.tls.prepare(&compiled.server, &serving).await?;
        let limits = limits(&compiled.server.limits);
        let proxy = compiled.server.proxy_protocol.as_ref();
        let proxy = proxy.map(|proxy| Arc::new(ProxyProtocol { trusted: proxy.trusted.clone() }));
        Ok((Prepared { serving, tls, limits, proxy }, failures))
    }

    /// Makes the rows of declared credentials agree with the configuration.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Conflict`] where others change the same rows again and again, or a newer
    /// configuration than this has been recorded.
    pub(crate) async fn reconcile(
        &mut self,
        values: &dyn Values,
        declared: &Declared<'_>,
    ) -> Result<Vec<Failure>, Error> {
        self.reconciled.reconcile(&self.app.engine, &self.app.sealing, values, declared).await
    }

    /// Puts it in force: requests that begin from now on see it.
    pub(crate) async fn install(&self, prepared: Prepared) {
        self.app.limits.store(Arc::new(prepared.limits));
        self.app.proxy.store(prepared.proxy);
        self.tls.show(prepared.tls);
        self.app.serve(prepared.serving);
        if let Err(error) = ensure_crl_jobs(&self.app).await {
            tracing::warn!(%error, "the jobs of revocation lists could not be scheduled; trying again with the next configuration");
        }
        if let Err(error) = ensure_notice_jobs(&self.app).await {
            tracing::warn!(%error, "the jobs of expiry notices could not be scheduled; trying again with the next configuration");
        }
    }
}
