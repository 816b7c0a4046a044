//! What an error says of a request: whether it may have been done all the same, and whether to ask again.

use std::{error::Error, future::Future, io, iter, time::Duration};

use anyhow::Context as _;
use client::rest::ClientError;
use tokio::time::sleep;

/// How often is asked where it is not known what came of it: with the pauses between, a restart of the server passes.
const ATTEMPTS: u32 = 5;

/// Before the second time, where the server does not say. Then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Whoever is to wait for longer hears it instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why there is no answer in the end.
#[derive(Debug)]
pub(super) struct Unanswered {
    error: ClientError,
    /// It may have been done the same.
    uncertain: bool,
}

impl Unanswered {
    /// The error, and what that means if it may have been done.
    pub(super) fn explained(self, meaning: impl FnOnce() -> String) -> anyhow::Error {
        match self.uncertain {
            true => anyhow::Error::new(self.error).context(meaning()),
            false => self.error.into(),
        }
    }
}

/// Asks until it is known what came of it, for what is done once however often it is asked for. Of what was never sent it is
/// known.
///
/// # Errors
/// [`Unanswered`].
pub(super) async fn until_known<T, F>(ask: impl Fn() -> F) -> Result<T, Unanswered>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let (mut uncertain, mut left, mut unless_said) = (false, ATTEMPTS, FIRST_PAUSE);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        left -= 1;
        // Whatever is said later: the first may have been done.
        uncertain |= may_be_done(&error);
        match pause(&error, unless_said) {
            Some(pause) if uncertain && left > 0 && pause <= LONGEST_PAUSE => sleep(pause).await,
            Some(_) | None => return Err(Unanswered { error, uncertain }),
        }
        unless_said *= 2;
    }
}

/// The error of something that is done once and cannot be asked for again.
pub(super) fn explained<T>(
    answer: Result<T, ClientError>,
    meaning: impl FnOnce() -> String,
) -> anyhow::Result<T> {
    match answer {
        Err(error) if may_be_done(&error) => Err(error).with_context(meaning),
        answered => Ok(answered?),
    }
}

/// How long until asking again can help: what the server says, or `unless_said`. None where it does not help.
pub(super) fn pause(error: &ClientError, unless_said: Duration) -> Option<Duration> {
    let (passes, said) = match error {
        ClientError::Connect(_) | ClientError::ConnectTimeout | ClientError::AnswerTimeout => (true, None),
        ClientError::Tls(error) => (!is_of_tls(error), None),
        ClientError::Http(error) => (!is_of_tls(error), None),
        ClientError::Problem { problem, retry_after } => (is_passing(problem.status), *retry_after),
        ClientError::Status(status) => (is_passing(status.as_u16()), None),
        ClientError::Endpoint(_)
        | ClientError::Trust(_)
        | ClientError::Request(_)
        | ClientError::Body(_)
        | ClientError::TooLong(_)
        | ClientError::Write(_) => (false, None),
    };
    passes.then(|| said.unwrap_or(unless_said))
}

/// Whether the server may have done it, and only the answer is missing. A server that fails may fail after it has written.
fn may_be_done(error: &ClientError) -> bool {
    match error {
        ClientError::Http(_)
        | ClientError::AnswerTimeout
        | ClientError::Status(_)
        | ClientError::Body(_)
        | ClientError::TooLong(_) => true,
        ClientError::Problem { problem, .. } => problem.status >= 500,
        ClientError::Endpoint(_)
        | ClientError::Trust(_)
        | ClientError::Connect(_)
        | ClientError::ConnectTimeout
        | ClientError::Tls(_)
        | ClientError::Request(_)
        | ClientError::Write(_) => false,
    }
}

/// Too much to do, or a server that is not there behind its proxy.
const fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Whether TLS itself says no, to a certificate say, and not a connection that broke.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let causes = iter::successors(Some(error), |&error| error.source());
    let mut causes = causes.filter_map(|error| error.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::InvalidData)
}
