//! Tables in comma-separated values ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)).
//!
//! Whoever opens such a file in a spreadsheet runs what looks like a formula, and names in certificates are chosen by those who
//! ask for them: a cell that begins as a formula does gets an apostrophe before it, which a spreadsheet does not show.

use std::{borrow::Cow, io};

pub(crate) const MEDIA_TYPE: &str = "text/csv";

/// Lines in the making.
#[derive(Debug)]
pub(crate) struct Table(csv::Writer<Vec<u8>>);

impl Default for Table {
    fn default() -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new()))
    }
}

impl Table {
    /// # Errors
    /// Only where lines of one table differ in length.
    pub(crate) fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) -> io::Result<()> {
        for cell in cells {
            self.0.write_field(inert(cell.as_ref()).as_bytes())?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    /// The lines.
    ///
    /// # Errors
    /// None that memory causes.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner().map_err(|error| error.into_error())
    }
}

/// A cell that no spreadsheet computes.
fn inert(cell: &str) -> Cow<'_, str> {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => Cow::Owned(format!("'{cell}")),
        Some(_) | None => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: &[&str]) -> String {
        let mut table = Table::default();
        table.row(cells).unwrap();
        String::from_utf8(table.finish().unwrap()).unwrap()
    }

    #[test]
    fn cells_come_back_as_they_went() {
        assert_eq!(line(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(
            line(&["a,b", "say \"so\"", "two\r\nlines"]),
            "\"a,b\",\"say \"\"so\"\"\",\"two\r\nlines\"\r\n"
        );
        assert_eq!(line(&[""]), "\"\"\r\n");
    }

    #[test]
    fn what_looks_like_a_formula_is_none() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            let quoted = line(&[formula]);
            let cell = quoted.trim_end().trim_matches('"');
            assert!(cell.starts_with('\'') && cell.ends_with(formula), "{quoted:?}");
        }
        assert_eq!(line(&["CN==1", "a=b", "'=1"]), "CN==1,a=b,'=1\r\n");
    }

    #[test]
    fn lines_of_one_table_are_of_one_length() {
        let mut table = Table::default();
        table.row(["a", "b"]).unwrap();
        assert!(table.row(["a"]).is_err());
    }
}
