//! As much of HTTP/1.1 as it takes to pass messages on: a head, and as many octets as `Content-Length` says.

use std::io::{ErrorKind, Read};

use anyhow::{Context, Result, bail};

/// A request or an answer, octets as received.
#[derive(Debug)]
pub struct Message {
    /// The first line and the fields, with the empty line that ends them.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Message {
    /// Whether the connection ends with it.
    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// What an ACME request is for: the part of its path behind the label, without identifiers (`new-order`, `finalize`).
    pub fn operation(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let behind_label: Vec<&str> = path.split('/').skip(3).collect();
        match behind_label.as_slice() {
            [.., "finalize"] => "finalize".to_owned(),
            [operation, ..] => (*operation).to_owned(),
            [] => "other".to_owned(),
        }
    }

    fn field(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.head);
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(value.trim().to_owned())
    }

    fn is_head_request(&self) -> bool {
        self.head.starts_with(b"HEAD ")
    }

    /// How long the body is, where the head does not end it all.
    fn length(&self, request: Option<&Self>) -> Result<usize> {
        let status = self.head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let is_answer = request.is_some();
        if request.is_some_and(Self::is_head_request) || (is_answer && matches!(status, b"204" | b"304")) {
            return Ok(0);
        }
        match self.field("content-length") {
            Some(length) => length.parse().with_context(|| format!("{length:?} is not a length")),
            None if is_answer => bail!("the answer does not say how long it is"),
            None => Ok(0),
        }
    }
}

/// Reads a request, or the answer to one. None: the peer has nothing more to say.
pub fn read_message(stream: &mut impl Read, request: Option<&Message>) -> Result<Option<Message>> {
    let mut bytes = Vec::with_capacity(4096);
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let read = match stream.read(&mut chunk) {
            Ok(read) => read,
            // Some clients end TCP without ending TLS.
            Err(error) if bytes.is_empty() && error.kind() == ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error.into()),
        };
        if read == 0 && bytes.is_empty() {
            return Ok(None);
        }
        add(&mut bytes, &chunk, read)?;
    };
    let mut message = Message { body: bytes.split_off(end), head: bytes };
    let length = message.length(request)?;
    while message.body.len() < length {
        let read = stream.read(&mut chunk)?;
        add(&mut message.body, &chunk, read)?;
    }
    if message.body.len() > length {
        bail!("more came than was announced");
    }
    Ok(Some(message))
}

fn add(bytes: &mut Vec<u8>, chunk: &[u8], read: usize) -> Result<()> {
    if read == 0 {
        bail!("the connection ended within a message");
    }
    bytes.extend(chunk.iter().take(read));
    Ok(())
}
