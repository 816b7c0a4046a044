//! Everything that is in a full store, read over REST: page by page, and as streams.

use super::server::Chancery;
use crate::bench::beside::{Disturbance, quietly};
use anyhow::{Context, Result, ensure};

/// The largest page there is.
const PAGE: usize = 1000;

/// Streams, and what the answers are called.
const STREAMS: [(&str, &str); 4] = [
    ("inventory, CSV", "/reports/inventory?format=csv"),
    ("inventory, JSON", "/reports/inventory?format=json"),
    ("issued, CSV", "/reports/issued?format=csv&from=2020-01-01T00:00:00Z"),
    ("summary", "/reports/summary"),
];

pub(super) fn measure(full: &Chancery) -> Result<Vec<Disturbance>> {
    let mut found = vec![quietly(&full.server, "list, page by page", || list(full))?];
    for (what, path) in STREAMS {
        found.push(quietly(&full.server, what, || {
            ensure!(!full.get(path)?.is_empty(), "{what}: the answer is empty");
            Ok(())
        })?);
    }
    Ok(found)
}

/// To the end: each page says where the next begins.
fn list(full: &Chancery) -> Result<()> {
    let mut path = format!("/certificates?limit={PAGE}");
    loop {
        let page: serde_json::Value = serde_json::from_slice(&full.get(&path)?)?;
        let items = page.get("items").and_then(|items| items.as_array()).context("a page without items")?;
        let Some(next) = page.get("next").and_then(|next| next.as_str()) else { return Ok(()) };
        ensure!(items.len() == PAGE, "a page of {} before the last", items.len());
        path = format!("/certificates?limit={PAGE}&cursor={next}");
    }
}
