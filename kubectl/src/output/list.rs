//! Lists of any length, written as they come: a page is all that is held.

use std::future::Future;

use client::rest::{ClientError, Items};
use pki::text::printable;

use super::{Form, OutputArgs, Row, Table, print};

/// How many objects are asked for at a time.
const PAGE: usize = 500;

/// A list in the making: one table, one JSON array, one YAML sequence, or names.
#[derive(Debug)]
pub(crate) struct List {
    form: Form,
    table: Table,
    written: usize,
}

impl List {
    pub(crate) fn begin(output: OutputArgs) -> Self {
        Self { form: output.form, table: Table::default(), written: 0 }
    }

    /// All that `page` gives, or `most` of it. `page` is told the cursor and how many are wanted.
    pub(crate) async fn pages<T: Row, F>(
        output: OutputArgs,
        most: Option<usize>,
        page: impl Fn(Option<String>, usize) -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = Result<Items<T>, ClientError>>,
    {
        let mut list = Self::begin(output);
        let mut cursor = None;
        loop {
            let left = most.map_or(PAGE, |most| most.saturating_sub(list.written));
            if left == 0 {
                break;
            }
            let Items { items, next } = page(cursor, left.min(PAGE)).await?;
            list.items(&items)?;
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        list.finish()
    }

    pub(crate) fn item<T: Row>(&mut self, item: &T) -> anyhow::Result<()> {
        self.items(std::slice::from_ref(item))
    }

    pub(crate) fn items<T: Row>(&mut self, items: &[T]) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        match self.form {
            Form::Table => {
                let rows: Vec<Vec<String>> = items.iter().map(Row::cells).collect();
                print(self.table.lines(T::COLUMNS, &rows).trim_end_matches('\n'))?;
            }
            Form::Json => {
                for (place, item) in items.iter().enumerate() {
                    let mark = if self.written + place == 0 { "[" } else { "," };
                    print(format_args!("{mark}{}", serde_json::to_string(item)?))?;
                }
            }
            Form::Yaml => print(serde_yaml_ng::to_string(items)?.trim_end())?,
            Form::Name => {
                for item in items {
                    print(format_args!("{}/{}", item.kind(), printable(&item.name())))?;
                }
            }
        }
        self.written += items.len();
        Ok(())
    }

    /// What is still to be said when there is nothing more.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match (self.form, self.written) {
            (Form::Json, 0) | (Form::Yaml, 0) => print("[]"),
            (Form::Json, _) => print("]"),
            (Form::Table, 0) => {
                super::remark("there are none");
                Ok(())
            }
            (Form::Table | Form::Yaml | Form::Name, _) => Ok(()),
        }
    }
}
