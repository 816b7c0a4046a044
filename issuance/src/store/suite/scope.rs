//! Lists keep to the methods that are asked for.

use std::sync::Arc;

use super::samples::*;
use crate::{
    credential::CredentialRow,
    identity::{Protocol, RequestId, ResourceName},
    store::{
        CertificateFilter, CertificateRow, CertificateStatus, CredentialFilter, MethodScope, Page,
        RequestFilter, RequestRow, RequestState, Store, Write,
    },
};

/// Methods whose names could be taken for each other's. The number of a row is its place, from 1.
const METHODS: [&str; 10] = [
    "pki/est",
    "pki/acme",
    "pki2/est",
    "pki-x/est",
    "pk_/est",
    "pki/est2",
    "pki/EST",
    "pki/issuer:web",
    "p%/est",
    "Pki/est",
];

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// What each holds of [`METHODS`].
fn scopes() -> Vec<(MethodScope, Vec<u32>)> {
    let several = |names: &[&str]| MethodScope::of(names.iter().map(|text| name(text)));
    let namespace = |text: &str| MethodScope::Namespace(text.to_owned());
    vec![
        (several(&[]), vec![]),
        (several(&["pki/est"]), vec![1]),
        (several(&["pki/none"]), vec![]),
        (several(&["pki/none", "pki/acme"]), vec![2]),
        (several(&["pki/est2", "pki/est", "pki2/est"]), vec![1, 3, 6]),
        (several(&["p%/est"]), vec![9]),
        (several(&["pki/est\0", "pki/acme"]), vec![2]),
        (namespace("pki"), vec![1, 2, 6, 7, 8]),
        (namespace("pki2"), vec![3]),
        (namespace("pk"), vec![]),
        (namespace("pk_"), vec![5]),
        (namespace("p%"), vec![9]),
        (namespace("pki/"), vec![]),
        (namespace("pki\0"), vec![]),
        (namespace(""), vec![]),
    ]
}

pub async fn lists_keep_to_their_methods(store: Arc<dyn Store>) {
    for (number, method) in (1..).zip(METHODS.map(name)) {
        let number = u8::try_from(number).unwrap();
        let writes = vec![
            insert(CertificateRow { method: method.clone(), ..certificate(number.into()) }),
            Write::InsertRequest(Box::new(RequestRow { method: method.clone(), ..request(number) })),
            Write::PutCredential(Box::new(CredentialRow { method, ..credential(number) })),
        ];
        write(&*store, writes).await;
    }
    let page = Page::first(100);
    for (scope, expected) in scopes() {
        let methods = Some(scope.clone());
        let filter = CertificateFilter { methods: methods.clone(), ..CertificateFilter::default() };
        let found = store.certificates(&filter, &page).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(_, row)| row.serial).collect();
        assert_eq!(found, expected.iter().map(|number| serial(*number)).collect::<Vec<_>>(), "{scope:?}");
        let small = |number: &u32| u8::try_from(*number).unwrap();
        let filter = RequestFilter { methods: methods.clone(), ..RequestFilter::default() };
        let found = store.requests(&filter, &page).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(_, row)| row.id).collect();
        let expected_requests: Vec<_> = expected.iter().map(|number| request_id(small(number))).collect();
        assert_eq!(found, expected_requests, "{scope:?}");
        pending_ones_come_in_pages(&*store, &scope, &expected_requests).await;
        let filter = CredentialFilter { methods, ..CredentialFilter::default() };
        let found = store.credentials(&filter, &page).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(_, row)| row.id).collect();
        let expected: Vec<_> = expected.iter().map(|number| credential_id(small(number))).collect();
        assert_eq!(found, expected, "{scope:?}");
    }
}

/// What waits for a person is read by another way than the rest.
async fn pending_ones_come_in_pages(store: &dyn Store, scope: &MethodScope, expected: &[RequestId]) {
    let filter = RequestFilter { state: Some(RequestState::Pending), methods: Some(scope.clone()) };
    let (mut page, mut found) = (Page::first(2), Vec::new());
    loop {
        let rows = store.requests(&filter, &page).await.unwrap();
        let Some((last, _)) = rows.last() else { break };
        assert!(rows.len() <= page.limit);
        page.after = Some(*last);
        found.extend(rows.into_iter().map(|(_, row)| row.id));
    }
    assert_eq!(found, expected, "{scope:?}");
}

/// Of several methods whose rows lie among each other's and those of others.
pub async fn pages_of_several_methods_come_in_the_order_of_all(store: Arc<dyn Store>) {
    let turns = ["pki/est", "pki2/est", "pki/acme", "pki/est", "pki/gone"];
    for number in 1..=40_u32 {
        let method = name(turns[number as usize % turns.len()]);
        let status =
            if number % 3 == 0 { CertificateStatus::Held { at: NOW } } else { CertificateStatus::Valid };
        write(&*store, vec![insert(CertificateRow { method, status, ..certificate(number) })]).await;
    }
    let inside = |number: &u32| *number as usize % turns.len() != 1;
    let several = MethodScope::of(["pki/est", "pki/acme", "pki/gone", "pki/none"].map(name));
    for scope in [several, MethodScope::Namespace("pki".into())] {
        for revoked in [None, Some(true)] {
            let filter =
                CertificateFilter { methods: Some(scope.clone()), revoked, ..CertificateFilter::default() };
            let expected: Vec<_> = (1..=40)
                .filter(|number| inside(number) && (revoked.is_none() || number % 3 == 0))
                .map(serial)
                .collect();
            for limit in [1, 3, 7, 100] {
                let mut page = Page::first(limit);
                let mut found = Vec::new();
                loop {
                    let rows = store.certificates(&filter, &page).await.unwrap();
                    assert!(rows.len() <= limit);
                    let Some((cursor, _)) = rows.last() else { break };
                    page.after = Some(*cursor);
                    found.extend(rows.into_iter().map(|(_, row)| row.serial));
                }
                assert_eq!(found, expected, "{scope:?} {revoked:?} {limit}");
            }
            let one = CertificateFilter { serial: Some(serial(3)), ..filter.clone() };
            let found = store.certificates(&one, &Page::first(10)).await.unwrap();
            assert_eq!(found.into_iter().map(|(_, row)| row.serial).collect::<Vec<_>>(), [serial(3)]);
            let outside = CertificateFilter { serial: Some(serial(6)), ..filter };
            assert_eq!(store.certificates(&outside, &Page::first(10)).await.unwrap(), []);
        }
    }
}

/// Although a method may be called as an authority or a server is.
pub async fn what_the_server_issued_to_itself_is_of_no_method(store: Arc<dyn Store>) {
    for (number, protocol) in [(1, Protocol::Internal), (2, Protocol::Issuer), (3, Protocol::Internal)] {
        write(&*store, vec![insert(CertificateRow { protocol, ..certificate(number) })]).await;
    }
    let method = certificate(1).method;
    let namespace = MethodScope::Namespace(method.namespace().to_owned());
    let two = MethodScope::of([method.clone(), name("pki/acme")]);
    for methods in [MethodScope::from(method), namespace, two] {
        let filter = CertificateFilter { methods: Some(methods), ..CertificateFilter::default() };
        let found = store.certificates(&filter, &Page::first(10)).await.unwrap();
        assert_eq!(
            found.into_iter().map(|(_, row)| row.serial).collect::<Vec<_>>(),
            [serial(2)],
            "{filter:?}"
        );
    }
    let all = store.certificates(&CertificateFilter::default(), &Page::first(10)).await.unwrap();
    assert_eq!(all.len(), 3);
}
