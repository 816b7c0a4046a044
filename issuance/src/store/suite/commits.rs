//! All or nothing, and what is written is what is read.

use std::sync::Arc;

use pki::extension::ReasonCode;

use super::samples::*;
use crate::{
    acme::{AccountRow, OrderRow},
    audit::Checkpoint,
    identity::{Owner, ResourceName},
    rest::OrderRow as RestOrderRow,
    store::{
        CertificateFilter, CertificateRow, CertificateStatus, Commit, Committed, Conflict, Decider, Decision,
        Expect, JobKind, JobLease, Page, RequestFilter, RequestKey, RequestRow, RequestState, Store, Write,
    },
};

/// One write of each kind, none of which conflicts with what [`fill`] wrote.
fn one_of_each() -> Vec<Write> {
    vec![
        insert(certificate(77)),
        Write::SetCertificateStatus {
            issuer: issuer(1),
            serial: serial(1),
            status: CertificateStatus::Held { at: NOW },
        },
        Write::InsertRequest(Box::new(keyed_request(77, 77))),
        Write::UpdateRequest {
            id: request_id(1),
            state: RequestState::Denied,
            decision: None,
            certificate: None,
        },
        Write::ExpireRequests { now: LATER },
        Write::DeleteRequest { id: request_id(2) },
        Write::PutCredential(Box::new(credential(77))),
        Write::UseCredential { id: credential_id(1), at: NOW, address: None },
        Write::PutCrl(Box::new(crl(1, 77))),
        Write::PutSealed(Box::new(sealed("role", 77))),
        Write::PutJob(Box::new(job(77, JobKind::Sweep, "77", EARLIER))),
        Write::RescheduleJob { id: job_id(1), at: EARLIER, attempts: 7, error: None },
        Write::DeleteJob { id: job_id(2) },
        Write::PutCheckpoint(Box::new(checkpoint())),
        Write::PruneCrls { issuer: issuer(2), keep: 1 },
        put_account(account(77)),
        put_order(order(77)),
        Write::SweepAcmeOrders { now: NOW, limit: 10 },
        put_rest_order(rest_order(77)),
        Write::SweepRestOrders { now: NOW, limit: 10 },
    ]
}

fn checkpoint() -> Checkpoint {
    Checkpoint { at: NOW, heads: Vec::new(), public_key: [7; 32], signature: vec![7; 64] }
}

/// One row of each kind under the number 1; a second request, job and authority.
async fn fill(store: &dyn Store) {
    let writes = vec![
        insert(certificate(1)),
        Write::InsertRequest(Box::new(keyed_request(1, 1))),
        Write::InsertRequest(Box::new(keyed_request(2, 2))),
        Write::PutCredential(Box::new(credential(1))),
        Write::PutCrl(Box::new(crl(1, 2))),
        Write::PutCrl(Box::new(crl(2, 2))),
        Write::PutSealed(Box::new(sealed("role", 1))),
        Write::PutJob(Box::new(job(1, JobKind::Crl, "1", LATER))),
        Write::PutJob(Box::new(job(2, JobKind::Role, "2", LATER))),
        put_account(account(1)),
        put_order(order(1)),
        put_order(OrderRow { keep_until: EARLIER, ..order(2) }),
        put_rest_order(rest_order(1)),
        put_rest_order(RestOrderRow { keep_until: EARLIER, ..rest_order(2) }),
    ];
    write(store, writes).await;
}

