//! Columns, for people.

use std::fmt::Write as _;

use pki::text::printable;
use serde::Serialize;

/// Something that stands in a line of a table.
pub(crate) trait Row: Serialize {
    /// What it is, in front of its name: `certificate`.
    const KIND: &'static str;
    const COLUMNS: &'static [&'static str];

    /// As many as there are columns.
    fn cells(&self) -> Vec<String>;

    /// What it is asked for by.
    fn name(&self) -> String;

    /// [`Self::KIND`], unless a list has several kinds.
    fn kind(&self) -> String {
        Self::KIND.to_owned()
    }
}

/// Lines of one table. Columns are as wide as those of the first lines need.
#[derive(Debug, Default)]
pub(crate) struct Table {
    widths: Vec<usize>,
}

/// Between two columns.
const GAP: usize = 3;

/// Of a cell that is not the last of its line.
const WIDEST: usize = 64;

impl Table {
    /// These lines, under their heads if they are the first.
    pub(crate) fn lines(&mut self, heads: &[&str], rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
        let mut text = String::new();
        if self.widths.is_empty() {
            let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
            let all = || std::iter::once(&heads).chain(&rows);
            self.widths = (0..heads.len())
                .map(|column| all().map(|row| width(row, column)).max().unwrap_or(0))
                .collect();
            self.line(&heads, &mut text);
        }
        rows.iter().for_each(|row| self.line(row, &mut text));
        text
    }

    fn line(&self, cells: &[String], text: &mut String) {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            // Into text; that never fails.
            let _ = write!(line, "{cell:<width$}{:GAP$}", "", width = (*width).min(WIDEST));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn width(row: &[String], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count())
}

/// A cell that holds nothing would make the next one look as if it were this one.
fn shown(cell: &str) -> String {
    if cell.is_empty() { "-".to_owned() } else { printable(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn heads_come_once_and_columns_stay() {
        let mut table = Table::default();
        let first = table.lines(&["ID", "SUBJECT"], &[row(&["1", "CN=a"]), row(&["long", ""])]);
        assert_eq!(first, "ID     SUBJECT\n1      CN=a\nlong   -\n");
        assert_eq!(table.lines(&["ID", "SUBJECT"], &[row(&["2", "CN=b"])]), "2      CN=b\n");
    }

    #[test]
    fn a_name_cannot_move_the_cursor_or_end_its_line() {
        let text = Table::default().lines(&["A"], &[row(&["x\u{1b}[2J\ny"])]);
        assert_eq!(text, "A\nx\u{fffd}[2J\u{fffd}y\n");
    }

    #[test]
    fn one_long_cell_does_not_push_all_others_away() {
        let long = "x".repeat(200);
        let text = Table::default().lines(&["A", "B"], &[row(&[&long, "b"]), row(&["a", "b"])]);
        let widths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(widths, [WIDEST + GAP + 1, 200 + GAP + 1, WIDEST + GAP + 1]);
    }
}
