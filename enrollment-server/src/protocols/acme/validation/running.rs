//! A validation that has begun.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tokio::runtime::Handle;

/// It goes on while somebody waits for it, on the same thread, because most are over before another one would have been
/// woken; and by itself as soon as nobody does.
pub struct Running(Option<BoxFuture<'static, ()>>);

impl Running {
    pub(super) fn new(validation: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(validation)))
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(validation) = &mut self.0 else { return Poll::Ready(()) };
        let ended = validation.as_mut().poll(context);
        if ended.is_ready() {
            self.0 = None;
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where the process ends, the job is what is left.
        if let (Some(validation), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(validation);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("ended", &self.0.is_none()).finish()
    }
}