pub async fn each_expectation_that_does_not_hold_is_named_and_nothing_is_written(store: Arc<dyn Store>) {
    fill(&*store).await;
    let status =
        |number, status| Expect::CertificateStatus { issuer: issuer(1), serial: serial(number), status };
    let leased = |number| Expect::JobLeased { id: job_id(number), owner: "me".into(), now: NOW };
    let broken = [
        usable(1, 2),
        usable(99, 1),
        Expect::CredentialVersion { id: credential_id(1), version: 0 },
        Expect::CredentialVersion { id: credential_id(99), version: 1 },
        Expect::RequestState { id: request_id(1), state: RequestState::Approved },
        Expect::RequestState { id: request_id(99), state: RequestState::Pending },
        status(1, CertificateStatus::Held { at: NOW }),
        status(99, CertificateStatus::Valid),
        Expect::KeyUnused { public_key_sha256: key_hash(1) },
        Expect::SealedVersion { name: "role".into(), version: 0 },
        Expect::SealedVersion { name: "none".into(), version: 1 },
        leased(1),
        leased(99),
        account_version(1, 0),
        account_version(99, 1),
        order_version(1, 2),
        order_version(99, 1),
        rest_order_version(1, 2),
        rest_order_version(99, 1),
    ];
    let before = Snapshot::of(&*store).await;
    for expect in broken {
        // The expectation that holds comes first: all are looked at.
        let holds = Expect::RequestState { id: request_id(1), state: RequestState::Pending };
        let conflict = try_write(&*store, vec![holds, expect.clone()], one_of_each()).await.unwrap_err();
        assert_eq!(conflict, Conflict::Expectation(Box::new(expect)));
        assert_eq!(Snapshot::of(&*store).await, before);
    }
    // The same writes go through on their own, so it was the expectation that stopped them.
    write(&*store, one_of_each()).await;
    assert_ne!(Snapshot::of(&*store).await, before);
}

pub async fn each_write_that_cannot_be_made_undoes_those_before_it(store: Arc<dyn Store>) {
    fill(&*store).await;
    let missing_request = Write::UpdateRequest {
        id: request_id(99),
        state: RequestState::Denied,
        decision: None,
        certificate: None,
    };
    let missing_certificate = Write::SetCertificateStatus {
        issuer: issuer(2),
        serial: serial(1),
        status: CertificateStatus::Held { at: NOW },
    };
    let impossible = [
        (insert(certificate(1)), Conflict::SerialTaken { serial: serial(1) }),
        // Taken by a write of the same commit.
        (insert(certificate(77)), Conflict::SerialTaken { serial: serial(77) }),
        (Write::InsertRequest(Box::new(keyed_request(99, 1))), Conflict::RequestExists),
        (Write::InsertRequest(Box::new(keyed_request(1, 99))), Conflict::RequestExists),
        (missing_certificate, Conflict::Missing("certificate")),
        (missing_request, Conflict::Missing("request")),
        (Write::DeleteRequest { id: request_id(99) }, Conflict::Missing("request")),
        (
            Write::UseCredential { id: credential_id(99), at: NOW, address: None },
            Conflict::Missing("credential"),
        ),
        (
            Write::RescheduleJob { id: job_id(99), at: NOW, attempts: 0, error: None },
            Conflict::Missing("job"),
        ),
        (Write::DeleteJob { id: job_id(99) }, Conflict::Missing("job")),
        (Write::PutCrl(Box::new(crl(1, 2))), Conflict::CrlNumber),
        (Write::PutCrl(Box::new(crl(1, 1))), Conflict::CrlNumber),
        (put_account(AccountRow { thumbprint: [1; 32], ..account(99) }), Conflict::AcmeAccountExists),
        // Taken by a write of the same commit.
        (put_account(AccountRow { thumbprint: [77; 32], ..account(1) }), Conflict::AcmeAccountExists),
    ];
    let before = Snapshot::of(&*store).await;
    for (write, expected) in impossible {
        let mut writes = one_of_each();
        writes.push(write);
        let conflict = try_write(&*store, Vec::new(), writes).await.unwrap_err();
        assert_eq!(conflict, expected);
        assert_eq!(Snapshot::of(&*store).await, before);
    }
}

