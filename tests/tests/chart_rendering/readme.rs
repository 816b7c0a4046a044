//! The table of values in `charts/chancery/README.md`, made of the comments in `values.yaml`.

use anyhow::{Context, Result};

use crate::render::{read, written};

const BEGIN: &str = "<!-- values: generated from values.yaml -->\n";
const END: &str = "<!-- end of values -->\n";

#[test]
fn the_table_of_values_is_fresh() -> Result<()> {
    let readme = read("charts/chancery/README.md")?;
    let (before, rest) = readme.split_once(BEGIN).context("the README has no place for the table")?;
    let (_, after) = rest.split_once(END).context("the README does not end the table")?;
    let table = table(&read("charts/chancery/values.yaml")?);
    written("charts/chancery/README.md", &format!("{before}{BEGIN}{table}{END}{after}"))
}

/// One row for each value, and for each group that has a comment.
fn table(values: &str) -> String {
    let mut table = String::from("| value | default | |\n| --- | --- | --- |\n");
    let (mut path, mut comment): (Vec<(usize, &str)>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() {
            comment.clear();
        } else if let Some(words) = text.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((key, value)) = text.split_once(':') {
            path.retain(|(depth, _)| *depth < indent);
            path.push((indent, key));
            let name = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            let (value, comment) = (value.trim(), std::mem::take(&mut comment).join(" ").replace('|', "\\|"));
            if !value.is_empty() {
                table.push_str(&format!("| `{name}` | `{value}` | {comment} |\n"));
            } else if !comment.is_empty() {
                table.push_str(&format!("| `{name}` | | {comment} |\n"));
            }
        }
    }
    table
}

#[test]
fn a_value_has_its_path_its_default_and_its_comment() {
    let values = "# First.\n\n# All of it,\n# really.\na:\n  # One.\n  b: 1\n  c: {}\nd: \"\"\n";
    let rows: Vec<String> = table(values).lines().skip(2).map(ToOwned::to_owned).collect();
    assert_eq!(
        rows,
        [
            "| `a` | | All of it, really. |",
            "| `a.b` | `1` | One. |",
            "| `a.c` | `{}` |  |",
            "| `d` | `\"\"` |  |"
        ]
    );
}
