//! The answers to http-01 (RFC 8555 §8.3), on one address of loopback for each name.

use std::net::Ipv4Addr;
use std::sync::mpsc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::epoch::Event;

/// Answers whatever token is asked for, until the runtime ends: the key authorization is the token and the thumbprint of the
/// account's key (RFC 8555 §8.1).
pub(crate) async fn serve(
    address: Ipv4Addr,
    port: u16,
    thumbprint: &str,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let listener = TcpListener::bind((address, port)).await.context("no port for http-01")?;
    let thumbprint = thumbprint.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever kills may no longer be listening.
            let _ = events.send(Event::Validation);
            // Who asks and is killed asks again.
            drop(answer(stream, &thumbprint).await);
        }
    });
    Ok(())
}

async fn answer(mut stream: TcpStream, thumbprint: &str) -> Result<()> {
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        anyhow::ensure!(read > 0, "the connection ended within a request");
        head.extend(chunk.iter().take(read));
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let token = path.strip_prefix("/.well-known/acme-challenge/").context("not a challenge")?;
    let body = format!("{token}.{thumbprint}");
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    Ok(stream.write_all(answer.as_bytes()).await?)
}