pub async fn a_conflict_in_the_middle_of_many_commits_touches_only_its_own(store: Arc<dyn Store>) {
    write(&*store, vec![insert(certificate(1))]).await;
    let tasks: Vec<_> = (2..=121)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut writes = vec![insert(certificate(number))];
                if number % 3 == 0 {
                    writes.push(insert(certificate(1)));
                }
                (number, try_write(&*store, Vec::new(), writes).await)
            })
        })
        .collect();
    for task in tasks {
        let (number, outcome) = task.await.unwrap();
        let stored = store.certificate(issuer(1), &serial(number)).await.unwrap();
        if number % 3 == 0 {
            assert_eq!(outcome, Err(Conflict::SerialTaken { serial: serial(1) }));
            assert_eq!(stored, None);
        } else {
            assert!(outcome.is_ok());
            assert_eq!(stored, Some(certificate(number)));
        }
    }
}

pub async fn each_expectation_that_holds_lets_the_commit_through(store: Arc<dyn Store>) {
    fill(&*store).await;
    write(&*store, vec![Write::PutJob(Box::new(job(3, JobKind::Checkpoint, "3", NOW)))]).await;
    let lease = JobLease { owner: "me".into(), until: LATER };
    assert_eq!(store.lease_jobs(&[JobKind::Checkpoint], &lease, NOW, 9).await.unwrap().len(), 1);
    let expect = vec![
        usable(1, 1),
        Expect::CredentialVersion { id: credential_id(1), version: 1 },
        Expect::CredentialVersion { id: credential_id(99), version: 0 },
        Expect::RequestState { id: request_id(1), state: RequestState::Pending },
        Expect::CertificateStatus { issuer: issuer(1), serial: serial(1), status: CertificateStatus::Valid },
        Expect::KeyUnused { public_key_sha256: key_hash(2) },
        Expect::SealedVersion { name: "role".into(), version: 1 },
        Expect::SealedVersion { name: "none".into(), version: 0 },
        Expect::JobLeased { id: job_id(3), owner: "me".into(), now: NOW },
    ];
    try_write(&*store, expect, vec![insert(certificate(2))]).await.unwrap();
    assert_eq!(store.certificate(issuer(1), &serial(2)).await.unwrap(), Some(certificate(2)));
}

pub async fn a_serial_number_is_taken_per_issuer(store: Arc<dyn Store>) {
    write(&*store, vec![insert(certificate(1))]).await;
    let again = try_write(&*store, Vec::new(), vec![insert(certificate(1))]).await;
    assert_eq!(again, Err(Conflict::SerialTaken { serial: serial(1) }));
    write(&*store, vec![insert(CertificateRow { issuer: issuer(2), ..certificate(1) })]).await;
}

pub async fn a_request_key_is_taken_per_method(store: Arc<dyn Store>) {
    let put = |row: RequestRow| vec![Write::InsertRequest(Box::new(row))];
    write(&*store, put(keyed_request(1, 1))).await;
    assert_eq!(try_write(&*store, Vec::new(), put(keyed_request(2, 1))).await, Err(Conflict::RequestExists));
    let elsewhere = RequestRow { method: method("scep"), ..keyed_request(3, 1) };
    write(&*store, put(elsewhere.clone())).await;
    write(&*store, put(request(4))).await;
    write(&*store, put(request(5))).await;
    let key = RequestKey([1; 32]);
    assert_eq!(store.request_by_key(&method("scep"), &key).await.unwrap(), Some(elsewhere));
    assert_eq!(store.request_by_key(&method("cmp"), &key).await.unwrap(), None);
    assert_eq!(store.request_by_key(&method("est"), &RequestKey([9; 32])).await.unwrap(), None);
}

