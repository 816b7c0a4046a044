//! `cargo xtask quickstart`: from a fresh checkout to a certificate that a device enrolled for.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chancery_tests::{Endpoint, Resources, Server, Settings, server};

use crate::packages::{self, CC, CURL, OPENSSL};
use crate::shell;

/// The method in `examples/quickstart` that the device uses, its name and its user.
const METHOD: &str = "quickstart/devices";
const USER: &str = "device-1";
const DEVICE_NAME: &str = "device-1.devices.example";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the server keeps its data, and the device its key and certificate; emptied first
    #[arg(long, default_value = "target/quickstart")]
    directory: PathBuf,
}

/// Builds, starts, enrols, shows, stops. Every command that a person would type is shown before it runs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    packages::require(&[OPENSSL, CURL, CC])?;

    step("1/5", "Building the server (a few minutes the first time)");
    let binary = server::release_binary()?;

    step("2/5", "Starting it on examples/quickstart, without a cluster");
    let directory = fresh_directory(&options.directory)?;
    // A copy, to be played with; and the address that certificates carry is the one of this run.
    let resources = Resources::quickstart(&directory)?;
    let (device, public, private) = (free_or_any(8443)?, free_or_any(8080)?, free_or_any(8081)?);
    resources.public_base_url(&format!("http://{public}"))?;
    let data = directory.join("data");
    let settings =
        Settings::with_binary(binary.clone(), resources.path(), &data).listen(device, public, private);
    let server = Server::start(settings)?;
    for line in server.stdout() {
        println!("    {line}");
    }
    let endpoints = server.endpoints()?;
    let device = Device { directory: directory.join("device"), endpoint: endpoints.est(METHOD)? };

    step("3/5", "The device fetches the authority's certificates and asks for its own");
    device.enrol()?;

    step("4/5", "The certificate, verified by openssl");
    device.show()?;

    step("5/5", "Stopping the server");
    let (settings, status) = server.stop()?;
    ensure!(
        status.success(),
        "the server did not stop cleanly: {status}; its log: {}",
        settings.log().display()
    );
    println!("    stopped cleanly\n");
    println!("Done in {} s. All of it lies in {}.\n", started.elapsed().as_secs(), directory.display());
    what_next(&binary, resources.path(), &data);
    Ok(())
}

struct Device<'a> {
    directory: PathBuf,
    endpoint: &'a Endpoint,
}

impl Device<'_> {
    /// RFC 7030 §4.1 and §4.2 with curl and openssl.
    fn enrol(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let ca = path_text(&self.endpoint.ca)?;
        let cacerts_url = self.endpoint.url("cacerts")?;
        let enroll_url = self.endpoint.url("simpleenroll")?;
        let credential = self.endpoint.user(USER)?;
        let user = format!("{USER}:{}", credential.password()?);
        let file = credential.password_file.as_deref().context("the password is in no file")?;
        let shown = format!("{USER}:$(cat {})", short(file));
        let curl = ["--silent", "--show-error", "--fail-with-body", "--cacert", ca];

        self.run("curl", &[&curl[..], &["--output", "cacerts.b64", &cacerts_url]].concat())?;
        self.certificates("cacerts.b64", "cacerts.pem")?;

        let key =
            ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "device.key"];
        self.run("openssl", &key)?;
        let (subject, names) = (format!("/CN={DEVICE_NAME}"), format!("subjectAltName=DNS:{DEVICE_NAME}"));
        let csr = ["req", "-new", "-key", "device.key", "-subj", &subject, "-addext", &names];
        self.run("openssl", &[&csr[..], &["-outform", "DER", "-out", "device.csr"]].concat())?;
        self.run("openssl", &["base64", "-e", "-in", "device.csr", "-out", "device.csr.b64"])?;

        let headers =
            ["--header", "Content-Type: application/pkcs10", "--header", "Content-Transfer-Encoding: base64"];
        let body = ["--data-binary", "@device.csr.b64", "--output", "device.p7.b64", &enroll_url];
        let mut command =
            self.command("curl", &[&curl[..], &["--user", &user], &headers[..], &body[..]].concat());
        let line = shell::line(&command).replace(&user, &shown);
        shell::run_shown(&mut command, &line)?;
        self.certificates("device.p7.b64", "device.pem")
    }

    fn show(&self) -> Result<()> {
        self.run("openssl", &["verify", "-CAfile", "cacerts.pem", "device.pem"])?;
        let fields =
            ["-noout", "-subject", "-issuer", "-serial", "-dates", "-ext", "subjectAltName,extendedKeyUsage"];
        self.run("openssl", &[&["x509", "-in", "device.pem"], &fields[..]].concat())
    }

    /// base64 of a certs-only PKCS#7 (RFC 7030 §4.1.3) to PEM.
    fn certificates(&self, from: &str, to: &str) -> Result<()> {
        let der = format!("{to}.p7");
        self.run("openssl", &["base64", "-d", "-in", from, "-out", &der])?;
        self.run("openssl", &["pkcs7", "-inform", "DER", "-in", &der, "-print_certs", "-out", to])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        shell::run(&mut self.command(program, arguments))
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = shell::command(program);
        command.current_dir(&self.directory).args(arguments);
        command
    }
}

fn what_next(binary: &Path, resources: &Path, data: &Path) {
    let (binary, resources, data) = (short(binary), short(resources), short(data));
    println!("What to try next:");
    println!("  Run the server and leave it running:");
    println!("      {binary} standalone --resources {resources} --data {data}");
    println!("  See what it issued, then take a certificate back:");
    println!("      {binary} certificates list --data {data}");
    println!("      {binary} certificates revoke SERIAL --reason keyCompromise --data {data}");
    println!("  Check the audit trail:");
    println!("      {binary} audit verify --data {data}");
    println!("  Change what a device may ask for while the server runs: edit {resources}/*.yaml");
    println!("  Enrol by hand, with curl or another EST client: docs/est.md");
}

/// An empty directory of ours. One that holds something else is left alone.
fn fresh_directory(directory: &Path) -> Result<PathBuf> {
    const MARK: &str = ".chancery-quickstart";
    let directory = shell::repository().join(directory);
    if directory.exists() {
        let empty = fs::read_dir(&directory)?.next().is_none();
        let ours = directory.join(MARK).is_file();
        ensure!(empty || ours, "{} holds other files; choose another --directory", directory.display());
        fs::remove_dir_all(&directory).with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    fs::write(directory.join(MARK), "Made by `cargo xtask quickstart`, which may empty this directory.\n")?;
    Ok(directory)
}

/// The usual port where it is free, else another one that is.
fn free_or_any(port: u16) -> Result<SocketAddr> {
    let loopback = |port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    let listener = loopback(port).or_else(|_| loopback(0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

fn step(number: &str, title: &str) {
    println!("\n[{number}] {title}");
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// A path as one would type it at the top of the repository.
fn short(path: &Path) -> String {
    path.strip_prefix(shell::repository()).unwrap_or(path).display().to_string()
}
