//! `credentials`: who may ask.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use client::rest::{Credential, NewCredential, NewIdentifiers, Other, ReportForm, SecretCredential};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    cli::Context,
    output::{Form, List, OutputArgs, Row, SecretSink, print, remark, sink, write_secret},
    times,
};

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// Lists credentials, the oldest first.
    List(ListArgs),
    /// Shows one credential; never its secret.
    Get(WhichArgs),
    /// Makes a credential, of the method that --of names where it is another one. Its secret is shown once.
    Create(CreateArgs),
    /// Revokes a credential for good: it is refused from the next request on.
    Revoke(RevokeArgs),
    /// Sets when a credential ends: now, unless --at.
    Expire(ExpireArgs),
    /// Gives a credential another secret, which is shown once: the old one is refused from the next request on.
    Regenerate(RegenerateArgs),
    /// All credentials, as one array or table; never their secrets.
    Export(ExportArgs),
}

/// All that are given must hold.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Only those that are this now.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only those of this owner.
    #[arg(long, value_name = "user:NAME|group:NAME")]
    owner: Option<String>,
    /// Only that of this name.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Revoked,
    Expired,
    UsedUp,
}

#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Identifier of the credential, as `credentials list` shows it.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What it is called: small letters, digits, hyphens and dots. A name is used once.
    name: String,
    /// Whom it belongs to.
    #[arg(long, value_name = "user:NAME|group:NAME")]
    owner: String,
    /// REST: what may be done with it: request, read, revoke, approve, report, credentials. Without it request and read.
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    actions: Vec<String>,
    /// EST: the user name that the password goes with. Without it NAME.
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// ACME: the key identifier. Without it the namespace and NAME with a dot between.
    #[arg(long)]
    kid: Option<String>,
    /// ACME: patterns for the DNS names that accounts bound to it may order. Without it and --ip every name that the profile allows.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    dns: Vec<String>,
    /// ACME: ranges for the IP addresses that accounts bound to it may order.
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    ip: Vec<String>,
    /// When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is in 30 days. Without it never.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    expires_at: Option<String>,
    /// How many certificates may be issued with it. Without it any number.
    #[arg(long, value_name = "NUMBER")]
    maximum_uses: Option<u64>,
    #[command(flatten)]
    sink: SecretSink,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Why, for the audit trail.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExpireArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// When: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is in 30 days.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RegenerateArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    sink: SecretSink,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The form of what is written.
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// The file; without it standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// How rows are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One array.
    Json,
    /// RFC 4180, with a header.
    #[default]
    Csv,
}

impl CredentialsCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Get(which) => context.output.object(&context.server().await?.credential(&which.id).await?),
            Self::Create(args) => args.run(context).await,
            Self::Revoke(RevokeArgs { which, reason }) => {
                let client = context.server().await?;
                context.output.object(&client.revoke_credential(&which.id, reason.as_deref()).await?)
            }
            Self::Expire(ExpireArgs { which, at }) => {
                let client = context.server().await?;
                context.output.object(&client.expire_credential(&which.id, at.as_deref()).await?)
            }
            Self::Regenerate(RegenerateArgs { which, sink }) => {
                sink.check()?;
                let made = context.server().await?.regenerate_credential(&which.id).await?;
                hand_out(context.output, &sink, &made)
            }
            Self::Export(args) => args.run(context).await,
        }
    }
}

impl FilterArgs {
    fn query(&self, context: &Context) -> client::rest::Query {
        let status = self.status.map(|status| match status {
            Status::Active => "active",
            Status::Revoked => "revoked",
            Status::Expired => "expired",
            Status::UsedUp => "usedUp",
        });
        let query = context.query().with_some("status", status).with_some("owner", self.owner.as_deref());
        query.with_some("name", self.name.as_deref())
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        List::pages(context.output, self.limit, |cursor, limit| {
            client.credentials(self.filter.query(context).with("limit", limit).with_some("cursor", cursor))
        })
        .await
    }
}

impl CreateArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        self.sink.check()?;
        let Self { name, owner, actions, username, kid, dns, ip, expires_at, maximum_uses, sink } = self;
        let is_restricted = !dns.is_empty() || !ip.is_empty();
        let identifiers = is_restricted.then_some(NewIdentifiers { dns, ip });
        // `--of` says of which method, as in every request.
        let method = None;
        let wanted = NewCredential {
            name,
            owner,
            method,
            actions,
            username,
            kid,
            identifiers,
            expires_at,
            maximum_uses,
        };
        let made = context.server().await?.create_credential(&wanted).await?;
        hand_out(context.output, &sink, &made)
    }
}

impl ExportArgs {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.output.refuse_form("an export has its own form: give --format")?;
        let client = context.server().await?;
        let answer = client.export_credentials(self.filter.query(context), self.format.into()).await?;
        answer.write_to(sink(self.output_file.as_deref())?).await?;
        Ok(())
    }
}

impl From<ExportFormat> for ReportForm {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Json => Self::Json,
            ExportFormat::Csv => Self::Csv,
        }
    }
}

/// The secret to the file or to standard output, and what it is for beside it.
fn hand_out(output: OutputArgs, sink: &SecretSink, made: &SecretCredential) -> anyhow::Result<()> {
    let secret = values(&made.secret);
    match (&sink.output_file, output.form) {
        (Some(file), _) => {
            write_secret(file, secret.as_bytes())?;
            output.object(&made.credential)
        }
        (None, Form::Json | Form::Yaml) => output.whole(made),
        (None, Form::Table | Form::Name) => {
            remark(format_args!(
                "credential/{} ({}); its secret is not shown again:",
                made.credential.id, made.credential.name
            ));
            print(secret.trim_end())
        }
    }
}

/// One secret alone; several with their names.
fn values(secret: &Other) -> Zeroizing<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut members = secret.iter();
    Zeroizing::new(match (members.next(), members.next()) {
        (Some((_, only)), None) => format!("{}\n", text(only)),
        _several => secret.iter().map(|(name, value)| format!("{name}={}\n", text(value))).collect(),
    })
}

impl Row for Credential {
    const KIND: &'static str = "credential";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "STATUS",
        "METHOD",
        "PROTOCOL",
        "OWNER",
        "ACTIONS",
        "USES",
        "EXPIRES",
        "LAST-USED",
        "DECLARED-BY",
    ];

    fn cells(&self) -> Vec<String> {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.name.clone(),
            self.status.clone(),
            self.method.clone(),
            self.protocol.clone(),
            or_nothing(&self.owner),
            self.actions.join(","),
            self.uses.to_string(),
            or_nothing(&self.expires_at),
            or_nothing(&self.last_used_at),
            or_nothing(&self.declared_by),
        ]
    }

    fn name(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_secret_stands_alone_and_several_have_their_names() {
        let members = |value: Value| value.as_object().unwrap().clone();
        assert_eq!(values(&members(json!({"accessKey": "chancery_1"}))).as_str(), "chancery_1\n");
        assert_eq!(values(&members(json!({"kid": "a", "hmac": "b"}))).as_str(), "hmac=b\nkid=a\n");
        let password = members(json!({"username": "ann", "password": "b"}));
        assert_eq!(values(&password).as_str(), "password=b\nusername=ann\n");
    }
}
