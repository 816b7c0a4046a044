//! A network between store and server that loses what it is told to lose.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What is lost of the next `COMMIT`; the connection is cut with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It never reaches the server.
    Commit,
    /// The server's answer.
    Answer,
}

/// Forwards connections to a server as long as it lives.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    losses: Arc<Mutex<Vec<Loss>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let losses: Arc<Mutex<Vec<Loss>>> = Arc::default();
        let task = {
            let losses = losses.clone();
            tokio::spawn(async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::spawn(forward(client, server, losses.clone()));
                }
            })
        };
        Self { address, losses, task }
    }

    /// Loses these, the last one first, one for each `COMMIT`.
    pub(super) fn lose(&self, losses: &[Loss]) {
        *self.losses.lock().unwrap() = losses.to_vec();
    }

    /// Whether all was lost that was to be lost.
    pub(super) fn is_done(&self) -> bool {
        self.losses.lock().unwrap().is_empty()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, losses: Arc<Mutex<Vec<Loss>>>) {
    let (mut request, mut answer) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                // A simple query: the type, the length, the text, a NUL.
                let commits = request[..length].windows(7).any(|window| window == b"COMMIT\0");
                let loss = if commits { losses.lock().unwrap().pop() } else { None };
                if loss == Some(Loss::Commit) || server.write_all(&request[..length]).await.is_err() {
                    return;
                }
                if loss == Some(Loss::Answer) {
                    let _ = server.read(&mut answer).await;
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
