//! Writes down every case that the tests here judge, so that a real API server can be asked the same (`cargo xtask cluster
//! test cluster_admission`): what is refused without a cluster has to be refused in one, and nothing else.

use std::fs::File;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use serde_json::json;

use super::document;
use crate::Kind;

/// Where to, one JSON object a line; unset, nothing is written.
static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var_os("CHANCERY_ADMISSION_CASES")?;
    Some(Mutex::new(File::options().create(true).append(true).open(path).unwrap()))
});

/// A spec, the one it replaces if any, whether it is accepted, and if not path and message of one violation.
pub(super) fn case(
    kind: Kind,
    old: Option<&str>,
    new: &str,
    accepted: bool,
    violation: Option<(&str, &str)>,
) {
    let Some(file) = &*FILE else { return };
    let (path, message) = violation.unzip();
    let line = json!({
        "old": old.map(|old| document(kind, old)),
        "new": document(kind, new),
        "accepted": accepted,
        "path": path,
        "message": message,
    });
    writeln!(file.lock().unwrap(), "{line}").unwrap();
}
