//! `chancery-server standalone`: the server on one machine.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::LogFormat;
use crate::standalone;

#[derive(Debug, Args)]
pub(super) struct StandaloneArgs {
    /// The folder of YAML that says what to serve; changes are taken over while the server runs.
    #[arg(long, env = "CHANCERY_RESOURCES", value_name = "DIR")]
    resources: PathBuf,
    /// The folder where keys, rows and credentials are kept; made if it is not there.
    #[arg(long, env = "CHANCERY_DATA", value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    database: super::DatabaseArgs,
    /// Where devices enrol, by TLS.
    #[arg(long, env = "CHANCERY_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where everybody fetches revocation lists and authority certificates, plain.
    #[arg(long, env = "CHANCERY_PUBLIC_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8080")]
    public_listen: SocketAddr,
    /// Where health and metrics are, plain; keep it private.
    #[arg(long, env = "CHANCERY_PRIVATE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8081")]
    private_listen: SocketAddr,
    /// A file with the sealing keys, base64, the newest first. Without one (and without CHANCERY_SEALING_KEY) a key is
    /// made in the data folder.
    #[arg(long, env = "CHANCERY_SEALING_KEY_FILE", value_name = "FILE")]
    sealing_key_file: Option<PathBuf>,
    #[arg(long, env = "CHANCERY_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

impl StandaloneArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.log_format.init()?;
        let options = standalone::Options {
            resources: self.resources,
            data: self.data,
            database: self.database.url()?,
            device: self.listen,
            public: self.public_listen,
            private: self.private_listen,
            sealing_key_file: self.sealing_key_file,
        };
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(standalone::run(options))
    }
}
