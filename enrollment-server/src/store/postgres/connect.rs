//! How a connection is opened.

use std::{collections::HashMap, future, io, path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, Notification, Socket, Statement,
    config::{SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    OpenError, PostgresOptions,
    columns::Columns,
    failure::{Failure, text},
    trail::Slot,
    url::{Security, TlsFiles},
};

/// How long a network that swallows packets is believed in.
const NETWORK_PATIENCE: Duration = Duration::from_secs(20);

/// What is needed to open one more connection.
pub(super) struct Connector {
    config: Config,
    /// None: plain, to this machine or where the URL says so.
    tls: Option<MakeRustlsConnect>,
}

/// One session, and what is remembered with it.
pub(super) struct Connection {
    pub(super) client: Client,
    /// The server's process, by which an end of the session is seen.
    pub(super) process: i32,
    /// The audit stream that this session appends to, once it has committed.
    pub(super) slot: Option<Slot>,
    /// Something was begun and not ended: the session must not be used again.
    pub(super) busy: bool,
    statements: HashMap<&'static str, Statement>,
    /// Moves bytes until the session ends.
    driver: JoinHandle<()>,
}

impl Connector {
    /// Reads the files that TLS needs.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, OpenError> {
        let mut config = Config::clone(&options.url.config);
        let milliseconds = |duration: Duration| duration.as_millis();
        // What the URL says comes last, and so counts.
        config.options(format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} {}",
            milliseconds(options.statement_timeout),
            milliseconds(options.acquire_timeout),
            milliseconds(options.statement_timeout),
            options.url.config.get_options().unwrap_or_default(),
        ));
        if config.get_application_name().is_none() {
            config.application_name("chancery-server");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.acquire_timeout);
        }
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.keepalives_idle(NETWORK_PATIENCE).keepalives_interval(NETWORK_PATIENCE / 4);
        config.keepalives_retries(4).tcp_user_timeout(NETWORK_PATIENCE);
        let tls = match &options.url.security {
            Security::Plain => None,
            Security::Tls(files) => Some(MakeRustlsConnect::new(tls_config(files)?)),
        };
        debug_assert_eq!(tls.is_some(), config.get_ssl_mode() == SslMode::Require);
        Ok(Self { config, tls })
    }

    /// Where it fails, the database is out of reach: whoever tries again at once only adds to its load.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let (client, driver) = self.client(None).await?;
        // A session that answers before it is on the disk would break what a commit promises.
        let row = client
            .query_one(
                "SELECT pg_backend_pid(), CASE WHEN current_setting('synchronous_commit') = 'off' \
                 THEN set_config('synchronous_commit', 'on', false) END",
                &[],
            )
            .await?;
        let process = Columns::new(&row).value()?;
        Ok(Connection { client, process, slot: None, busy: false, statements: HashMap::new(), driver })
    }

    /// A session that hears of this channel; the receiver ends with the session.
    pub(super) async fn listen(
        &self,
        channel: &str,
    ) -> Result<(Client, mpsc::UnboundedReceiver<Notification>), Failure> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (client, _) = self.client(Some(sender)).await?;
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok((client, receiver))
    }

    async fn client(
        &self,
        notifications: Option<mpsc::UnboundedSender<Notification>>,
    ) -> Result<(Client, JoinHandle<()>), Failure> {
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(unreachable)?;
                Ok((client, tokio::spawn(drive(connection, notifications))))
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(unreachable)?;
                Ok((client, tokio::spawn(drive(connection, notifications))))
            }
        }
    }
}

impl Connection {
    /// The prepared statement; prepared by the first who asks.
    pub(super) async fn statement(&mut self, sql: &'static str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Prepares all of these that are not, at once.
    pub(super) async fn prepare(
        &mut self,
        statements: impl Iterator<Item = &'static str>,
    ) -> Result<(), Failure> {
        let mut missing: Vec<_> = statements.filter(|sql| !self.statements.contains_key(sql)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let prepared = missing.iter().map(|sql| self.client.prepare(sql));
        let prepared = futures::future::try_join_all(prepared).await?;
        self.statements.extend(missing.into_iter().zip(prepared));
        Ok(())
    }

    /// Says goodbye, so that the server gives up what the session held before anybody asks for it again.
    pub(super) async fn close(self) {
        drop(self.client);
        if let Err(error) = self.driver.await {
            tracing::warn!(%error, "the task of a session failed");
        }
    }

    /// Where [`Connection::prepare`] went through.
    pub(super) fn prepared(&self, sql: &'static str) -> Option<&Statement> {
        self.statements.get(sql)
    }
}

fn unreachable(error: tokio_postgres::Error) -> Failure {
    Failure::Unavailable(text(&error))
}

/// Moves bytes until the session ends.
async fn drive<T>(
    mut connection: tokio_postgres::Connection<Socket, T>,
    notifications: Option<mpsc::UnboundedSender<Notification>>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(sender) = &notifications {
                    // Whoever listened may have gone.
                    drop(sender.send(notification));
                }
            }
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!(message = notice.message(), "the database remarks");
            }
            // The driver's own enum is open.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to the database ended");
                return;
            }
            None => return,
        }
    }
}

fn tls_config(files: &TlsFiles) -> Result<ClientConfig, OpenError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.roots)? {
        roots.add(certificate).map_err(|error| OpenError::tls(&files.roots, error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::tls(&files.roots, error))?
        .with_root_certificates(roots);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let private_key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| OpenError::tls(key, error))?;
            builder
                .with_client_auth_cert(certificates(chain)?, private_key)
                .map_err(|error| OpenError::tls(chain, error))?
        }
    };
    // What `sslnegotiation=direct` asks for, and older servers ignore.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| OpenError::tls(path, error))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| OpenError::tls(path, error))?;
    if certificates.is_empty() {
        return Err(OpenError::tls(path, io::Error::other("the file holds no certificate")));
    }
    Ok(certificates)
}
