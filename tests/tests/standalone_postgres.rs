//! A standalone server whose rows are in PostgreSQL: the same life, and a password that stays where it is.

use std::time::Duration;

use anyhow::{Result, ensure};
use chancery_postgres::{Postgres, Settings as PostgresSettings};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::openssl::CsrOptions;
use chancery_tests::{Endpoint, Resources, Server, Settings, Workspace, program};

/// How long readiness may lag behind.
const PATIENCE: Duration = Duration::from_secs(30);

fn resources(workspace: &Workspace) -> Result<Resources> {
    let resources = Resources::base(workspace.path())?;
    resources.est_method("devices", "{authorityRef: {name: issuing}, preset: Device}")?;
    Ok(resources)
}

fn enroll(workspace: &Workspace, endpoint: &Endpoint, name: &str) -> Result<Answer> {
    let csr = CsrOptions::new(&format!("/CN={name}")).make(workspace, name)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der).ca(&endpoint.ca);
    request.user("anybody", &endpoint.passphrase()?).send()
}

#[test]
fn rows_are_in_the_database_and_its_password_is_nowhere() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = resources(&workspace)?;
    let postgres = Postgres::shared()?;
    let url = postgres.create_database()?;
    let data = workspace.file("data");
    let plain = Settings::new(resources.path(), &data)?;
    let settings = plain.clone().environment("CHANCERY_DATABASE_URL", &url);
    let server = Server::start(settings)?;
    enroll(&workspace, &server.endpoints()?.est("test/devices")?.clone(), "one")?.expect(200)?;
    let issued = postgres.execute(&url, "SELECT count(*) FROM certificates WHERE subject = 'CN=one'")?;
    ensure!(issued == "1", "{issued} rows");
    ensure!(!data.join("chancery.db").exists(), "there is a database in the data folder as well");

    let listed = server.settings().run(&["certificates", "list"])?;
    ensure!(listed.contains("CN=one"), "{listed}");
    server.settings().run(&["audit", "verify"])?;
    // Without the database the command does not make an empty one up.
    let lost = program::output(&mut plain.command(&["certificates", "list"]), None)?;
    let text = program::printed(&lost);
    ensure!(!lost.status.success() && text.contains("--database"), "{text}");

    let (settings, status) = server.stop()?;
    ensure!(status.success(), "{status}");
    let server = Server::start(settings)?;
    enroll(&workspace, &server.endpoints()?.est("test/devices")?.clone(), "two")?.expect(200)?;
    server.settings().run(&["audit", "verify"])?;
    let metrics = server.private("/metrics")?.text();
    let (log, status) = (server.log()?, std::fs::read_to_string(data.join("status.json"))?);
    for (place, text) in [("the log", &log), ("status.json", &status), ("metrics", &metrics)] {
        for password in [postgres.password(), "p%40ss"] {
            ensure!(!text.contains(password), "the password of the database is in {place}");
        }
    }
    Ok(())
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = resources(&workspace)?;
    let plain = Settings::new(resources.path(), &workspace.file("data"))?;
    let cases = [
        ("postgres://ann:hunter2@db.example/rows", "sslrootcert"),
        ("postgres://ann:hunter2@127.0.0.1:1/rows", "postgres://ann@127.0.0.1:1/rows"),
        ("postgres://ann:hunter2@127.0.0.1/rows?sslmode=prefer", "sslmode"),
        ("mysql://ann:hunter2@db.example/rows", "postgres://"),
    ];
    for (url, expected) in cases {
        let settings = plain.clone().environment("CHANCERY_DATABASE_URL", url);
        let mut command = settings.command(&["standalone"]);
        let answer = program::output(command.arg("--resources").arg(resources.path()), None)?;
        let text = program::printed(&answer);
        ensure!(!answer.status.success() && text.contains(expected), "{url}: {text}");
        ensure!(!text.contains("hunter2"), "{text}");
        let help =
            program::printed(&program::output(&mut settings.command(&["standalone", "--help"]), None)?);
        ensure!(help.contains("CHANCERY_DATABASE_URL") && !help.contains("hunter2"), "{help}");
    }
    Ok(())
}

#[test]
fn a_database_that_stops_makes_the_server_unready_until_it_runs_again() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = resources(&workspace)?;
    let postgres = Postgres::start(&PostgresSettings::default())?;
    let url = postgres.create_database()?;
    let settings = Settings::new(resources.path(), &workspace.file("data"))?;
    let server = Server::start(settings.environment("CHANCERY_DATABASE_URL", &url))?;
    let endpoint = server.endpoints()?.est("test/devices")?.clone();
    enroll(&workspace, &endpoint, "before")?.expect(200)?;
    postgres.crash()?;
    let refused = enroll(&workspace, &endpoint, "meanwhile")?.expect(503)?;
    ensure!(
        refused.header("retry-after").is_some() && !refused.text().contains("database"),
        "{}",
        refused.text()
    );
    let ready = |status| move |server: &Server| Ok(server.private("/readyz")?.status == status);
    server.wait_until("the server to say that it is not ready", PATIENCE, ready(503))?;
    postgres.run()?;
    enroll(&workspace, &endpoint, "after")?.expect(200)?;
    server.wait_until("the server to be ready again", PATIENCE, ready(200))?;
    let subjects =
        postgres.execute(&url, "SELECT subject FROM certificates WHERE protocol = 'est' ORDER BY number")?;
    ensure!(subjects == "CN=before\nCN=after", "{subjects}");
    server.settings().run(&["audit", "verify"])?;
    Ok(())
}
