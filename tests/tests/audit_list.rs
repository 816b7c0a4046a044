//! `chancery-server audit list` and `audit export` show those records that are asked for.

use anyhow::{Context, Result, ensure};
use chancery_tests::Scene;
use chancery_tests::curl::Request;
use chancery_tests::openssl::CsrOptions;

/// One device enrolled, its certificate revoked; gives the serial number.
fn enrolled_and_revoked() -> Result<(Scene, String)> {
    let scene = Scene::with(|resources| {
        resources.est_method("short", "{authorityRef: {name: issuing}, preset: Device}")
    })?;
    let endpoint = scene.est("test/short")?;
    let csr = CsrOptions::new("/CN=device-1").make(&scene.workspace, "device-1")?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der).ca(&endpoint.ca);
    request.user("x", &endpoint.passphrase()?).send()?.expect(200)?;
    let all = scene.server.settings().run(&["certificates", "list", "--method", "test/short"])?;
    let serial = all.split_whitespace().next().context("no serial number")?.to_owned();
    scene.server.settings().run(&["certificates", "revoke", &serial])?;
    Ok((scene, serial))
}

fn lines(scene: &Scene, command: &str, options: &[&str]) -> Result<Vec<String>> {
    let text = scene.server.settings().run(&[&["audit", command], options].concat())?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn each_filter_shows_what_it_says_and_together_they_must_all_hold() -> Result<()> {
    let (scene, serial) = enrolled_and_revoked()?;
    let (issued, revoked) = ("certificateIssued", "certificateRevoked");
    let table: [(&[&str], &[&str]); 8] = [
        (&["--serial", &serial], &[issued, revoked]),
        (&["--serial", &serial, "--newest-first"], &[issued, revoked]),
        (&["--method", "test/short", "--action", issued], &[issued]),
        (&["--actor", "x", "--outcome", "done"], &[issued]),
        (&["--action", revoked, "--from", "1h"], &[revoked]),
        (&["--action", revoked, "--until", "1h"], &[]),
        (&["--profile", "test/nothing"], &[]),
        (&["--serial", &serial, "--outcome", "refused"], &[]),
    ];
    for (filter, expected) in table {
        let found = lines(&scene, "list", filter)?;
        let mut found: Vec<_> = found.iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
        // The server and the command line write streams of their own, maybe within one second.
        found.sort_unstable();
        ensure!(found == expected, "{filter:?} shows {found:?}");
    }
    let limited = lines(&scene, "list", &["--serial", &serial, "--newest-first", "--limit", "1"])?;
    ensure!(limited.len() == 1, "{limited:?}");
    let json = lines(&scene, "list", &["--serial", &serial, "--format", "json"])?.concat();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json)?;
    let mut actions: Vec<_> = rows.iter().filter_map(|row| row.get("action")?.as_str()).collect();
    actions.sort_unstable();
    ensure!(actions == [issued, revoked], "{json}");
    Ok(())
}

#[test]
fn an_export_is_the_whole_trail_or_what_is_asked_for_in_either_form() -> Result<()> {
    let (scene, serial) = enrolled_and_revoked()?;
    let verified = scene.server.settings().run(&["audit", "verify"])?;
    let records: usize = verified.split_whitespace().next().context("no count")?.parse()?;
    let jsonl = lines(&scene, "export", &[])?;
    let syslog = lines(&scene, "export", &["--format", "syslog"])?;
    // Between the commands the server may have made a revocation list.
    ensure!(jsonl.len() >= records && syslog.len() >= jsonl.len(), "{records} {}", jsonl.len());
    for line in &jsonl {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let body = record.get("body").and_then(|body| body.as_str()).context("no body")?;
        serde_json::from_str::<serde_json::Value>(body)?;
    }
    let one = lines(
        &scene,
        "export",
        &["--format", "syslog", "--serial", &serial, "--action", "certificateIssued"],
    )?;
    let [message] = one.as_slice() else { anyhow::bail!("{one:?}") };
    ensure!(message.starts_with("<110>1 ") && message.ends_with("] certificateIssued done"), "{message}");
    for part in
        [" - chancery - certificateIssued [audit@32473 ", &format!(" serial=\"{serial}\""), " actor=\"x\""]
    {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    let numbered = ["--format", "syslog", "--enterprise-number", "64000", "--serial", &serial];
    ensure!(lines(&scene, "export", &numbered)?.iter().all(|line| line.contains(" [audit@64000 ")));
    Ok(())
}

#[test]
fn a_filter_that_cannot_be_read_says_how_it_is_written() -> Result<()> {
    let (scene, _) = enrolled_and_revoked()?;
    for (filter, hint) in [
        (["--from", "yesterday"], "2027-01-31"),
        (["--outcome", "Done"], "done, pending, refused or failed"),
        (["--action", "issued"], "an action of the audit trail"),
    ] {
        let refused = lines(&scene, "list", &filter);
        let error = refused.err().with_context(|| format!("{filter:?} was taken"))?;
        ensure!(format!("{error:#}").contains(hint), "{error:#}");
    }
    Ok(())
}
