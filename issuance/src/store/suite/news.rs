//! Word of what changed.

use std::{sync::Arc, time::Duration};

use super::samples::*;
use crate::{
    acme::{AccountRow, validation_job},
    rest::OrderRow as RestOrderRow,
    store::{CertificateStatus, Decision, JobKind, News, RequestState, Store, Subscription, Write},
};

/// Longer than any store takes to pass on news.
const PATIENCE: Duration = Duration::from_secs(30);

async fn next(subscription: &mut Subscription) -> News {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("there is no news")
}

pub async fn subscribers_hear_what_others_may_have_copies_of(store: Arc<dyn Store>) {
    let mut first = store.subscribe();
    let held = CertificateStatus::Held { at: NOW };
    // What was not committed, what is only issued and what is only used is no news.
    assert!(
        try_write(&*store, vec![usable(9, 1)], vec![Write::PutSealed(Box::new(sealed("no", 1)))])
            .await
            .is_err()
    );
    write(&*store, vec![insert(certificate(1))]).await;
    let changes = [
        Write::PutCredential(Box::new(credential(1))),
        Write::UseCredential { id: credential_id(1), at: NOW, address: None },
        Write::SetCertificateStatus { issuer: issuer(1), serial: serial(1), status: held },
        Write::PutCrl(Box::new(crl(1, 1))),
        Write::PutSealed(Box::new(sealed("role", 1))),
        Write::PutJob(Box::new(job(1, JobKind::Crl, "1", NOW))),
        // Of a new one nobody has a copy; of orders and their validation nobody ever has.
        put_account(account(1)),
        put_order(order(1)),
        Write::PutJob(Box::new(validation_job(&order_id(1), 0, NOW))),
        put_account(AccountRow { version: 2, ..account(1) }),
        Write::InsertRequest(Box::new(request(1))),
        put_rest_order(rest_order(1)),
        put_rest_order(RestOrderRow { version: 2, ..rest_order(1) }),
        Write::UpdateRequest {
            id: request_id(1),
            state: RequestState::Approved,
            decision: Some(Decision { by: "ann".into(), at: NOW, reason: None, decider: None }),
            certificate: None,
        },
    ];
    for change in changes {
        write(&*store, vec![change]).await;
    }
    let expected = [
        News::Credential { id: credential_id(1), method: method("est") },
        News::CertificateStatus { issuer: issuer(1), serial: serial(1) },
        News::Crl { issuer: issuer(1) },
        News::Sealed { name: "role".into() },
        News::Job { kind: JobKind::Crl },
        News::AcmeAccount { id: account_id(1) },
        News::RestOrder { id: rest_order_id(1) },
        News::Request { id: request_id(1) },
    ];
    for news in &expected {
        assert_eq!(next(&mut first).await, *news);
    }
    let mut second = store.subscribe();
    let jobs = [(2, JobKind::Crl, "2"), (3, JobKind::Crl, "3"), (4, JobKind::Role, "4")];
    write(
        &*store,
        jobs.map(|(number, kind, key)| Write::PutJob(Box::new(job(number, kind, key, NOW)))).into(),
    )
    .await;
    for subscription in [&mut first, &mut second] {
        assert_eq!(next(subscription).await, News::Job { kind: JobKind::Crl });
        assert_eq!(next(subscription).await, News::Job { kind: JobKind::Role });
    }
}
