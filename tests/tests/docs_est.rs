//! The commands of `docs/est.md`, run as they stand there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use chancery_tests::program::{cache_directory, declared_absent, output, printed};
use chancery_tests::{Scene, openssl};

const VARIABLES: [&str; 4] = ["EST=", "CA=", "EST_USER=", "EST_PASSWORD="];

/// A fenced block of commands, and the comment above it that says what it is.
struct Block<'a> {
    mark: &'a str,
    commands: &'a str,
}

fn blocks(page: &str) -> Result<Vec<Block<'_>>> {
    let mut found = Vec::new();
    for part in page.split("<!-- ").skip(1) {
        let (mark, rest) = part.split_once(" -->").context("a comment without an end")?;
        let (_, rest) = rest.split_once("```sh\n").context("a comment without a block below it")?;
        let (commands, _) = rest.split_once("```").context("a block without an end")?;
        found.push(Block { mark, commands });
    }
    ensure!(page.matches("```sh").count() == found.len(), "a block of commands has no mark above it");
    Ok(found)
}

#[test]
fn the_commands_of_the_page_on_est_do_what_it_says() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("est.md");
    let page = std::fs::read_to_string(page)?;
    let mut script = "set -eu\n".to_owned();
    for block in blocks(&page)? {
        match block.mark {
            "variables" => {
                for name in VARIABLES {
                    ensure!(block.commands.contains(&format!("\n{name}")), "the page does not set {name}");
                }
            }
            "run: estclient" if declared_absent("estclient")? => {}
            "run" | "run: estclient" => script.push_str(block.commands),
            mark => anyhow::bail!("unknown mark {mark}"),
        }
    }

    let scene = Scene::quickstart()?;
    let endpoint = scene.est("quickstart/devices")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    shell.env("PATH", format!("{}:{path}", cache_directory()?.join("bin").display()));
    shell.env("EST", endpoint.url("cacerts")?.trim_end_matches("/cacerts")).env("CA", &endpoint.ca);
    shell.env("EST_USER", "device-1").env("EST_PASSWORD", endpoint.password_of("device-1")?);
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the page fails:\n{script}\n{}", printed(&answer));
    let certificate = scene.workspace.file("device.pem");
    ensure!(openssl::is_for_key(&certificate, &scene.workspace.file("device.key"))?);
    Ok(())
}
