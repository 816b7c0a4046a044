//! Request bodies with a size and a time limit.

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
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
    inner: Limited<Incoming>,
    deadline: Instant,
    /// Made at the first wait: a small body arrives with its head and never needs a timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl GuardedBody {
    pub(super) fn new(body: Incoming, limit: usize, within: Duration) -> Self {
        Self { inner: Limited::new(body, limit), deadline: Instant::now() + within, timer: None }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| Some(Err(BodyError::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
