//! Peers that hold a connection without using it, or that speak something else: none keeps another from enrolling.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::Request;
use chancery_tests::openssl::CsrOptions;
use chancery_tests::{Endpoint, Scene};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// What an idle connection may cost the server, with its TLS session, in a debug build.
const BYTES_EACH: u64 = 64 * 1024;

fn scene(limits: &str) -> Result<Scene> {
    Scene::with(|resources| {
        resources.est_method("devices", "{authorityRef: {name: issuing}, preset: Device}")?;
        resources.replace("base.yaml", "  tls:", &format!("  limits: {limits}\n  tls:"))
    })
}

fn connect(endpoint: &Endpoint) -> Result<TcpStream> {
    let stream = TcpStream::connect(endpoint.authority()?)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn tls(endpoint: &Endpoint) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&endpoint.ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// A connection whose handshake is complete.
fn secured(endpoint: &Endpoint, config: &Arc<ClientConfig>) -> Result<(ClientConnection, TcpStream)> {
    let mut stream = connect(endpoint)?;
    let host = endpoint.authority()?.parse::<std::net::SocketAddr>()?.ip();
    let mut connection = ClientConnection::new(Arc::clone(config), ServerName::from(host))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok((connection, stream))
}

/// Reads until the server closes, and answers how long that took.
fn until_closed(stream: &mut TcpStream) -> Result<Duration> {
    let began = Instant::now();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error).context("the server did not close the connection"),
    }
    Ok(began.elapsed())
}

fn enroll(scene: &Scene, endpoint: &Endpoint, name: &str) -> Result<()> {
    let csr = CsrOptions::new(&format!("/CN={name}")).make(&scene.workspace, name)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der).ca(&endpoint.ca);
    request.user("x", &endpoint.passphrase()?).send()?.expect(200)?;
    Ok(())
}

#[test]
fn a_peer_that_speaks_no_tls_is_hung_up_on_and_others_enrol() -> Result<()> {
    let scene = scene("{handshakeTimeout: 2s}")?;
    let endpoint = scene.est("test/devices")?;
    let garbage: [&[u8]; 3] =
        [b"GET /.well-known/est/cacerts HTTP/1.1\r\n\r\n", &[0; 4096], b"\x16\x03\x01\xff\xff"];
    for bytes in garbage {
        let mut stream = connect(&endpoint)?;
        stream.write_all(bytes)?;
        ensure!(until_closed(&mut stream)? < Duration::from_secs(10));
    }
    enroll(&scene, &endpoint, "after-garbage")
}

#[test]
fn a_connection_that_is_half_open_ends_with_the_handshakes_time() -> Result<()> {
    let scene = scene("{handshakeTimeout: 1s}")?;
    let endpoint = scene.est("test/devices")?;
    let mut silent = connect(&endpoint)?;
    let mut closed = connect(&endpoint)?;
    closed.shutdown(Shutdown::Write)?;
    enroll(&scene, &endpoint, "meanwhile")?;
    ensure!(until_closed(&mut silent)? < Duration::from_secs(10));
    until_closed(&mut closed)?;
    Ok(())
}

#[test]
fn a_peer_that_sends_its_request_head_drop_by_drop_is_cut_off() -> Result<()> {
    let scene = scene("{headerTimeout: 1s}")?;
    let endpoint = scene.est("test/devices")?;
    let (mut connection, mut stream) = secured(&endpoint, &tls(&endpoint)?)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let began = Instant::now();
    let mut drops = b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: a\r\nX-Padding: "
        .iter()
        .chain(std::iter::repeat(&b'x'));
    // A drop every fifth of a second, for as long as the server takes them.
    loop {
        let drop = drops.next().context("drops never end")?;
        let mut wire = rustls::Stream::new(&mut connection, &mut stream);
        if wire.write_all(&[*drop]).and_then(|()| wire.flush()).is_err() {
            break;
        }
        match wire.read(&mut [0; 512]) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        ensure!(began.elapsed() < Duration::from_secs(15), "a slow head holds its connection");
    }
    enroll(&scene, &endpoint, "after-drops")
}

#[test]
fn ten_thousand_idle_connections_cost_what_is_said_and_a_device_still_enrols() -> Result<()> {
    const WANTED: usize = 10_000;
    let scene = scene("{connections: 12000, headerTimeout: 10m, handshakeTimeout: 1m}")?;
    let endpoint = scene.est("test/devices")?;
    let count = WANTED.min(descriptors(scene.server.pid())?.saturating_sub(200));
    enroll(&scene, &endpoint, "before")?;
    let before = resident(scene.server.pid())?;
    let config = tls(&endpoint)?;
    let mut idle = Vec::with_capacity(count);
    std::thread::scope(|scope| -> Result<()> {
        let open = || (0..count / 2).map(|_| secured(&endpoint, &config)).collect::<Result<Vec<_>>>();
        let threads = [scope.spawn(open), scope.spawn(open)];
        for thread in threads {
            let opened = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            idle.extend(opened);
        }
        Ok(())
    })?;
    let after = resident(scene.server.pid())?;
    let each = after.saturating_sub(before) / u64::try_from(idle.len())?;
    report(&format!(
        "{} idle connections: {} MiB resident before, {} MiB with them, {each} bytes each",
        idle.len(),
        before >> 20,
        after >> 20
    ));
    ensure!(each <= BYTES_EACH, "an idle connection costs {each} bytes; at most {BYTES_EACH} were expected");
    enroll(&scene, &endpoint, "among-many")?;
    // They were open all the time.
    for (_, stream) in &mut idle {
        stream.set_nonblocking(true)?;
        let mut peeked = [0];
        let closed = matches!(stream.peek(&mut peeked), Ok(0));
        ensure!(!closed, "the server hung up on an idle connection");
    }
    Ok(())
}

/// How many files this process and the server may open, as far as that can be raised.
fn descriptors(pid: u32) -> Result<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let raised = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let of_server = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = of_server.lines().find(|line| line.starts_with("Max open files")).context("no limit")?;
    let soft = line.split_whitespace().nth(3).context("no limit")?;
    let soft: u64 = soft.parse().unwrap_or(u64::MAX);
    Ok(usize::try_from(raised.min(soft)).unwrap_or(usize::MAX))
}

/// Bytes of memory that a process has.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}

#[allow(clippy::print_stderr, reason = "the figure is what a reader of the output wants")]
fn report(line: &str) {
    eprintln!("{line}");
}
