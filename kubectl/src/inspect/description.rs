//! Names and values in an order, as text for people and as an object for programs.

use std::fmt;

use pki::text::printable;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// What is said of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    kind: &'static str,
    members: Vec<(&'static str, Detail)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Description {
    pub(super) fn of(kind: &'static str) -> Self {
        Self { kind, members: Vec::new() }
    }

    pub(super) fn text(&mut self, name: &'static str, value: impl fmt::Display) -> &mut Self {
        self.member(name, Detail::Text(value.to_string()))
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) -> &mut Self {
        self.member(name, Detail::Number(value))
    }

    pub(super) fn flag(&mut self, name: &'static str, value: bool) -> &mut Self {
        self.member(name, Detail::Flag(value))
    }

    /// Nothing where it is empty.
    pub(super) fn list<T: fmt::Display>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if values.is_empty() { self } else { self.member(name, Detail::List(values)) }
    }

    fn member(&mut self, name: &'static str, detail: Detail) -> &mut Self {
        self.members.push((name, detail));
        self
    }
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len() + 1))?;
        map.serialize_entry("kind", self.kind)?;
        for (name, detail) in &self.members {
            map.serialize_entry(name, detail)?;
        }
        map.end()
    }
}

/// A line for each value, names in one column.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.kind)?;
        let width = self.members.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, detail) in &self.members {
            let mut line = |name: &str, value: &str| writeln!(f, "  {name:width$}  {}", printable(value));
            match detail {
                Detail::Text(text) => line(name, text)?,
                Detail::Number(number) => line(name, &number.to_string())?,
                Detail::Flag(flag) => line(name, if *flag { "yes" } else { "no" })?,
                Detail::List(values) => {
                    for (place, value) in values.iter().enumerate() {
                        line(if place == 0 { name } else { "" }, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}
