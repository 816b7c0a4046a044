//! The command line. One file per subcommand; flags say where the process lives, all policy is in the resources.

mod accounts;
mod audit;
mod certificates;
mod credentials;
mod offline;
pub(crate) mod output;
mod requests;
mod sealing;
mod serve;
mod standalone;
mod status;
mod times;

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{store::DatabaseUrl, telemetry};

/// Chancery's enrollment server: certificates for devices and workloads.
#[derive(Debug, Parser)]
#[command(name = "chancery-server", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves what a folder of YAML says, without a cluster.
    Standalone(standalone::StandaloneArgs),
    /// Serves what the operator of a cluster says; the operator starts it.
    Serve(serve::ServeArgs),
    /// Says how a standalone server on this machine is doing.
    Status(status::StatusArgs),
    /// Pending requests: lists them, and decides on them.
    #[command(subcommand)]
    Requests(requests::RequestsCommand),
    /// Issued certificates: lists them, shows one, revokes one.
    #[command(subcommand)]
    Certificates(certificates::CertificatesCommand),
    /// Accounts of ACME: lists them, shows one, ends one.
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// Credentials: lists them with how they were used, shows one, exports them, revokes one.
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// The audit trail: lists it, exports it, verifies it, signs a checkpoint.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The key that seals secrets at rest.
    #[command(subcommand)]
    Sealing(sealing::SealingCommand),
}

/// The data folder of a standalone server, which may be running.
#[derive(Clone, Debug, Args)]
struct DataArgs {
    /// The data folder of the standalone server.
    #[arg(long, env = "CHANCERY_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The file with the sealing keys, if they are not in the data folder.
    #[arg(long, env = "CHANCERY_SEALING_KEY_FILE", value_name = "FILE")]
    sealing_key_file: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Where the rows are, unless they are in the data folder.
#[derive(Clone, Debug, Args)]
struct DatabaseArgs {
    /// The PostgreSQL database where the rows are, postgres://user:password@host:port/name?sslrootcert=FILE, instead of
    /// a file in the data folder. Give it by the environment: the command line is shown to every user of the machine.
    #[arg(
        id = "database",
        long = "database",
        env = "CHANCERY_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    url: Option<HiddenText>,
}

impl DatabaseArgs {
    fn url(&self) -> anyhow::Result<Option<DatabaseUrl>> {
        Ok(self.url.as_ref().map(|text| text.0.parse()).transpose()?)
    }
}

/// Text that is not shown, taken whatever it holds: clap repeats what it refuses, and this may hold a password.
#[derive(Clone)]
struct HiddenText(String);

impl FromStr for HiddenText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenText(redacted)")
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    /// Starts logging.
    fn init(self) -> Result<(), telemetry::TelemetryError> {
        telemetry::init(match self {
            Self::Text => telemetry::LogFormat::Text,
            Self::Json => telemetry::LogFormat::Json,
        })
    }
}

impl Cli {
    /// Runs the subcommand to its end.
    ///
    /// # Errors
    /// What a person should read; the process then ends with status 1.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Standalone(args) => args.run(),
            Command::Serve(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Requests(command) => command.run(),
            Command::Certificates(command) => command.run(),
            Command::Accounts(command) => command.run(),
            Command::Credentials(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Sealing(command) => command.run(),
        }
    }
}
