//! Request bodies with a size and a time limit.

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed, as declared or as sent.
    #[error("the request body is too large")]
    TooLarge,
    /// The peer took too long to send it.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The connection ended or broke its protocol.
    #[error("the request body is incomplete")]
    Broken,
}

impl BodyError {
    /// The status code of RFC 9110 for it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}

/// Reads a whole body of at most `limit` bytes within `within`. Call it before anything else looks at the body, and
/// turn the error into the words of the protocol; the listener's own limits hold beneath these.
pub async fn read_body(body: Body, limit: usize, within: Duration) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    match timeout(within, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) => Err(classify(&*error)),
        Err(_elapsed) => Err(BodyError::TimedOut),
    }
}

/// A body that the listener holds to its limits even where a handler forgets [`read_body`].
///
/// The error of a body that is too large stays a [`LengthLimitError`], for which the extractors of axum answer 413.
#[derive(Debug)]
pub(super) struct GuardedBody {
    /// None only while it is dropped.
    inner: Option<Limited<Incoming>>,
    deadline: Instant,
    /// Made at the first wait: a small body arrives with its head and never needs a timer.
    timer: Option<Pin<Box<Sleep>>>,
    unread: Option<Unread>,
}

/// Where what a handler did not read of its body ends up.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<Mutex<Option<Limited<Incoming>>>>);

impl Unread {
    /// Reads what is left, at most what the body's limit allows, and forgets it.
    pub(super) async fn drain(&self, within: Duration) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(body) = left {
            // Too much or too late: the stream is reset after all.
            let _ = timeout(within, body.collect()).await;
        }
    }
}

impl GuardedBody {
    /// `unread` takes the body back from a handler that answers without it.
    pub(super) fn new(body: Incoming, limit: usize, within: Duration, unread: Option<Unread>) -> Self {
        let inner = Some(Limited::new(body, limit));
        Self { inner, deadline: Instant::now() + within, timer: None, unread }
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        if let (Some(unread), Some(inner)) = (&self.unread, self.inner.take())
            && !inner.is_end_stream()
        {
            *unread.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inner);
        }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| Some(Err(BodyError::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// Finds the cause beneath the wrappings that a body collects on its way through the router.
fn classify(error: &(dyn StdError + 'static)) -> BodyError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return BodyError::TooLarge;
        }
        if let Some(known) = error.downcast_ref::<BodyError>() {
            return *known;
        }
        cause = error.source();
    }
    BodyError::Broken
}
