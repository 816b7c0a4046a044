//! `docs/troubleshooting.md` knows every reason that a condition can give, and no other; and every alert.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use crds::{Kind, conditions::rows};

use crate::metrics::alerts;
use crate::render::read;

#[test]
fn every_reason_for_something_not_to_be_so_is_explained_with_its_conditions() -> Result<()> {
    let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in Kind::ALL.iter().flat_map(|kind| rows(*kind)) {
        for reason in row.negative {
            reasons.entry(reason.to_string()).or_default().insert(row.condition.to_string());
        }
    }
    let page = read("docs/troubleshooting.md")?;
    let (_, table) = page.split_once("<!-- reasons").context("the page has no table of reasons")?;
    let (table, _) = table.split_once("<!-- end of reasons -->").context("the table does not end")?;
    let mut explained = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [reason, conditions, _] = cells.as_slice() else { anyhow::bail!("{line}") };
        let conditions: BTreeSet<String> = conditions.split(", ").map(ToOwned::to_owned).collect();
        let reason = reason.trim_start_matches("| `").trim_end_matches('`').to_owned();
        assert!(explained.insert(reason, conditions).is_none(), "twice: {line}");
    }
    assert_eq!(explained, reasons);
    Ok(())
}

#[test]
fn every_alert_is_in_the_table_of_alerts() -> Result<()> {
    let page = read("docs/troubleshooting.md")?;
    let (_, table) = page.split_once("## By alert").context("the page has no table of alerts")?;
    let words = table.split(|c: char| !c.is_ascii_alphanumeric());
    let explained: BTreeSet<String> =
        words.filter(|word| word.starts_with("Chancery")).map(ToOwned::to_owned).collect();
    assert_eq!(explained, alerts()?);
    Ok(())
}
