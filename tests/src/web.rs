//! A web server of one address, which the server asks whether a name is somebody's (http-01, RFC 8555 §8.3).

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::http::read_message;

/// Has the files that it was given, and nothing else. Dropping it ends it.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Known {
    /// By path.
    files: HashMap<String, String>,
    /// The paths that were asked for.
    asked: Vec<String>,
}

impl Web {
    /// On a port of choice, or any that is free.
    pub fn serve(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).context("no port for http-01")?;
        let address = listener.local_addr()?;
        let known = Arc::<Mutex<Known>>::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let (all, stop) = (known.clone(), stopped.clone());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                // Who asks and goes away has to ask again.
                drop(answer(stream, &all));
            }
        });
        Ok(Self { address, known, stopped, accepting: Some(accepting) })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A file for whoever asks for this path.
    pub fn offer(&self, path: &str, content: &str) {
        locked(&self.known).files.insert(path.to_owned(), content.to_owned());
    }

    /// The paths that were asked for, whether or not there were files.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.known).asked.clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn answer(mut stream: TcpStream, known: &Mutex<Known>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let Some(request) = read_message(&mut stream, None)? else { return Ok(()) };
    let head = String::from_utf8_lossy(&request.head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let found = {
        let mut known = locked(known);
        known.asked.push(path.to_owned());
        known.files.get(path).cloned()
    };
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.unwrap_or_default();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    Ok(())
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
