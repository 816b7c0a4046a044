//! A disk that takes nothing more: devices are told to come back, nothing is half done, and nobody has to restart.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::openssl::{CsrOptions, base64_lines};
use chancery_tests::server::{Server, binary};
use chancery_tests::{Endpoint, Resources, Settings, Workspace};

fn resources(workspace: &Workspace) -> Result<Resources> {
    let resources = Resources::base(workspace.path())?;
    resources.est_method("devices", "{authorityRef: {name: issuing}, preset: Device}")?;
    Ok(resources)
}

struct Device {
    endpoint: Endpoint,
    passphrase: String,
    body: Vec<u8>,
}

impl Device {
    fn new(server: &Server, workspace: &Workspace) -> Result<Self> {
        let endpoint = server.endpoints()?.est("test/devices")?.clone();
        let body = base64_lines(&CsrOptions::new("/CN=device-1").make(workspace, "device")?.der)?;
        Ok(Self { passphrase: endpoint.passphrase()?, endpoint, body })
    }

    fn enroll(&self) -> Result<Answer> {
        let url = self.endpoint.url("simpleenroll")?;
        Request::post(&url, self.body.clone()).ca(&self.endpoint.ca).user("x", &self.passphrase).send()
    }
}

/// What a device is told, and what is still there for others.
fn check_refused(device: &Device, server: &Server, answer: Answer) -> Result<()> {
    let answer = answer.expect(503)?;
    ensure!(answer.header("retry-after").is_some(), "no Retry-After: {:?}", answer.headers);
    ensure!(answer.text().contains("cannot record certificates at the moment"), "{}", answer.text());
    let url = device.endpoint.url("cacerts")?;
    Request::get(&url).ca(&device.endpoint.ca).send()?.expect(200)?;
    server.wait_until("the readiness to say so", Duration::from_secs(30), |server| {
        Ok(server.private("/readyz")?.status == 503)
    })
}

/// The server works again by itself, and its rows are those certificates that somebody received.
fn check_recovered(device: &Device, server: &Server, received: usize) -> Result<()> {
    server.wait_until("the server to recover", Duration::from_secs(30), |_| {
        Ok(device.enroll()?.status == 200)
    })?;
    server.wait_until("the readiness", Duration::from_secs(30), |server| {
        Ok(server.private("/readyz")?.status == 200)
    })?;
    let settings = server.settings();
    settings.run(&["audit", "verify"])?;
    let listed = settings.run(&["certificates", "list", "--method", "test/devices"])?;
    let rows = listed.lines().filter(|line| line.contains("CN=device-1")).count();
    ensure!(rows == received + 1, "{rows} rows; {} certificates were received", received + 1);
    let trail = settings.run(&["audit", "export"])?;
    let issued = trail
        .lines()
        .filter(|line| line.contains("certificateIssued") && line.contains("CN=device-1"))
        .count();
    ensure!(issued == rows, "{issued} records of {rows} certificates");
    Ok(())
}

/// No file may grow past this, in the server alone: what a quota does, and nearly what a read-only disk does.
fn limit_files(server: &Server, limit: &str) -> Result<()> {
    let pid = server.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:")]).status()?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

/// The server with SIGXFSZ ignored, so that a write past the limit fails instead of ending it.
fn wrapped(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let real = binary()?;
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec {} \"$@\"\n", real.display());
    let path = workspace.write("chancery-server", script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

#[test]
fn files_that_cannot_be_written_are_a_503_until_they_can() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = resources(&workspace)?;
    let settings = Settings::with_binary(wrapped(&workspace)?, resources.path(), &workspace.file("data"));
    let server = Server::start(settings)?;
    let device = Device::new(&server, &workspace)?;
    device.enroll()?.expect(200)?;
    limit_files(&server, "1")?;
    for _ in 0..3 {
        check_refused(&device, &server, device.enroll()?)?;
    }
    limit_files(&server, "unlimited")?;
    check_recovered(&device, &server, 1)
}

/// A small disk of its own, which goes away with it.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// None where this user may not mount, which containers forbid even to root.
    fn mount(path: &'a Path) -> Result<Option<Self>> {
        std::fs::create_dir(path)?;
        let answer = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs"])
            .arg(path)
            .output()?;
        Ok(answer.status.success().then_some(Self(path)))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_a_503_until_there_is_room() -> Result<()> {
    let workspace = Workspace::new()?;
    let path = workspace.file("disk");
    let Some(disk) = SmallDisk::mount(&path)? else {
        // The other test of this file needs no rights, and that of the store itself none either.
        return Ok(());
    };
    let resources = resources(&workspace)?;
    let server = Server::start(Settings::new(resources.path(), &disk.0.join("data"))?)?;
    let device = Device::new(&server, &workspace)?;
    let ballast = disk.0.join("ballast");
    fill(&ballast)?;
    // The database may have a page or two to spare.
    let mut received = 0;
    let refused = loop {
        let answer = device.enroll()?;
        if answer.status != 200 {
            break answer;
        }
        received += 1;
        ensure!(received < 2000, "the disk is never full");
    };
    check_refused(&device, &server, refused)?;
    std::fs::remove_file(&ballast)?;
    check_recovered(&device, &server, received)?;
    let (_, status) = server.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}

/// Writes zeros until there is no room for one more.
fn fill(path: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let length = file.metadata().context("the ballast is gone")?.len();
    ensure!(length > 0, "there was no room at all");
    Ok(())
}
