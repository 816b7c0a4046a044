//! Rules and dashboard ask for nothing that is never counted. `cluster_chart.rs` asks running pods.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::render::{Case, dashboard, kind, read};

/// Names that are registered in a source file: the literal after `registry.register(`, behind its prefix. Counters get `_total`,
/// histograms three series; which of them is which, the names of the fields do not say, so all endings are allowed.
fn registered(path: &str, prefix: &str) -> Result<BTreeSet<String>> {
    let source = read(path)?;
    let names = source.split("registry.register(").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('"')?;
        rest.split_once('"').map(|(name, _)| format!("{prefix}_{name}"))
    });
    Ok(names.collect())
}

/// Every name of a metric of ours in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("chancery_")).map(ToOwned::to_owned).collect()
}

fn known() -> Result<BTreeSet<String>> {
    let mut known = registered("operator/src/metrics.rs", "chancery_operator")?;
    known.extend(registered("enrollment-server/src/metrics.rs", "chancery")?);
    Ok(known)
}

fn is_known(known: &BTreeSet<String>, name: &str) -> bool {
    let endings = ["", "_total", "_bucket", "_sum", "_count"];
    endings.iter().any(|ending| name.strip_suffix(ending).is_some_and(|name| known.contains(name)))
}

/// Every expression of the dashboard and of the rules, by what it is in.
fn expressions() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let dashboard: Value = serde_json::from_str(&dashboard()?)?;
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((panel["title"].to_string(), target["expr"].as_str().unwrap_or_default().to_owned()));
        }
    }
    for document in
        Case::named("everything")?.documents()?.iter().filter(|found| kind(found) == "PrometheusRule")
    {
        for rule in document["spec"]["groups"][0]["rules"].as_array().into_iter().flatten() {
            found.push((rule["alert"].to_string(), rule["expr"].as_str().unwrap_or_default().to_owned()));
        }
    }
    Ok(found)
}

/// The names of all alerts.
pub(crate) fn alerts() -> Result<BTreeSet<String>> {
    let documents = Case::named("everything")?.documents()?;
    let rules = documents.iter().filter(|found| kind(found) == "PrometheusRule");
    let rules = rules.flat_map(|found| found["spec"]["groups"][0]["rules"].as_array().into_iter().flatten());
    Ok(rules.filter_map(|rule| rule["alert"].as_str().map(ToOwned::to_owned)).collect())
}

#[test]
fn every_metric_that_is_asked_for_is_registered() -> Result<()> {
    let (known, expressions) = (known()?, expressions()?);
    assert!(known.len() > 20 && expressions.len() > 30, "{} {}", known.len(), expressions.len());
    for (place, expression) in expressions {
        let named = named(&expression);
        assert!(!named.is_empty(), "{place} asks for nothing of ours: {expression}");
        for name in named {
            assert!(is_known(&known, &name), "{place} asks for {name}, which nothing counts");
        }
    }
    Ok(())
}

#[test]
fn a_metric_that_nothing_counts_is_noticed() -> Result<()> {
    let known = known()?;
    assert!(is_known(&known, "chancery_requests_total"));
    assert!(!is_known(&known, "chancery_request_total"));
    assert_eq!(named("rate(chancery_requests_total{a=\"b\"}[5m])").len(), 1);
    Ok(())
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() -> Result<()> {
    let documents = Case::named("everything")?.documents()?;
    let rules = documents.iter().find(|document| kind(document) == "PrometheusRule").unwrap();
    for rule in rules["spec"]["groups"][0]["rules"].as_array().unwrap() {
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["warning", "critical"].contains(&severity), "{rule}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].as_str().is_some_and(|text| text.len() > 20), "{rule}");
        }
    }
    Ok(())
}
