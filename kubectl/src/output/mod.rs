//! Standard output: results, in the form that is asked for.
//!
//! | file | what |
//! | --- | --- |
//! | `table.rs` | columns for people |
//! | `list.rs` | lists of any length, written as they come |
//! | `secret.rs` | what only its owner may read |

mod list;
mod secret;
mod table;

use std::io::{self, Write};

use anyhow::bail;
use clap::{Args, ValueEnum};
use pki::text::printable;
use serde::Serialize;

pub(crate) use self::{
    list::List,
    secret::{SecretFile, SecretSink, write_secret},
    table::{Row, Table},
};
use crate::cli::Usage;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArgs {
    /// The form of what is printed.
    #[arg(long = "output", short = 'o', global = true, value_enum, default_value_t)]
    pub(crate) form: Form,
}

/// A form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Columns, for people.
    #[default]
    Table,
    /// With all that is known.
    Json,
    /// With all that is known.
    Yaml,
    /// What it is called, a line each.
    Name,
}

impl OutputArgs {
    /// One object, as a table of one line, or whole.
    pub(crate) fn object<T: Row>(self, object: &T) -> anyhow::Result<()> {
        match self.form {
            Form::Table | Form::Name => {
                let mut list = List::begin(self);
                list.item(object)?;
                list.finish()
            }
            Form::Json | Form::Yaml => self.whole(object),
        }
    }

    /// A value, whole: JSON, or YAML where that is asked for.
    pub(crate) fn whole(self, value: &impl Serialize) -> anyhow::Result<()> {
        match self.form {
            Form::Yaml => print(serde_yaml_ng::to_string(value)?.trim_end()),
            Form::Table | Form::Json => print(serde_json::to_string_pretty(value)?),
            Form::Name => Err(Usage::error("this has no name: give -o json or -o yaml")),
        }
    }

    /// json or csv, for what is streamed from the server.
    pub(crate) fn refuse_form(self, why: &str) -> anyhow::Result<()> {
        match self.form {
            Form::Table => Ok(()),
            Form::Json | Form::Yaml | Form::Name => Err(Usage::error(why)),
        }
    }
}

/// Prints a line. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Says something beside the result.
pub(crate) fn remark(text: impl std::fmt::Display) {
    #[expect(clippy::print_stderr, reason = "remarks are not part of the result")]
    {
        eprintln!("{}", printable(&text.to_string()));
    }
}

/// A table beside the result; nothing where it has no lines.
pub(crate) fn remark_rows<T: Row>(rows: &[T]) {
    if rows.is_empty() {
        return;
    }
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    #[expect(clippy::print_stderr, reason = "remarks are not part of the result")]
    {
        eprint!("{}", Table::default().lines(T::COLUMNS, &cells));
    }
}

/// Standard output for what is streamed, or a file.
pub(crate) fn sink(file: Option<&std::path::Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match file {
        None => Box::new(Patient(io::stdout())),
        Some(file) if file.as_os_str().is_empty() => bail!("the name of a file is empty"),
        Some(file) => Box::new(io::BufWriter::new(std::fs::File::create(file)?)),
    })
}

/// Standard output whose reader may go away.
struct Patient(io::Stdout);

impl Write for Patient {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.0.write(octets) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(octets.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
