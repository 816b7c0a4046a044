//! Which certificates are told of, and when.

use std::{collections::HashSet, sync::Arc, time::Duration};

use issuance::store::{
    CertificateRow, CertificateStatus, JobKind, Store, Write,
    suite::samples::{NOW, certificate, insert, method, serial},
};

use super::scene::{DAY, HOUR, Scene, another_runner, ending, revoked, write};
use crate::{
    jobs::ensure_notice_jobs,
    store::sqlite::{SqliteStore, StoreOptions},
};

#[tokio::test]
async fn a_certificate_is_told_of_once_for_each_time_before_its_end() {
    let scene = Scene::new(&[30, 7]).await;
    scene.insert(ending(1, 40)).await;
    scene.work().await;
    scene.work_for(9).await;
    assert_eq!(scene.receiver.told().len(), 0);
    scene.work_for(2).await;
    assert_eq!(scene.receiver.told().len(), 1);
    scene.work_for(21).await;
    assert_eq!(scene.receiver.told().len(), 1);
    scene.work_for(2).await;
    assert_eq!(scene.receiver.told().len(), 2);
    scene.work_for(8).await;
    let told = scene.receiver.told();
    let days: Vec<_> = told.iter().map(|told| told.json()["daysLeft"].as_i64().unwrap()).collect();
    assert_eq!(days, [30, 7]);
    assert_ne!(told[0].json()["id"], told[1].json()["id"]);
    assert_eq!(scene.next(JobKind::Webhook).await, None);
}

#[tokio::test]
async fn a_restart_or_a_reload_tells_nothing_twice() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-DAY), ..ending(1, 30) }).await;
    scene.work().await;
    assert_eq!(scene.receiver.told().len(), 1);
    for _ in 0..3 {
        ensure_notice_jobs(&scene.app).await.unwrap();
        let again = another_runner(&scene.app);
        again.look_for_notices().await;
        again.tell_webhooks().await;
        scene.wait(1);
    }
    assert_eq!(scene.receiver.told().len(), 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_not_told_of() {
    let scene = Scene::new(&[30]).await;
    let (now, later) = (ending(1, 20), ending(2, 90));
    let renewal = |number, of: &CertificateRow| CertificateRow {
        serial: serial(number),
        not_after: later.not_after,
        ..of.clone()
    };
    let issued_at = NOW.plus_seconds(-30 * DAY);
    let old = |number| CertificateRow { issued_at, ..ending(number, 20) };
    let mut rows: Vec<_> = (1..=8).map(old).collect();
    // The order of names is nobody's intention.
    let mut turned = renewal(101, &rows[0]);
    turned.subject_alt_names.reverse();
    rows.push(turned);
    // None of these renews.
    rows.push(CertificateRow { status: revoked(), ..renewal(102, &rows[1]) });
    rows.push(CertificateRow { status: CertificateStatus::Held { at: NOW }, ..renewal(103, &rows[2]) });
    rows.push(CertificateRow { not_after: now.not_after, ..renewal(104, &rows[3]) });
    rows.push(CertificateRow { subject: "CN=another".into(), ..renewal(105, &rows[4]) });
    rows.push(CertificateRow { subject_alt_names: Vec::new(), ..renewal(106, &rows[5]) });
    rows.push(CertificateRow { method: method("scep"), ..renewal(107, &rows[6]) });
    for row in rows {
        scene.insert(row).await;
    }
    scene.work().await;
    assert_eq!(scene.receiver.numbers(), [2, 3, 4, 5, 6, 7, 8, 104]);
}

#[tokio::test]
async fn an_older_certificate_that_ends_later_is_no_renewal() {
    let scene = Scene::new(&[30]).await;
    let issued_at = NOW.plus_seconds(-30 * DAY);
    let long = CertificateRow { issued_at, ..ending(1, 90) };
    let short = CertificateRow { serial: serial(2), not_after: NOW.plus_seconds(DAY), ..long.clone() };
    scene.insert(long).await;
    scene.insert(short).await;
    scene.work().await;
    assert_eq!(scene.receiver.numbers(), [2]);
}

#[tokio::test]
async fn a_revoked_certificate_is_not_told_of_and_a_held_one_is() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { status: revoked(), ..ending(1, 31) }).await;
    scene.insert(CertificateRow { status: CertificateStatus::Held { at: NOW }, ..ending(2, 31) }).await;
    scene.insert(ending(3, 31)).await;
    scene.wait(2 * DAY);
    scene.runner.look_for_notices().await;
    scene.set_status(3, revoked()).await;
    scene.runner.tell_webhooks().await;
    assert_eq!(scene.receiver.numbers(), [2]);
    assert_eq!(scene.next(JobKind::Webhook).await, None);
}

