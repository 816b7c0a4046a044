//! `chancery-server serve`: a replica of a server in a cluster.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use issuance::identity::ResourceName;

use super::LogFormat;
use crate::cluster::{self, ManifestKey};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The EnrollmentServer that this is a replica of.
    #[arg(long, env = "CHANCERY_SERVER", value_name = "NAME")]
    server: String,
    /// The namespace of the EnrollmentServer, which is that of this pod.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: String,
    /// Whose manifests are believed: the operator's public key, base64 of its SubjectPublicKeyInfo.
    #[arg(long, env = "CHANCERY_MANIFEST_KEY", value_name = "BASE64")]
    manifest_key: ManifestKey,
    /// The folder where rows are kept, unless a database is given.
    #[arg(long, env = "CHANCERY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    database: super::DatabaseArgs,
    /// The file with the sealing keys, base64, the newest first.
    #[arg(long, env = "CHANCERY_SEALING_KEY_FILE", value_name = "FILE")]
    sealing_key_file: PathBuf,
    /// Where devices enrol, by TLS.
    #[arg(long, env = "CHANCERY_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where everybody fetches revocation lists and authority certificates, plain.
    #[arg(long, env = "CHANCERY_PUBLIC_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8080")]
    public_listen: SocketAddr,
    /// Where health and metrics are, plain.
    #[arg(long, env = "CHANCERY_PRIVATE_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8081")]
    private_listen: SocketAddr,
    /// Where the operator asks, by mutual TLS.
    #[arg(long, env = "CHANCERY_INTERNAL_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8444")]
    internal_listen: SocketAddr,
    /// When asked to stop, how many seconds new connections are still taken while readiness says no: until no Service
    /// sends any here.
    #[arg(long, env = "CHANCERY_DRAIN_DELAY", value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u64,
    #[arg(long, env = "CHANCERY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

impl ServeArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.log_format.init()?;
        let options = cluster::Options {
            server: ResourceName::new(self.namespace, self.server),
            manifest_key: self.manifest_key,
            data: self.data,
            database: self.database.url()?,
            sealing_key_file: self.sealing_key_file,
            device: self.listen,
            public: self.public_listen,
            private: self.private_listen,
            internal: self.internal_listen,
            drain_delay: Duration::from_secs(self.drain_delay),
        };
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cluster::run(options))
    }
}
