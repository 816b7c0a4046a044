//! Who commits: whoever comes first and finds the disk quick, else a thread that does nothing else.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    thread::{self, JoinHandle},
    time::Duration,
};

use issuance::store::{Commit, Committed, Conflict, Job, StoreResult};
use rusqlite::Connection;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, oneshot},
    task,
};

use super::{
    OpenError, StoreOptions,
    apply::Change,
    committer::{Committer, Reply, Work},
    connection::Settings,
    jobs::LeaseRequest,
    readers::closed,
    recent::RecentOrders,
};

/// Most commits of one transaction.
const BATCH: usize = 256;

/// Commits that may wait; whoever comes later waits before it may wait here.
const QUEUE: usize = 4 * BATCH;

/// The way to the connection that writes.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Task {
    Work(Work),
    Check(Reply<()>),
}

impl Writer {
    /// Takes over the connection.
    pub(super) fn start(
        settings: Settings,
        connection: Connection,
        options: StoreOptions,
        recent: Arc<RecentOrders>,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            patience: options.busy_timeout,
            room: Semaphore::new(QUEUE),
            queue: Mutex::default(),
            called: Condvar::new(),
            committer: Mutex::new(Committer::new(settings, connection, options, recent)),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("store-writer".into()).spawn(move || shared.serve())
        };
        Ok(Self { shared, thread: Mutex::new(Some(thread.map_err(OpenError::Thread)?)) })
    }

    pub(super) async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let change = Change::Commit(commit);
        Ok(self.ask(|reply| Task::Work(Work { change, reply })).await?.map(|done| done.committed))
    }

    pub(super) async fn lease(&self, request: LeaseRequest) -> StoreResult<Vec<Job>> {
        let change = Change::Lease(request);
        let outcome = self.ask(|reply| Task::Work(Work { change, reply })).await?;
        // A lease expects nothing, so it never conflicts.
        Ok(outcome.map(|done| done.leased).unwrap_or_default())
    }

    pub(super) async fn check(&self) -> StoreResult<()> {
        self.ask(Task::Check).await
    }

    /// Ends after what waits now.
    pub(super) async fn close(&self) {
        self.shared.close();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && let Err(error) = task::spawn_blocking(move || thread.join().is_ok()).await
        {
            tracing::warn!(%error, "the thread that writes was not awaited");
        }
    }

    /// How many changes wait to be taken.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// As if the disk had been quick for a while.
    #[cfg(test)]
    pub(super) fn expect_quick(&self) {
        lock(&self.shared.committer).expect_quick();
    }

    async fn ask<T>(&self, task: impl FnOnce(Reply<T>) -> Task) -> StoreResult<T> {
        let _place = self.shared.room.acquire().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        if !self.shared.put(task(reply)) {
            return Err(closed());
        }
        if serves_connections() {
            // Whatever else this thread has ready comes first, so that it shares the transaction.
            task::yield_now().await;
            self.shared.lead();
        } else {
            self.shared.call();
        }
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("room", &self.shared.room.available_permits()).finish_non_exhaustive()
    }
}

/// Whether this is one of several threads that run tasks, so that the others go on while it commits.
fn serves_connections() -> bool {
    Handle::try_current().is_ok_and(|runtime| {
        runtime.runtime_flavor() == RuntimeFlavor::MultiThread && runtime.metrics().num_workers() > 1
    })
}

/// What the thread and those who commit themselves share.
///
/// Whoever puts a task into the queue then tries for the committer, or has the thread do so. Whoever has it looks at the
/// queue again after giving it back. So one of the two sees the task, whoever comes first.
struct Shared {
    /// How long to wait for another process.
    patience: Duration,
    room: Semaphore,
    queue: Mutex<Queue>,
    /// Wakes the thread.
    called: Condvar,
    committer: Mutex<Committer>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// The thread is to look.
    called: bool,
    closed: bool,
}

impl Shared {
    /// Returns whether there still is a queue.
    fn put(&self, task: Task) -> bool {
        let mut queue = lock(&self.queue);
        if !queue.closed {
            queue.tasks.push_back(task);
        }
        !queue.closed
    }

    fn call(&self) {
        lock(&self.queue).called = true;
        self.called.notify_one();
    }

    fn close(&self) {
        lock(&self.queue).closed = true;
        self.called.notify_one();
    }

    fn waiting(&self) -> usize {
        lock(&self.queue).tasks.len()
    }

    /// Commits what waits, on the thread that asks, if nobody does so already and the disk is quick. What comes
    /// meanwhile is left to another task: the one that led has an answer to send.
    fn lead(self: &Arc<Self>) {
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !committer.is_quick() {
            drop(committer);
            return self.call();
        }
        let tasks = self.take();
        // Without patience: this thread has connections to serve.
        let left = self.work_off(&mut committer, tasks, Duration::ZERO);
        drop(committer);
        if !left.is_empty() {
            self.put_back(left);
            return self.call();
        }
        if self.waiting() > 0 {
            let shared = Arc::clone(self);
            task::spawn(async move { shared.lead() });
        }
    }

    /// The thread: commits what waits whenever it is called.
    fn serve(&self) {
        loop {
            let closed = self.wait();
            while self.waiting() > 0 {
                let mut committer = lock(&self.committer);
                let tasks = self.take();
                self.work_off(&mut committer, tasks, self.patience);
                committer.tidy();
            }
            if closed {
                return lock(&self.committer).close();
            }
        }
    }

    /// Waits until the thread is called; returns whether the queue was closed.
    fn wait(&self) -> bool {
        let mut queue = lock(&self.queue);
        while !queue.called && !queue.closed {
            queue = self.called.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.called = false;
        queue.closed
    }

    fn take(&self) -> Vec<Task> {
        let mut queue = lock(&self.queue);
        let count = queue.tasks.len().min(BATCH);
        queue.tasks.drain(..count).collect()
    }

    fn put_back(&self, tasks: Vec<Task>) {
        let mut queue = lock(&self.queue);
        tasks.into_iter().rev().for_each(|task| queue.tasks.push_front(task));
    }

    /// Returns what it did not do, because another process writes or because it may take long.
    fn work_off(&self, committer: &mut Committer, tasks: Vec<Task>, patience: Duration) -> Vec<Task> {
        let (mut work, mut checks) = (Vec::with_capacity(tasks.len()), Vec::new());
        for task in tasks {
            match task {
                Task::Work(one) => work.push(one),
                Task::Check(reply) => checks.push(reply),
            }
        }
        let mut left = Vec::new();
        if !work.is_empty()
            && let Err(work) = committer.commit_all(work, patience)
        {
            left.extend(work.into_iter().map(Task::Work));
        }
        if !checks.is_empty() && patience.is_zero() {
            left.extend(checks.drain(..).map(Task::Check));
        }
        if !checks.is_empty() {
            let result = committer.check(patience);
            // Whoever asked may have gone.
            checks.into_iter().for_each(|reply| drop(reply.send(result.clone())));
        }
        left
    }
}

/// What is behind these locks is whole between any two statements, or remade by the next transaction.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
