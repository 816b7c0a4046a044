//! Leases.

use std::{collections::HashSet, sync::Arc};

use pki::time::Time;

use super::samples::*;
use crate::store::{Expect, Job, JobKind, JobLease, Store, Write};

fn put(row: Job) -> Vec<Write> {
    vec![Write::PutJob(Box::new(row))]
}

fn lease_of(owner: &str, until: Time) -> JobLease {
    JobLease { owner: owner.into(), until }
}

fn reschedule(number: u8, at: Time) -> Vec<Write> {
    vec![Write::RescheduleJob { id: job_id(number), at, attempts: 0, error: None }]
}

async fn take(store: &dyn Store, owner: &str, now: Time) -> Vec<Job> {
    store.lease_jobs(&JobKind::ALL, &lease_of(owner, now.plus_seconds(60)), now, 10).await.unwrap()
}

pub async fn a_job_is_leased_once_among_many_owners(store: Arc<dyn Store>) {
    for number in 1..=100 {
        write(&*store, put(job(number, JobKind::Crl, &number.to_string(), NOW))).await;
    }
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { take(&*store, &format!("owner-{number}"), NOW).await })
        })
        .collect();
    let (mut leased, mut seen) = (0, HashSet::new());
    for task in tasks {
        for job in task.await.unwrap() {
            leased += 1;
            seen.insert(job.id);
        }
    }
    assert_eq!((leased, seen.len()), (100, 100));
}

pub async fn a_lease_that_is_over_is_taken_by_another(store: Arc<dyn Store>) {
    write(&*store, put(job(1, JobKind::Crl, "1", NOW))).await;
    assert_eq!(take(&*store, "dead", NOW).await, [job(1, JobKind::Crl, "1", NOW)]);
    let over = NOW.plus_seconds(60);
    assert_eq!(take(&*store, "next", over.plus_seconds(-1)).await, []);
    let held_by = |owner: &str, now| vec![Expect::JobLeased { id: job_id(1), owner: owner.into(), now }];
    try_write(&*store, held_by("dead", over.plus_seconds(-1)), Vec::new()).await.unwrap();
    assert!(try_write(&*store, held_by("dead", over), Vec::new()).await.is_err());
    assert_eq!(take(&*store, "next", over).await.len(), 1);
    // The dead one comes back, and cannot finish what is no longer its own.
    assert!(try_write(&*store, held_by("dead", over), reschedule(1, LATER)).await.is_err());
    try_write(&*store, held_by("next", over), reschedule(1, LATER)).await.unwrap();
    assert!(try_write(&*store, held_by("next", over), Vec::new()).await.is_err());
}

pub async fn jobs_are_leased_when_due_earliest_first(store: Arc<dyn Store>) {
    let rows = [
        job(1, JobKind::Crl, "1", NOW),
        job(2, JobKind::Crl, "2", NOW.plus_seconds(1)),
        job(3, JobKind::Crl, "3", EARLIER),
        job(4, JobKind::Role, "4", EARLIER),
        job(5, JobKind::Checkpoint, "5", NOW.plus_seconds(-1)),
    ];
    for row in &rows {
        write(&*store, put(row.clone())).await;
    }
    let lease = lease_of("me", LATER);
    let kinds = [JobKind::Checkpoint, JobKind::Crl];
    assert_eq!(store.lease_jobs(&kinds, &lease, NOW, 0).await.unwrap(), []);
    assert_eq!(store.lease_jobs(&[], &lease, NOW, 9).await.unwrap(), []);
    assert_eq!(store.lease_jobs(&kinds, &lease, NOW, 2).await.unwrap(), [rows[2].clone(), rows[4].clone()]);
    assert_eq!(store.lease_jobs(&kinds, &lease, NOW, 9).await.unwrap(), [rows[0].clone()]);
    assert_eq!(store.lease_jobs(&kinds, &lease, NOW, 9).await.unwrap(), []);
}

