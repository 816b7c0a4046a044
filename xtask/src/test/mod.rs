//! `cargo xtask test`: every check and test there is, in the order in which they fail soonest.
//!
//! Each step prints a header, everything its programs print, and its time. All steps run even where one fails; the last
//! lines say what failed and what was skipped, and the very last is the sum of all tests.

mod report;
mod steps;

use anyhow::{Result, bail};

use self::report::Report;
pub(crate) use self::steps::files;
use crate::cluster::Provider;
use crate::packages::{BIND, CC, CERTBOT, CXX, GO, POSTGRESQL, PYTHON_VENV, RUSTUP, STRONGSWAN};
use crate::shell;

/// What the step "clients of ACME" provides.
const ACME_CLIENTS: [&str; 5] = ["caddy", "certbot", "certbot-pypi", "lego", "named"];

/// What the step "clients of REST" provides.
const REST_CLIENTS: [&str; 2] = ["schemathesis", "openapi-python-client"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only formatting, lints and the tests of single crates: no programs from outside, no server, no fuzzing
    #[arg(long)]
    quick: bool,
    /// Only steps whose name holds this, such as "cluster"; the others are listed as skipped
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
}

/// Runs all steps; fails if one failed, and under CI if one was skipped.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::of(options.step.clone());
    report.step("formatting", steps::formatting);
    report.step("lints", steps::lints);
    report.step("generated files", steps::generated_files);
    // A step of its own, so that its absence is listed.
    let postgresql = report.step_with("PostgreSQL", &[POSTGRESQL], |_| Ok(()));
    report.step("tests of the crates", |tally| steps::crates(postgresql, tally));
    if options.quick {
        let others = [
            "dependencies",
            "peer programs",
            "clients of ACME",
            "clients of REST",
            "tests of the server",
            "tests of two servers on one database",
            "tests on a cluster",
            "fuzz targets",
        ];
        for name in others {
            report.skip(name, "--quick");
        }
    } else {
        report.step("dependencies", steps::dependencies);
        let peers = report.step_with("peer programs", &[GO, CC, STRONGSWAN], steps::peers);
        // Without them the tests that need them pass without a word; the skipped step is the word.
        let mut absent =
            if peers { Vec::new() } else { vec!["estclient", "pki", "zlint", "helm", "kubeconform"] };
        let acme = report.step_with("clients of ACME", &[GO, CERTBOT, BIND], steps::acme_clients);
        absent.extend(if acme { &[][..] } else { &ACME_CLIENTS });
        let rest = report.step_with("clients of REST", &[PYTHON_VENV], steps::rest_clients);
        absent.extend(if rest { &[][..] } else { &REST_CLIENTS });
        absent.extend((!postgresql).then_some("postgres"));
        report.step("tests of the server", |tally| steps::server(&absent, tally));
        let replicas = "tests of two servers on one database";
        report.step_with(replicas, &[POSTGRESQL], |tally| steps::replicas(&absent, tally));
        let providers = Provider::choose_for_tests()?;
        let cluster = |tally: &mut report::Tally| steps::cluster(&providers, tally);
        report.step_when("tests on a cluster", || providers.iter().try_for_each(Provider::check), cluster);
        report.step_with("fuzz targets", &[RUSTUP, CXX], steps::fuzz);
    }
    report.print();
    if !report.succeeded() {
        bail!("not everything passed");
    }
    if shell::in_ci() && report.skipped_anything() {
        bail!("under CI nothing may be skipped");
    }
    Ok(())
}
