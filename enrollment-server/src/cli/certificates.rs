//! `chancery-server certificates`: what was issued.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use issuance::{
    approval::Verdict,
    audit::Actor,
    identity::{CredentialId, Owner, ResourceName},
    revocation::Revocation,
    store::{CertificateFilter, CertificateRow, CertificateStatus, MethodScope, Page},
};
use pki::{extension::ReasonCode, pem, serial::SerialNumber, time::Time};

use super::{
    DataArgs, Format,
    offline::{Offline, PAGE, operator, with_store},
    output,
    requests::{DecideArgs, decide},
    times,
};

#[derive(Debug, Subcommand)]
pub(super) enum CertificatesCommand {
    /// Lists certificates, oldest first.
    List(ListArgs),
    /// Shows one certificate, as PEM or with all that is known about it.
    Show(ShowArgs),
    /// Revokes a certificate; the next revocation list is made at once.
    Revoke(RevokeArgs),
    /// Approves the pending request for a certificate, as `requests approve` does.
    Approve(DecideArgs),
    /// Denies the pending request for a certificate, as `requests deny` does.
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    which: WhichArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// All that are given must hold.
#[derive(Debug, Args)]
struct WhichArgs {
    /// Only those that were asked for by this EnrollmentMethod.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    method: Option<ResourceName>,
    /// Only those of this CertificateProfile.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    profile: Option<ResourceName>,
    /// Only those that were asked for with this credential: its identifier, as `show --format json` has it.
    #[arg(long, value_name = "ID")]
    credential: Option<CredentialId>,
    /// Only those of this owner.
    #[arg(long, value_name = "user:NAME|group:NAME")]
    owner: Option<Owner>,
    /// Only those whose EnrollmentMethod is in this namespace.
    #[arg(long)]
    namespace: Option<String>,
    /// Only those that end before this time: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is within 30 days from now.
    /// Those that have ended are among them.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    expires_before: Option<Time>,
    /// Only those that are revoked or held.
    #[arg(long)]
    revoked: bool,
}

impl From<&WhichArgs> for CertificateFilter {
    fn from(which: &WhichArgs) -> Self {
        Self {
            methods: which.method.clone().map(MethodScope::from),
            profile: which.profile.clone(),
            credential: which.credential.clone(),
            owner: which.owner.as_ref().map(ToString::to_string),
            namespace: which.namespace.clone(),
            expires_before: which.expires_before,
            revoked: which.revoked.then_some(true),
            ..Self::default()
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Serial number, hexadecimal.
    serial: SerialNumber,
    #[command(flatten)]
    data: DataArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Serial number, hexadecimal.
    serial: SerialNumber,
    /// A reason of RFC 5280 §5.3.1, as in keyCompromise; certificateHold can be taken back with removeFromCRL.
    #[arg(long, default_value = "unspecified")]
    reason: ReasonCode,
    #[command(flatten)]
    data: DataArgs,
}

impl CertificatesCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => with_store(&args.data.clone(), async |offline| list(&offline, &args).await),
            Self::Show(args) => with_store(&args.data.clone(), async |offline| {
                let row = find(&offline, &args.serial).await?;
                match args.format {
                    Format::Text => Ok(output::line(pem::encode("CERTIFICATE", &row.der).trim_end())?),
                    Format::Json => output::json(&row),
                }
            }),
            Self::Approve(args) => decide(args, Verdict::Approve),
            Self::Deny(args) => decide(args, Verdict::Deny),
            Self::Revoke(args) => {
                with_store(&args.data.clone(), async |offline| revoke(&offline, &args).await)
            }
        }
    }
}

async fn list(offline: &Offline, args: &ListArgs) -> anyhow::Result<()> {
    let (filter, format) = (CertificateFilter::from(&args.which), args.format);
    let mut page = Page::first(PAGE);
    let mut first = true;
    // An array that is printed as it is read: the list may be long.
    loop {
        let rows = offline.engine.store().certificates(&filter, &page).await?;
        let Some((last, _)) = rows.last() else { break };
        page.after = Some(*last);
        for (_, row) in rows {
            match format {
                Format::Text => output::line(format_args!(
                    "{}  {:8}  {}  {}  {}",
                    row.serial,
                    state(&row),
                    row.not_after,
                    row.method,
                    row.subject
                ))?,
                Format::Json => {
                    let text = serde_json::to_string(&row)?;
                    output::line(format_args!("{}{text}", if first { "[" } else { "," }))?;
                }
            }
            first = false;
        }
    }
    if format == Format::Json {
        output::line(if first { "[]" } else { "]" })?;
    }
    Ok(())
}

fn state(row: &CertificateRow) -> &'static str {
    match row.status {
        CertificateStatus::Valid => "valid",
        CertificateStatus::Held { .. } => "held",
        CertificateStatus::Revoked { .. } => "revoked",
    }
}

async fn find(offline: &Offline, serial: &SerialNumber) -> anyhow::Result<CertificateRow> {
    let mut rows = offline.engine.store().certificates_by_serial(serial).await?;
    match rows.len() {
        0 | 1 => rows.pop().with_context(|| format!("no certificate has the serial number {serial}")),
        several => bail!("{several} certificates have the serial number {serial}"),
    }
}

async fn revoke(offline: &Offline, args: &RevokeArgs) -> anyhow::Result<()> {
    let row = find(offline, &args.serial).await?;
    let revocation = match args.reason {
        ReasonCode::CertificateHold => Revocation::Hold,
        ReasonCode::RemoveFromCrl => Revocation::Release,
        reason => Revocation::Revoke { reason, invalidity_date: None },
    };
    let actor = Actor::Operator { name: operator() };
    let row = offline.engine.revoke(row.issuer, &row.serial, revocation, actor).await?;
    output::line(format_args!("certificate {} of {} is {}", row.serial, row.subject, state(&row)))?;
    Ok(())
}