pub async fn a_second_request_for_a_job_keeps_the_earlier_time(store: Arc<dyn Store>) {
    write(&*store, put(job(1, JobKind::Crl, "same", NOW))).await;
    write(&*store, put(Job { payload: vec![9], ..job(2, JobKind::Crl, "same", LATER) })).await;
    assert_eq!(store.next_job(&JobKind::ALL).await.unwrap(), Some(NOW));
    write(&*store, put(job(3, JobKind::Crl, "same", EARLIER))).await;
    // The same key of another kind is another job.
    write(&*store, put(job(4, JobKind::Role, "same", NOW))).await;
    let leased = take(&*store, "me", NOW).await;
    assert_eq!(leased, [job(1, JobKind::Crl, "same", EARLIER), job(4, JobKind::Role, "same", NOW)]);
}

pub async fn a_run_asked_for_during_the_lease_is_not_lost(store: Arc<dyn Store>) {
    write(&*store, put(job(1, JobKind::Crl, "1", NOW))).await;
    assert_eq!(take(&*store, "me", NOW).await.len(), 1);
    // While the CRL is being made, a revocation asks for the next one. The job's own time is already past.
    let asked = NOW.plus_seconds(5);
    write(&*store, put(job(2, JobKind::Crl, "1", asked))).await;
    write(&*store, put(job(3, JobKind::Crl, "1", asked.plus_seconds(5)))).await;
    write(&*store, reschedule(1, LATER)).await;
    assert_eq!(store.next_job(&[JobKind::Crl]).await.unwrap(), Some(asked));
    assert_eq!(take(&*store, "me", asked).await, [job(1, JobKind::Crl, "1", asked)]);
    // That was served by this lease, and is not served again.
    write(&*store, reschedule(1, LATER)).await;
    assert_eq!(store.next_job(&[JobKind::Crl]).await.unwrap(), Some(LATER));
    // A later request than the schedule does not postpone it.
    assert_eq!(take(&*store, "me", LATER).await.len(), 1);
    write(&*store, put(job(4, JobKind::Crl, "1", LATER.plus_seconds(99)))).await;
    write(&*store, reschedule(1, LATER.plus_seconds(9))).await;
    assert_eq!(store.next_job(&[JobKind::Crl]).await.unwrap(), Some(LATER.plus_seconds(9)));
}

pub async fn a_rescheduled_job_waits_and_remembers_its_failures(store: Arc<dyn Store>) {
    write(&*store, put(job(1, JobKind::Crl, "1", NOW))).await;
    assert_eq!(take(&*store, "me", NOW).await.len(), 1);
    let error = Some("no key".to_owned());
    let failed = Write::RescheduleJob { id: job_id(1), at: LATER, attempts: 3, error: error.clone() };
    write(&*store, vec![failed]).await;
    assert_eq!(take(&*store, "me", LATER.plus_seconds(-1)).await, []);
    let expected = Job { attempts: 3, last_error: error, ..job(1, JobKind::Crl, "1", LATER) };
    assert_eq!(take(&*store, "me", LATER).await, [expected]);
}

pub async fn the_next_job_is_the_earliest_of_its_kinds(store: Arc<dyn Store>) {
    assert_eq!(store.next_job(&JobKind::ALL).await.unwrap(), None);
    write(&*store, put(job(1, JobKind::Crl, "1", LATER))).await;
    write(&*store, put(job(2, JobKind::Role, "2", NOW))).await;
    assert_eq!(store.next_job(&JobKind::ALL).await.unwrap(), Some(NOW));
    assert_eq!(store.next_job(&[JobKind::Crl, JobKind::Sweep]).await.unwrap(), Some(LATER));
    assert_eq!(store.next_job(&[JobKind::Sweep]).await.unwrap(), None);
    assert_eq!(store.next_job(&[]).await.unwrap(), None);
    // A leased one falls due when its lease ends: whoever waits for it does not spin until then.
    assert_eq!(take(&*store, "me", NOW).await.len(), 1);
    assert_eq!(store.next_job(&[JobKind::Role]).await.unwrap(), Some(NOW.plus_seconds(60)));
}

pub async fn a_deleted_job_is_gone(store: Arc<dyn Store>) {
    write(&*store, put(job(1, JobKind::Crl, "1", NOW))).await;
    write(&*store, vec![Write::DeleteJob { id: job_id(1) }]).await;
    assert_eq!(take(&*store, "me", NOW).await, []);
    write(&*store, put(job(2, JobKind::Crl, "1", NOW))).await;
    assert_eq!(take(&*store, "me", NOW).await, [job(2, JobKind::Crl, "1", NOW)]);
}
