//! Commits on the thread that asks, and on the one that does nothing else.

use issuance::store::SealedRow;

use super::*;

/// Where each transaction was made.
#[derive(Debug, Default)]
struct Threads(Mutex<Vec<String>>);

impl Threads {
    /// Whether the transactions since the last call were made by the thread that does nothing else.
    fn were_the_writers(&self) -> Vec<bool> {
        self.0.lock().unwrap().drain(..).map(|name| name == "store-writer").collect()
    }
}

impl CommitObserver for Threads {
    fn committed(&self, _duration: Duration, _commits: usize) {
        self.0.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
    }
}

fn open_observed(directory: &Path) -> (Arc<SqliteStore>, Arc<Threads>) {
    let threads = Arc::new(Threads::default());
    let observer: Arc<dyn CommitObserver> = threads.clone();
    let options = StoreOptions { observer: Some(observer), ..StoreOptions::new("main") };
    (Arc::new(open_with(directory, options)), threads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_the_disk_quick_commits_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (store, threads) = open_observed(directory.path());
    // Nothing is known of the disk yet.
    issue_all(&store, 1..2).await;
    assert_eq!(threads.were_the_writers(), [true]);
    for number in 2..22 {
        store.writer.expect_quick();
        issue_all(&store, number..number + 1).await;
    }
    assert_eq!(threads.were_the_writers(), [false; 20]);
    let refused = store.commit(issue(1)).await.unwrap();
    assert!(matches!(refused, Err(Conflict::SerialTaken { .. })), "{refused:?}");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_runtime_of_one_thread_never_commits_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (store, threads) = open_observed(directory.path());
    store.writer.expect_quick();
    issue_all(&store, 1..2).await;
    assert_eq!(threads.were_the_writers(), [true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_have_to_wait_for_another_process_leaves_the_commit_to_the_thread() {
    let directory = tempfile::tempdir().unwrap();
    let (store, threads) = open_observed(directory.path());
    let other = Connection::open(file(directory.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.writer.expect_quick();
    let commits: Vec<_> = (1..=8)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(issue(number)).await })
        })
        .collect();
    // Both threads of the runtime go on: were they waiting for the other process, this would not end.
    let others: Vec<_> = (0..100).map(|_| tokio::spawn(tokio::task::yield_now())).collect();
    for one in others {
        one.await.unwrap();
    }
    assert!(commits.iter().all(|commit| !commit.is_finished()));
    other.execute_batch("ROLLBACK").unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap().unwrap();
    }
    assert_eq!(threads.were_the_writers().first(), Some(&true));
    assert_eq!(store.audit_head("main").await.unwrap().unwrap().sequence, 8);
    assert_sound(&store).await;
}

/// Commits on many threads at once, some of which find the disk quick and some slow: each is answered, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_forgotten_between_the_thread_and_those_who_commit_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let (store, threads) = open_observed(directory.path());
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in task * 100 + 1..=task * 100 + 25 {
                    if number % 3 == 0 {
                        store.writer.expect_quick();
                    }
                    store.commit(issue(number)).await.unwrap().unwrap();
                    // The same again is refused, in the middle of the others.
                    assert!(store.commit(issue(number)).await.unwrap().is_err());
                    store.check().await.unwrap();
                }
            })
        })
        .collect();
    let all = futures::future::join_all(tasks);
    for task in tokio::time::timeout(Duration::from_secs(60), all).await.expect("a commit was forgotten") {
        task.unwrap();
    }
    let writers = threads.were_the_writers();
    assert!(writers.contains(&true) && writers.contains(&false));
    assert_eq!(store.audit_head("main").await.unwrap().unwrap().sequence, 32 * 25);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_written_back_before_it_is_long() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open_observed(directory.path());
    let megabyte = 1024 * 1024;
    for version in 1..=60 {
        store.writer.expect_quick();
        let large = SealedRow { sealed: vec![7; megabyte], ..sealed("large", version) };
        let commit = Commit { writes: vec![Write::PutSealed(Box::new(large))], ..Commit::default() };
        store.commit(commit).await.unwrap().unwrap();
    }
    let log = fs::metadata(directory.path().join("chancery.db-wal")).unwrap().len();
    assert!(log < 20 * megabyte as u64, "{log}");
    assert_sound(&store).await;
}