pub async fn a_key_counts_as_used_until_its_certificate_is_revoked(store: Arc<dyn Store>) {
    let unused = || vec![Expect::KeyUnused { public_key_sha256: key_hash(1) }];
    let set = |status| vec![Write::SetCertificateStatus { issuer: issuer(1), serial: serial(1), status }];
    write(&*store, vec![insert(certificate(1)), insert(certificate(2))]).await;
    assert!(try_write(&*store, unused(), Vec::new()).await.is_err());
    write(&*store, set(CertificateStatus::Held { at: NOW })).await;
    assert!(try_write(&*store, unused(), Vec::new()).await.is_err());
    let revoked =
        CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Superseded, invalidity_date: None };
    write(&*store, set(revoked)).await;
    assert!(try_write(&*store, unused(), Vec::new()).await.is_ok());
    // A second certificate with the same key, still valid.
    let renewed = CertificateRow { public_key_sha256: key_hash(1), ..certificate(3) };
    write(&*store, vec![insert(renewed)]).await;
    assert!(try_write(&*store, unused(), Vec::new()).await.is_err());
}

pub async fn certificates_are_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let bare = CertificateRow {
        authority: None,
        credential: None,
        owner: None,
        request: None,
        subject_alt_names: Vec::new(),
        server_key: false,
        ..certificate(1)
    };
    let personal = CertificateRow { owner: Some(Owner::User("ann:ops".into())), ..certificate(2) };
    for row in [bare, personal, certificate(3)] {
        write(&*store, vec![insert(row.clone())]).await;
        assert_eq!(store.certificate(row.issuer, &row.serial).await.unwrap(), Some(row));
    }
    assert_eq!(store.certificate(issuer(2), &serial(1)).await.unwrap(), None);
    assert_eq!(store.certificate(issuer(1), &serial(9)).await.unwrap(), None);
}

pub async fn requests_are_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let mut decided = keyed_request(2, 2);
    decided.state = RequestState::Issued;
    decided.decision = Some(Decision {
        by: "ann".into(),
        at: NOW,
        reason: Some("known device".into()),
        decider: Some(decider()),
    });
    decided.certificate = Some((issuer(1), serial(1)));
    decided.requester.credential = None;
    decided.requester.owner = None;
    decided.requester.address = None;
    let decided_silently = RequestRow {
        decision: Some(Decision { by: "bob".into(), at: NOW, reason: None, decider: None }),
        ..request(3)
    };
    for row in [keyed_request(1, 1), decided, decided_silently] {
        write(&*store, vec![Write::InsertRequest(Box::new(row.clone()))]).await;
        assert_eq!(store.request(&row.id).await.unwrap(), Some(row));
    }
    assert_eq!(store.request(&request_id(9)).await.unwrap(), None);
}

pub async fn a_status_can_change_back_and_forth(store: Arc<dyn Store>) {
    write(&*store, vec![insert(certificate(1))]).await;
    let mut status = CertificateStatus::Valid;
    let mut changes = vec![CertificateStatus::Held { at: NOW }, CertificateStatus::Valid];
    for reason in ReasonCode::ALL {
        changes.push(CertificateStatus::Revoked { at: LATER, reason, invalidity_date: None });
        changes.push(CertificateStatus::Revoked { at: LATER, reason, invalidity_date: Some(EARLIER) });
    }
    for next in changes {
        let expect = Expect::CertificateStatus { issuer: issuer(1), serial: serial(1), status };
        let change =
            Write::SetCertificateStatus { issuer: issuer(1), serial: serial(1), status: next.clone() };
        try_write(&*store, vec![expect], vec![change]).await.unwrap();
        let row = store.certificate(issuer(1), &serial(1)).await.unwrap().unwrap();
        assert_eq!(row, CertificateRow { status: next.clone(), ..certificate(1) });
        status = next;
    }
}

fn decider() -> Decider {
    let hands = ["credential:a \"key\"".to_owned(), "user:\u{e9}".to_owned()];
    Decider { credential: Some(credential_id(2)), hands: hands.into() }
}

