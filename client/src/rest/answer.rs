//! What comes back.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
    response::Parts,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::{Problem, error::ClientError};

/// Of an answer that is held as a whole: a page of a thousand objects is a fraction of it.
const LONGEST: usize = 64 * 1024 * 1024;

/// Of a problem document.
const LONGEST_PROBLEM: usize = 1024 * 1024;

const PROBLEM_JSON: &[u8] = b"application/problem+json";

/// A success whose body is still to come.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    /// # Errors
    /// [`ClientError::Problem`] where the server says no.
    pub(super) async fn read(head: Parts, body: Incoming) -> Result<Self, ClientError> {
        let (status, headers) = (head.status, head.headers);
        if status.is_success() {
            return Ok(Self { status, headers, body });
        }
        let is_problem =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON));
        if !is_problem {
            return Err(ClientError::Status(status));
        }
        let document = whole(body, LONGEST_PROBLEM).await?;
        let problem: Box<Problem> = serde_json::from_slice(&document).map_err(ClientError::Body)?;
        Err(ClientError::Problem { problem, retry_after: retry_after(&headers) })
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text of a header.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When asking again can help.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// An object.
    ///
    /// # Errors
    /// [`ClientError`] where the body breaks off, or is something else.
    pub async fn object<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.bytes().await?).map_err(ClientError::Body)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`ClientError`] where it breaks off, or is longer than an answer that is held as a whole may be.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        whole(self.body, LONGEST).await
    }

    /// Writes the body as it arrives, however long it is, and answers how many octets there were.
    ///
    /// # Errors
    /// [`ClientError::Http`] where the body breaks off; [`ClientError::Write`].
    pub async fn write_to(mut self, mut sink: impl io::Write) -> Result<u64, ClientError> {
        let mut written: u64 = 0;
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(ClientError::Http)?;
            if let Some(data) = frame.data_ref() {
                sink.write_all(data).map_err(ClientError::Write)?;
                written += data.len() as u64;
            }
        }
        sink.flush().map_err(ClientError::Write)?;
        Ok(written)
    }
}

/// RFC 9110 §10.2.3, in seconds, as the server writes it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, ClientError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(broken) => ClientError::Http(*broken),
            Err(_too_long) => ClientError::TooLong(limit),
        }),
    }
}
