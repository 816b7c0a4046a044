//! The floor of a rustls server on this machine: TLS, the least of HTTP/1.1, one ECDSA P-256 signature a request.
//!
//! `tlsfloor CHAIN.pem KEY.pem THREADS` listens on a free port of loopback, prints the address, and serves until it is
//! killed. Blocking; each thread serves one connection at a time, so THREADS is the most connections at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// About what an EST answer weighs.
const ANSWER_BYTES: usize = 1000;
const REQUEST_LIMIT: usize = 16 * 1024;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [chain, key, threads] = arguments.as_slice() else {
        anyhow::bail!("usage: tlsfloor CHAIN.pem KEY.pem THREADS");
    };
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?);
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    println!("{}", listener.local_addr()?);

    let workers: Vec<_> = (0..threads.parse().context("THREADS is not a number")?)
        .map(|_| {
            let (listener, config) = (Arc::clone(&listener), Arc::clone(&config));
            std::thread::spawn(move || work(&listener, &config))
        })
        .collect();
    workers
        .into_iter()
        .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
}

fn work(listener: &TcpListener, config: &Arc<ServerConfig>) -> Result<()> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).context("cannot make a key")?;
    for connection in listener.incoming() {
        // A client that goes away ends its connection, not the thread.
        if let Err(error) = serve(connection?, Arc::clone(config), &key) {
            eprintln!("tlsfloor: {error:#}");
        }
    }
    Ok(())
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>, key: &EcdsaKeyPair) -> Result<()> {
    tcp.set_nodelay(true)?;
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, tcp);
    let random = SystemRandom::new();
    let mut received = Vec::with_capacity(REQUEST_LIMIT);
    while let Some(length) = read_request(&mut tls, &mut received)? {
        let signature = key.sign(&random, &received[..length]).context("cannot sign")?;
        let mut body = [b'x'; ANSWER_BYTES];
        body[..8].copy_from_slice(&signature.as_ref()[..8]);
        write!(tls, "HTTP/1.1 200 OK\r\nContent-Length: {ANSWER_BYTES}\r\n\r\n")?;
        tls.write_all(&body)?;
        tls.flush()?;
        received.drain(..length);
    }
    Ok(())
}

/// Reads until `received` begins with a whole request and answers its length; None when the client has closed.
fn read_request(tls: &mut impl Read, received: &mut Vec<u8>) -> Result<Option<usize>> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(length) = request_length(received)
            && received.len() >= length
        {
            return Ok(Some(length));
        }
        ensure!(received.len() < REQUEST_LIMIT, "the request is too long");
        match tls.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(read) => received.extend_from_slice(&chunk[..read]),
            Err(error) if received.is_empty() && error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn request_length(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let value = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Some(head + value.map_or(0, |value| value.trim().parse().unwrap_or(0)))
}