#[tokio::test]
async fn other_methods_and_what_has_ended_are_not_told_of() {
    let scene = Scene::new(&[30]).await;
    let issued_at = NOW.plus_seconds(-90 * DAY);
    scene.insert(CertificateRow { method: method("scep"), issued_at, ..ending(1, 20) }).await;
    scene.insert(CertificateRow { issued_at, ..ending(2, 0) }).await;
    scene.insert(CertificateRow { issued_at, ..ending(3, -1) }).await;
    scene.insert(CertificateRow { issued_at, ..ending(4, 30) }).await;
    let beyond = NOW.plus_seconds(30 * DAY + 1);
    scene.insert(CertificateRow { issued_at, not_after: beyond, ..certificate(5) }).await;
    scene.work().await;
    assert_eq!(scene.receiver.numbers(), [4]);
}

#[tokio::test]
async fn a_certificate_shorter_than_a_time_is_not_told_of_for_that_time() {
    let scene = Scene::new(&[30, 7]).await;
    scene.insert(ending(1, 20)).await;
    scene.work().await;
    scene.work_for(12).await;
    assert_eq!(scene.receiver.told().len(), 0);
    scene.work_for(8).await;
    assert_eq!(scene.receiver.told().len(), 1);
    assert_eq!(scene.receiver.told()[0].json()["daysLeft"], 7);
}

#[tokio::test]
async fn after_a_long_silence_only_the_last_time_passed_is_told() {
    let scene = Scene::new(&[30, 7, 1]).await;
    scene.insert(ending(1, 40)).await;
    scene.insert(ending(2, 60)).await;
    scene.insert(ending(3, 90)).await;
    scene.insert(ending(4, 35)).await;
    scene.work().await;
    scene.wait(35 * DAY);
    scene.work().await;
    // 1 has 5 days left, 2 has 25, 3 has 55, and 4 has ended.
    assert_eq!(scene.receiver.numbers(), [1, 2]);
    scene.work_for(5).await;
    assert_eq!(scene.receiver.numbers(), [1, 1, 2]);
}

#[tokio::test]
async fn a_webhook_that_is_new_hears_of_all_that_end_soon_and_an_old_one_of_nothing_again() {
    let scene = Scene::new(&[30]).await;
    let issued_at = NOW.plus_seconds(-90 * DAY);
    scene.insert(CertificateRow { issued_at, ..ending(1, 10) }).await;
    scene.work().await;
    assert_eq!(scene.receiver.told().len(), 1);
    let mut elsewhere = scene.receiver.notice(&[30]);
    elsewhere.url = elsewhere.url.replace("/hook", "/elsewhere");
    let again = scene.receiver.notice(&[20]);
    scene.serve(vec![scene.receiver.notice(&[30]), elsewhere, again]).await;
    scene.work().await;
    let mut paths: Vec<_> = scene.receiver.told().into_iter().map(|told| told.path).collect();
    paths.sort_unstable();
    // The last notice leads to the first URL, and is another.
    assert_eq!(paths, ["/elsewhere?tenant=1", "/hook?tenant=1", "/hook?tenant=1"]);
}

#[tokio::test]
async fn what_was_found_survives_a_crash_before_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(folder.path().join("chancery.db"), StoreOptions::new("main")).unwrap();
    let store = Arc::new(open());
    let scene = Scene::on(store.clone(), &[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    scene.runner.look_for_notices().await;
    assert_eq!(scene.receiver.told().len(), 0);
    let receiver = scene.receiver.clone();
    store.shutdown().await;
    drop((scene, store));

    let scene = Scene::starting(Arc::new(open()), receiver, &[30]).await;
    scene.runner.tell_webhooks().await;
    assert_eq!(scene.receiver.numbers(), [1]);
    scene.work_for(1).await;
    assert_eq!(scene.receiver.numbers(), [1]);
}

#[tokio::test]
async fn a_message_that_is_due_is_told_by_the_next_process() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    scene.runner.look_for_notices().await;
    // One process takes it and dies.
    assert_eq!(scene.take(JobKind::Webhook, "dead").await.len(), 1);
    let next = another_runner(&scene.app);
    next.tell_webhooks().await;
    assert_eq!(scene.receiver.told().len(), 0);
    scene.wait(300);
    next.tell_webhooks().await;
    assert_eq!(scene.receiver.numbers(), [1]);
}

