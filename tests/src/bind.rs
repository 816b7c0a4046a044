//! BIND 9 as the name server of one test: what a CA asks for names, and what clients of DNS-01 update (RFC 2136).

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::server::wait_until;
use crate::{Workspace, program};

/// The one zone. It is a whole top-level domain, so that every name above the ones in use has an answer, as CAA needs
/// (RFC 8659 §3).
pub const ZONE: &str = "test";

/// Whoever signs with this key may change the zone (RFC 8945).
pub const KEY_NAME: &str = "chancery-tests";
/// Base64, for HMAC-SHA-256.
pub const KEY_SECRET: &str = "bmFtZXMgb2YgdGhlIHRlc3RzIG9mIGNoYW5jZXJ5ISE=";

/// Every name below `acme.test` is on this machine; the other records are what the tests of CAA ask for. Nothing is cached
/// for longer than it takes to ask again.
const RECORDS: &str = "\
$TTL 1
@ SOA ns hostmaster 1 60 60 3600 1
@ NS ns
ns A 127.0.0.1
*.acme A 127.0.0.1
allowed.caa A 127.0.0.1
allowed.caa CAA 0 issue \"ca.test\"
foreign.caa A 127.0.0.1
foreign.caa CAA 0 issue \"another-ca.test\"
";

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running `named`. Dropping it kills it.
#[derive(Debug)]
pub struct Bind {
    process: Child,
    address: SocketAddr,
    directory: Workspace,
}

impl Bind {
    /// Starts it on a free port of loopback, and returns when it answers.
    pub fn start() -> Result<Self> {
        let directory = Workspace::new()?;
        let address = free_address()?;
        directory.write("zone", RECORDS)?;
        directory.write("key", key_clause())?;
        let configuration = directory.write("named.conf", configuration(&directory, address)?)?;
        let log = File::create(directory.file("log"))?;
        let process = Command::new(program::find("named")?)
            // In the foreground, its log on standard error; one thread is plenty.
            .args(["-g", "-n", "1", "-c"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot run named")?;
        let mut bind = Self { process, address, directory };
        if let Err(error) = bind.wait_until_it_answers() {
            let log = std::fs::read_to_string(bind.directory.file("log")).unwrap_or_default();
            return Err(error.context(log));
        }
        Ok(bind)
    }

    /// Where it answers, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TSIG key as a file, in the form that `named`, `nsupdate -k` and lego read.
    pub fn key_file(&self) -> PathBuf {
        self.directory.file("key")
    }

    /// Changes records, each line a command of `nsupdate`: `add NAME TTL TYPE DATA`, `delete NAME TYPE`. Names are whole,
    /// without the dot at the end.
    pub fn update(&self, commands: &[&str]) -> Result<()> {
        let Self { address, .. } = self;
        let mut script = format!("server {} {}\nzone {ZONE}\n", address.ip(), address.port());
        for command in commands {
            script.push_str(&format!("update {command}\n"));
        }
        script.push_str("send\n");
        let key = self.key_file();
        program::succeed("nsupdate", &["-k".as_ref(), key.as_os_str()], Some(script.as_bytes())).map(drop)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.connect(self.address)?;
        let process = std::cell::RefCell::new(&mut self.process);
        wait_until("named to answer", START_LIMIT, || {
            if let Some(status) = process.borrow_mut().try_wait()? {
                bail!("named ended: {status}");
            }
            let mut answer = [0; 512];
            let asked = socket.send(&question());
            Ok(asked.is_ok() && socket.recv(&mut answer).is_ok_and(|length| is_answer(&answer, length)))
        })
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free for UDP and TCP alike.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..32 {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free for UDP and TCP alike")
}

fn key_clause() -> String {
    format!("key \"{KEY_NAME}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{KEY_SECRET}\";\n}};\n")
}

fn configuration(directory: &Workspace, address: SocketAddr) -> Result<String> {
    let path = directory.path().to_str().context("the directory is not UTF-8")?;
    let (ip, port) = (address.ip(), address.port());
    Ok(format!(
        "options {{\n\
         \x20   directory \"{path}\";\n\
         \x20   listen-on port {port} {{ {ip}; }};\n\
         \x20   listen-on-v6 {{ none; }};\n\
         \x20   pid-file none;\n\
         \x20   session-keyfile none;\n\
         \x20   recursion no;\n\
         \x20   dnssec-validation no;\n\
         \x20   notify no;\n\
         }};\n\
         controls {{ }};\n\
         include \"{path}/key\";\n\
         zone \"{ZONE}\" {{ type primary; file \"zone\"; allow-update {{ key \"{KEY_NAME}\"; }}; }};\n"
    ))
}

/// Who is the name server of the zone (RFC 1035 §4.1): one question, type NS, class IN.
fn question() -> Vec<u8> {
    let head = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&head[..], b"\x04", ZONE.as_bytes(), &[0, 0, 2, 0, 1]].concat()
}

/// An answer to [`question`] without an error, with one record.
fn is_answer(message: &[u8], length: usize) -> bool {
    length > 12 && matches!(message, [0x12, 0x34, _, flags, _, _, _, 1, ..] if flags & 0x0f == 0)
}
