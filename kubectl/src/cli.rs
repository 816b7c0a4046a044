//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pki::text::printable;

use crate::{
    commands::{audit, certificates, credentials, orders, reports, requests, status},
    connection::ServerArgs,
    inspect::InspectArgs,
    kubernetes::ClusterArgs,
    output::OutputArgs,
};

/// Certificates of Chancery: who may ask, what was issued, what waits, what happened.
///
/// Commands that ask a server need its URL (--server, with --ca-file and --access-key-file), or the name of an EnrollmentMethod
/// that speaks REST (--method, with --credential), which is then looked up in the cluster of the kubeconfig.
#[derive(Debug, Parser)]
#[command(name = "kubectl-chancery", bin_name = "kubectl chancery", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the resources of Chancery in the cluster, and whether each can be used; of a server without a cluster its methods, its
    /// authorities and what waits.
    Status(status::StatusArgs),
    /// Who may ask: lists, shows, makes, revokes and regenerates credentials.
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// From what is asked to a certificate: lists, shows, makes, proves and cancels orders.
    #[command(subcommand)]
    Orders(orders::OrdersCommand),
    /// What was issued: lists, shows, downloads, revokes, holds, releases and renews certificates.
    #[command(subcommand)]
    Certificates(certificates::CertificatesCommand),
    /// What waits for a person: lists and shows requests.
    #[command(subcommand)]
    Requests(requests::RequestsCommand),
    /// Approves a pending request: whoever asked gets the certificate when it asks again.
    Approve(requests::ApproveArgs),
    /// Denies a pending request.
    Deny(requests::DenyArgs),
    /// Revokes a certificate, as `certificates revoke` does.
    Revoke(certificates::RevokeArgs),
    /// Renews a certificate whose key the server made, as `certificates renew` does.
    Renew(certificates::RenewArgs),
    /// What happened: lists and exports records of the audit trail.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Certificates issued, expiring or revoked in a period, all of them, or counts.
    Reports(reports::ReportsArgs),
    /// Says what a file holds: certificates, requests, revocation lists, PKCS #7, keys. Asks nobody.
    Inspect(InspectArgs),
}

/// What the command line gives every command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) server: ServerArgs,
    pub(crate) cluster: ClusterArgs,
    pub(crate) output: OutputArgs,
}

/// A command line that clap takes and that does not make sense all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Usage {
    pub(crate) fn error(sentence: impl Into<String>) -> anyhow::Error {
        Self(sentence.into()).into()
    }
}

/// As clap's own.
const USAGE: u8 = 2;

impl Cli {
    /// Runs the command to its end: 0; 1 for an error, which is on standard error; 2 for a command line that makes no sense.
    pub fn run(self) -> ExitCode {
        let Err(error) = self.finish() else { return ExitCode::SUCCESS };
        // What a server says may hold anything; a terminal is sent text only, line by line.
        let shown: Vec<String> = format!("{error:#}").lines().map(printable).collect();
        #[expect(clippy::print_stderr, reason = "errors of a command belong there")]
        {
            eprintln!("kubectl chancery: {}", shown.join("\n"));
        }
        if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
    }

    fn finish(self) -> anyhow::Result<()> {
        let context = Context { server: self.server, cluster: self.cluster, output: self.output };
        let command = self.command;
        if let Command::Inspect(args) = &command {
            return args.run(&context);
        }
        // kube takes the provider of the process.
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command.run(&context))
    }
}

impl Command {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Status(args) => args.run(context).await,
            Self::Credentials(command) => command.run(context).await,
            Self::Orders(command) => command.run(context).await,
            Self::Certificates(command) => command.run(context).await,
            Self::Requests(command) => command.run(context).await,
            Self::Approve(args) => args.run(context).await,
            Self::Deny(args) => args.run(context).await,
            Self::Revoke(args) => args.run(context).await,
            Self::Renew(args) => args.run(context).await,
            Self::Audit(command) => command.run(context).await,
            Self::Reports(args) => args.run(context).await,
            Self::Inspect(args) => args.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::output::Form;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    /// clap takes two arguments of one identifier for the same, and panics where they are read.
    #[test]
    fn no_command_has_an_argument_of_the_name_of_one_that_all_have() {
        fn check(command: &clap::Command, everywhere: &[String]) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(!everywhere.iter().any(|name| name == id), "{} has {id}", command.get_name());
            }
            command.get_subcommands().for_each(|command| check(command, everywhere));
        }
        let cli = Cli::command();
        let everywhere = cli.get_arguments().map(|argument| argument.get_id().to_string());
        let everywhere: Vec<String> = everywhere.collect();
        assert!(everywhere.iter().any(|id| id == "form"), "{everywhere:?}");
        cli.get_subcommands().for_each(|command| check(command, &everywhere));
    }

    #[test]
    fn no_option_takes_a_secret_or_switches_verification_off() {
        fn walk(command: &clap::Command, found: &mut Vec<String>) {
            let long = |argument: &clap::Arg| argument.get_long().map(str::to_owned);
            found.extend(command.get_arguments().filter_map(long));
            command.get_subcommands().for_each(|command| walk(command, found));
        }
        let mut options = Vec::new();
        walk(&Cli::command(), &mut options);
        assert!(options.iter().any(|option| option == "access-key-file"), "{options:?}");
        for option in options {
            let secret = ["key", "password", "passphrase", "token", "secret"];
            // What an order is called tells nobody anything.
            let names_one = option != "idempotency-key" && secret.iter().any(|word| option.contains(word));
            assert!(
                !names_one || option.ends_with("-file"),
                "--{option} takes a secret from the command line"
            );
            for word in ["insecure", "skip", "verify"] {
                assert!(!option.contains(word), "--{option}");
            }
        }
    }

    #[test]
    fn short_options_are_those_of_kubectl_before_and_after_a_command() {
        for line in
            ["-o json -n pki status -A", "status -A -o json -n pki", "status --all-namespaces -ojson -npki"]
        {
            let cli = Cli::try_parse_from(["kubectl-chancery"].into_iter().chain(line.split(' '))).unwrap();
            assert_eq!(
                (cli.output.form, cli.cluster.namespace.as_deref()),
                (Form::Json, Some("pki")),
                "{line}"
            );
        }
    }

    #[test]
    fn a_command_line_without_a_server_is_a_usage_error() {
        let cli = Cli::try_parse_from(["kubectl-chancery", "requests", "list"]).unwrap();
        if cli.server.url.is_none() {
            assert!(cli.finish().unwrap_err().is::<Usage>());
        }
    }
}
