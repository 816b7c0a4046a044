//! A web server that says what it was told, and writes down what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

use super::key_authorization;

/// Lives as long as the value.
pub(crate) struct Web {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

/// What is said to one request.
#[derive(Clone)]
pub(crate) enum Say {
    /// These octets, and no more.
    Text(String),
    /// These octets, and then nothing for as long as the other side waits.
    Begin(String),
    /// These octets, and then others without end.
    Flood(String),
    /// Tells that it was asked, and says nothing until it is told to.
    Wait { asked: Arc<Notify>, go_on: Arc<Notify> },
}

impl Say {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Text(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn key_authorization() -> Self {
        Self::ok(&key_authorization())
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::Text(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
    }

    pub(crate) fn status(status: &str) -> Self {
        Self::Text(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    }
}

impl Web {
    /// The same to every request.
    pub(crate) async fn saying(address: [u8; 4], say: Say) -> Self {
        Self::on(address, 0, move |_| say.clone()).await
    }

    /// `say`: by the path. Port 0: any.
    pub(crate) async fn on(
        address: [u8; 4],
        port: u16,
        say: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(address), port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::new(say), heads.clone()));
        Self { port, heads, _server: server }
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The paths of the requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.heads().iter().map(|head| path(head).to_owned()).collect()
    }
}

type ByPath = Arc<dyn Fn(&str) -> Say + Send + Sync>;

async fn serve(listener: TcpListener, say: ByPath, heads: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, say.clone(), heads.clone()));
    }
}

async fn answer(mut stream: TcpStream, say: ByPath, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        head.push(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let say = say(path(&head));
    heads.lock().unwrap().push(head);
    match say {
        Say::Text(text) => {
            // Whoever was told enough hangs up.
            drop(stream.write_all(text.as_bytes()).await);
        }
        Say::Begin(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            drop(stream.read_u8().await);
        }
        Say::Flood(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
        Say::Wait { asked, go_on } => {
            asked.notify_one();
            go_on.notified().await;
        }
    }
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}