#[tokio::test]
async fn two_servers_at_once_tell_of_each_certificate_once() {
    let scene = Scene::new(&[30]).await;
    let issued_at = NOW.plus_seconds(-90 * DAY);
    for number in 1..=40 {
        scene.insert(CertificateRow { issued_at, ..ending(number, 10) }).await;
    }
    let other = another_runner(&scene.app);
    tokio::join!(scene.runner.look_for_notices(), other.look_for_notices());
    tokio::join!(scene.runner.tell_webhooks(), other.tell_webhooks());
    assert_eq!(scene.receiver.numbers(), (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_lost_its_lease_writes_nothing() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    let job = scene.take(JobKind::Notice, "first").await.remove(0);
    scene.wait(300);
    assert_eq!(scene.take(JobKind::Notice, "second").await.len(), 1);
    super::super::notices::run(&scene.app, &job, "first").await.unwrap_err();
    assert_eq!(scene.next(JobKind::Webhook).await, None);
    super::super::notices::run(&scene.app, &job, "second").await.unwrap();
    assert_eq!(scene.next(JobKind::Webhook).await, Some(0));
}

#[tokio::test]
async fn many_that_end_at_once_are_found_batch_by_batch_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("chancery.db"), StoreOptions::new("main")).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let scene = Scene::on(store, &[30, 7]).await;
    let issued_at = NOW.plus_seconds(-90 * DAY);
    let rows = (1..=2300).map(|number| {
        let days = if number % 2 == 0 { 20 } else { 5 };
        insert(CertificateRow { issued_at, ..ending(number, days) })
    });
    write(&*scene.store, rows.collect()).await;
    scene.runner.look_for_notices().await;
    let jobs = scene.take(JobKind::Webhook, "somebody").await;
    let keys: HashSet<_> = jobs.iter().map(|job| job.key.clone()).collect();
    assert_eq!((jobs.len(), keys.len()), (2300, 2300));
    assert_eq!(keys.iter().filter(|key| key.ends_with(&format!("/{}", 7 * DAY))).count(), 1150);
}

#[tokio::test]
async fn looks_are_an_hour_apart_or_closer_for_short_times() {
    let scene = Scene::new(&[30]).await;
    scene.work().await;
    assert_eq!(scene.next(JobKind::Notice).await, Some(HOUR));
    for (before, apart) in [(HOUR, 150), (600, 60), (DAY, HOUR)] {
        let mut notice = scene.receiver.notice(&[30]);
        notice.before.push(Duration::from_secs(before.unsigned_abs()));
        scene.serve(vec![notice]).await;
        scene.work().await;
        assert_eq!(scene.next(JobKind::Notice).await, Some(apart), "{before}");
    }
}

#[tokio::test]
async fn a_method_that_tells_nobody_any_more_is_not_looked_at() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    scene.runner.look_for_notices().await;
    scene.serve(Vec::new()).await;
    scene.wait(HOUR);
    scene.work().await;
    assert_eq!((scene.next(JobKind::Notice).await, scene.next(JobKind::Webhook).await), (None, None));
    assert_eq!(scene.receiver.told().len(), 0);
}

#[tokio::test]
async fn a_memory_that_cannot_be_read_repeats_rather_than_forgets() {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    scene.work().await;
    scene.wait(HOUR);
    let mut job = scene.take(JobKind::Notice, "me").await.remove(0);
    let id = job.id.clone();
    job.payload = b"not ours".to_vec();
    write(&*scene.store, vec![Write::DeleteJob { id }, Write::PutJob(Box::new(job))]).await;
    scene.work().await;
    assert_eq!(scene.receiver.numbers(), [1, 1]);
}