pub async fn a_request_update_sets_what_is_given_and_leaves_the_rest(store: Arc<dyn Store>) {
    let decision = Decision { by: "ann".into(), at: NOW, reason: None, decider: Some(decider()) };
    let certificate = (issuer(1), serial(1));
    let update = |state, decision, certificate| {
        vec![Write::UpdateRequest { id: request_id(1), state, decision, certificate }]
    };
    write(&*store, vec![Write::InsertRequest(Box::new(request(1)))]).await;
    write(&*store, update(RequestState::Approved, Some(decision.clone()), None)).await;
    let approved =
        RequestRow { state: RequestState::Approved, decision: Some(decision.clone()), ..request(1) };
    assert_eq!(store.request(&request_id(1)).await.unwrap(), Some(approved.clone()));
    write(&*store, update(RequestState::Issued, None, Some(certificate))).await;
    let issued = RequestRow { state: RequestState::Issued, certificate: Some(certificate), ..approved };
    assert_eq!(store.request(&request_id(1)).await.unwrap(), Some(issued.clone()));
    write(&*store, update(RequestState::Issued, None, None)).await;
    assert_eq!(store.request(&request_id(1)).await.unwrap(), Some(issued));
}

pub async fn a_deleted_request_frees_its_key(store: Arc<dyn Store>) {
    write(&*store, vec![Write::InsertRequest(Box::new(keyed_request(1, 1)))]).await;
    let listed = store.requests(&RequestFilter::default(), &Page::first(9)).await.unwrap();
    write(&*store, vec![Write::DeleteRequest { id: request_id(1) }]).await;
    assert_eq!(store.request(&request_id(1)).await.unwrap(), None);
    assert_eq!(store.request_by_key(&method("est"), &RequestKey([1; 32])).await.unwrap(), None);
    write(&*store, vec![Write::InsertRequest(Box::new(keyed_request(2, 1)))]).await;
    // Whoever was reading pages when the last row was deleted does not miss the new one.
    let page = Page { after: listed.last().map(|(cursor, _)| *cursor), limit: 9 };
    let found = store.requests(&RequestFilter::default(), &page).await.unwrap();
    assert_eq!(found.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), [keyed_request(2, 1)]);
}

pub async fn only_pending_requests_expire(store: Arc<dyn Store>) {
    let rows = [
        (RequestRow { expires_at: NOW, ..request(1) }, RequestState::Expired),
        (RequestRow { expires_at: EARLIER, ..request(2) }, RequestState::Expired),
        (RequestRow { expires_at: LATER, ..request(3) }, RequestState::Pending),
        (
            RequestRow { state: RequestState::Approved, expires_at: EARLIER, ..request(4) },
            RequestState::Approved,
        ),
    ];
    for (row, _) in &rows {
        write(&*store, vec![Write::InsertRequest(Box::new(row.clone()))]).await;
    }
    write(&*store, vec![Write::ExpireRequests { now: NOW }]).await;
    for (row, state) in rows {
        assert_eq!(store.request(&row.id).await.unwrap(), Some(RequestRow { state, ..row }));
    }
}

pub async fn of_many_commits_with_one_serial_exactly_one_succeeds(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let store = Arc::clone(&store);
            let row = CertificateRow { requester: format!("{number}"), ..certificate(1) };
            tokio::spawn(async move { try_write(&*store, Vec::new(), vec![insert(row)]).await.is_ok() })
        })
        .collect();
    let mut succeeded = 0;
    for task in tasks {
        succeeded += usize::from(task.await.unwrap());
    }
    assert_eq!(succeeded, 1);
    let all = CertificateFilter { profile: Some(ResourceName::new("pki", "device")), ..Default::default() };
    assert_eq!(store.certificates(&all, &Page::first(100)).await.unwrap().len(), 1);
}

pub async fn an_empty_commit_changes_nothing(store: Arc<dyn Store>) {
    fill(&*store).await;
    let before = Snapshot::of(&*store).await;
    assert_eq!(store.commit(Commit::default()).await.unwrap(), Ok(Committed::default()));
    assert_eq!(Snapshot::of(&*store).await, before);
    assert_eq!(store.requests(&RequestFilter::default(), &Page::first(0)).await.unwrap(), Vec::new());
}
