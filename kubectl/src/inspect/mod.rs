//! `inspect`: what a file holds, said by the code that judges what peers send. Nobody is asked.
//!
//! | file | what |
//! | --- | --- |
//! | `read.rs` | which kinds of things are in a file: PEM by its labels, DER by trial |
//! | `certificate.rs`, `csr.rs`, `crl.rs`, `key.rs` | what each of them says |
//! | `extensions.rs` | what is the same for certificates and requests |
//! | `description.rs` | names and values, as text and as JSON |

mod certificate;
mod crl;
mod csr;
mod description;
mod extensions;
mod key;
mod read;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use zeroize::Zeroizing;

use crate::{
    cli::{Context, Usage},
    output::{Form, print},
};

/// A revocation list of a million entries is less.
const LONGEST: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The file, PEM or DER; - is standard input.
    file: PathBuf,
    /// Shows each entry of revocation lists.
    #[arg(long)]
    entries: bool,
}

impl InspectArgs {
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<()> {
        let found = read::all(&contents(&self.file)?, self.entries)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        match context.output.form {
            Form::Table => {
                let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
                print(texts.join("\n").trim_end())
            }
            Form::Json | Form::Yaml => context.output.whole(&found),
            Form::Name => Err(Usage::error("what a file holds has no names: give -o json or -o yaml")),
        }
    }
}

/// It may be a private key.
fn contents(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut contents = Zeroizing::new(Vec::new());
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(LONGEST + 1).read_to_end(&mut contents)
    } else {
        File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut contents))
    };
    let length = read.with_context(|| format!("cannot read {}", file.display()))?;
    if length as u64 > LONGEST {
        bail!("{} is longer than {LONGEST} octets", file.display());
    }
    Ok(contents)
}
