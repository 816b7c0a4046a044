//! `chancery-server audit`: the trail, and the proof that it is whole.

mod list;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use issuance::audit::{Checkpoint, verify};

use super::{
    DataArgs, Format,
    offline::{Offline, with_store},
    output,
};
use crate::jobs::write_checkpoint;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Verifies every record, chain and checkpoint. Ends with status 1 if anything does not hold.
    Verify(VerifyArgs),
    /// Signs the present end of the trail. Keep the file elsewhere: later it proves what came before it.
    Checkpoint(CheckpointArgs),
    /// Lists records, oldest first.
    List(list::ListArgs),
    /// Prints records for other programs, oldest first: all of them, or those that are asked for.
    Export(list::ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A checkpoint that was kept elsewhere; may be given several times.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Where to write it; standard output if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

impl AuditCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Verify(args) => {
                with_store(&args.data.clone(), async |offline| run_verify(&offline, &args).await)
            }
            Self::Checkpoint(args) => with_store(&args.data.clone(), async |offline| {
                checkpoint(&offline, args.out.as_deref()).await
            }),
            Self::List(args) => args.run(),
            Self::Export(args) => args.run(),
        }
    }
}

async fn run_verify(offline: &Offline, args: &VerifyArgs) -> anyhow::Result<()> {
    let mut supplied = Vec::new();
    for path in &args.checkpoint {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let checkpoint: Checkpoint =
            serde_json::from_str(&text).with_context(|| format!("{} is not a checkpoint", path.display()))?;
        supplied.push(checkpoint);
    }
    let report = verify(&**offline.engine.store(), &supplied).await?;
    match args.format {
        Format::Json => output::json(&serde_json::json!({
            "streams": report.streams,
            "records": report.records,
            "checkpoints": report.checkpoints,
            "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            for finding in &report.findings {
                output::line(finding)?;
            }
            output::line(format_args!(
                "{} records in {} streams, {} checkpoints",
                report.records, report.streams, report.checkpoints
            ))?;
        }
    }
    if !report.findings.is_empty() {
        bail!("the audit trail does not hold: {} findings", report.findings.len());
    }
    if args.format == Format::Text {
        output::line("the audit trail holds")?;
    }
    Ok(())
}

async fn checkpoint(offline: &Offline, out: Option<&Path>) -> anyhow::Result<()> {
    let now = offline.engine.clock().now();
    let checkpoint = write_checkpoint(&**offline.engine.store(), &offline.sealing()?, now).await?;
    match out {
        Some(path) => {
            let text = serde_json::to_string_pretty(&checkpoint)?;
            fs::write(path, text + "\n").with_context(|| path.display().to_string())
        }
        None => output::json(&checkpoint),
    }
}
