//! The commands of a page in `docs/`, for tests that run them as they stand there.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A fenced block of commands, and the comment above it that says what it is.
#[derive(Clone, Debug)]
pub struct Block {
    pub mark: String,
    pub commands: String,
}

/// All blocks of a page, in order. Each has to have a mark right above it, such as `<!-- run -->`, or `<!-- not run: why -->`.
pub fn blocks(page: &str) -> Result<Vec<Block>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join(page);
    let text = std::fs::read_to_string(path).with_context(|| page.to_owned())?;
    let mut found = Vec::new();
    for part in text.split("<!-- ").skip(1) {
        let (mark, rest) = part.split_once(" -->").context("a comment without an end")?;
        // Other comments have nothing to do with commands.
        let Some(rest) = rest.strip_prefix("\n```sh\n") else { continue };
        let (commands, _) = rest.split_once("```").context("a block without an end")?;
        found.push(Block { mark: mark.to_owned(), commands: commands.to_owned() });
    }
    ensure!(text.matches("```sh").count() == found.len(), "{page}: a block of commands has no mark above it");
    Ok(found)
}

/// The names that a block of commands assigns.
pub fn assigned(commands: &str) -> Vec<&str> {
    let lines = commands.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once('=')?.0)).collect()
}
