//! Filters and cursors.

use std::sync::Arc;

use pki::extension::ReasonCode;

use super::samples::*;
use crate::{
    credential::CredentialRow,
    identity::{Owner, ResourceName},
    store::{
        CertificateFilter, CertificateRow, CertificateState, CertificateStatus, CredentialFilter, Cursor,
        MethodScope, NamePart, Page, RequestFilter, RequestRow, RequestState, Store, Write,
    },
};

pub async fn each_certificate_filter_selects_its_own(store: Arc<dyn Store>) {
    let revoked =
        CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Unspecified, invalidity_date: None };
    let name = ResourceName::new;
    let rows = [
        certificate(1),
        CertificateRow { issuer: issuer(2), ..certificate(2) },
        CertificateRow { profile: name("pki", "other"), ..certificate(3) },
        CertificateRow { method: name("office", "est"), ..certificate(4) },
        CertificateRow { credential: Some(credential_id(2)), ..certificate(5) },
        CertificateRow { owner: Some(Owner::User("line-1".into())), ..certificate(6) },
        CertificateRow { status: revoked, ..certificate(7) },
        CertificateRow { status: CertificateStatus::Held { at: NOW }, ..certificate(8) },
        CertificateRow { not_after: NOW, ..certificate(9) },
        CertificateRow { owner: None, credential: None, ..certificate(10) },
    ];
    for row in rows {
        write(&*store, vec![insert(row)]).await;
    }
    let any = CertificateFilter::default;
    let cases: [(CertificateFilter, &[u32]); 16] = [
        (any(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (CertificateFilter { issuer: Some(issuer(2)), ..any() }, &[2]),
        (CertificateFilter { issuer: Some(issuer(3)), ..any() }, &[]),
        (CertificateFilter { profile: Some(name("pki", "other")), ..any() }, &[3]),
        (CertificateFilter { profile: Some(name("pki", "none")), ..any() }, &[]),
        (CertificateFilter { methods: Some(name("office", "est").into()), ..any() }, &[4]),
        (CertificateFilter { namespace: Some("office".into()), ..any() }, &[4]),
        (CertificateFilter { credential: Some(credential_id(2)), ..any() }, &[5]),
        (CertificateFilter { owner: Some("user:line-1".into()), ..any() }, &[6]),
        (CertificateFilter { revoked: Some(true), ..any() }, &[7, 8]),
        (CertificateFilter { revoked: Some(false), ..any() }, &[1, 2, 3, 4, 5, 6, 9, 10]),
        (CertificateFilter { expires_before: Some(LATER), ..any() }, &[9]),
        (CertificateFilter { expires_after: Some(NOW), ..any() }, &[1, 2, 3, 4, 5, 6, 7, 8, 10]),
        (CertificateFilter { expires_after: Some(LATER), ..any() }, &[]),
        (CertificateFilter { public_key_sha256: Some(key_hash(9)), ..any() }, &[9]),
        (CertificateFilter { public_key_sha256: Some("no digest".into()), ..any() }, &[]),
    ];
    for (filter, expected) in cases {
        let found = store.certificates(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| serial(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.serial).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let both = CertificateFilter { revoked: Some(true), expires_before: Some(NOW), ..any() };
    assert_eq!(store.certificates(&both, &Page::first(100)).await.unwrap(), []);
}

pub async fn each_filter_of_states_and_times_selects_its_own(store: Arc<dyn Store>) {
    let name = ResourceName::new;
    let status =
        CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Superseded, invalidity_date: None };
    let rows = [
        certificate(1),
        CertificateRow { authority: Some(name("pki", "other")), ..certificate(2) },
        CertificateRow { authority: None, ..certificate(3) },
        CertificateRow { status, ..certificate(4) },
        CertificateRow { status: CertificateStatus::Held { at: LATER }, ..certificate(5) },
        CertificateRow { issued_at: EARLIER, ..certificate(6) },
        CertificateRow { issued_at: LATER, ..certificate(7) },
        CertificateRow { issuer: issuer(2), serial: serial(1), ..certificate(8) },
    ];
    let first = certificate(1);
    for row in rows {
        write(&*store, vec![insert(row)]).await;
    }
    let any = CertificateFilter::default;
    let state = |state| CertificateFilter { state: Some(state), ..any() };
    let cases: [(CertificateFilter, &[u32]); 15] = [
        (CertificateFilter { serial: Some(serial(1)), ..any() }, &[1, 1]),
        (CertificateFilter { serial: Some(serial(1)), issuer: Some(issuer(2)), ..any() }, &[1]),
        (CertificateFilter { serial: Some(serial(99)), ..any() }, &[]),
        (CertificateFilter { authority: Some(name("pki", "other")), ..any() }, &[2]),
        (CertificateFilter { authority: first.authority, ..any() }, &[1, 4, 5, 6, 7, 1]),
        (state(CertificateState::Valid), &[1, 2, 3, 6, 7, 1]),
        (state(CertificateState::Held), &[5]),
        (state(CertificateState::Revoked), &[4]),
        (CertificateFilter { revoked_from: Some(NOW), ..any() }, &[4, 5]),
        (CertificateFilter { revoked_from: Some(LATER), ..any() }, &[5]),
        (CertificateFilter { revoked_before: Some(LATER), ..any() }, &[4]),
        (CertificateFilter { revoked_before: Some(NOW), ..any() }, &[]),
        (CertificateFilter { issued_from: Some(LATER), ..any() }, &[7]),
        (CertificateFilter { issued_before: Some(NOW), ..any() }, &[6]),
        (
            CertificateFilter {
                issued_from: Some(NOW),
                issued_before: Some(LATER),
                revoked: Some(false),
                ..any()
            },
            &[1, 2, 3, 1],
        ),
    ];
    assert_eq!(certificate(1).issued_at, NOW);
    for (filter, expected) in cases {
        let found = store.certificates(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| serial(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.serial).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    // A serial number finds its own after a cursor too.
    let filter = CertificateFilter { serial: Some(serial(1)), ..any() };
    let mut page = Page::first(1);
    let mut found = Vec::new();
    while let Some((cursor, row)) = store.certificates(&filter, &page).await.unwrap().pop() {
        page.after = Some(cursor);
        found.push(row.issuer);
    }
    assert_eq!(found, [issuer(1), issuer(2)]);
}

pub async fn a_part_of_a_name_finds_whatever_holds_it(store: Arc<dyn Store>) {
    let named = |number, subject: &str, names: &[&str]| CertificateRow {
        subject: subject.into(),
        subject_alt_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..certificate(number)
    };
    let rows = [
        named(1, "CN=Web-1,O=Acme\\, Inc", &["dns:web-1.acme.example", "ip:192.0.2.1"]),
        named(2, "CN=web_2", &["dns:web-2.acme.example", "email:Ops@acme.example"]),
        named(3, "", &["uri:urn:a%20b"]),
        named(4, "CN=\u{e4}pfel", &[]),
        named(5, "CN=x", &["other:say \"hi\" \\"]),
    ];
    for row in rows {
        write(&*store, vec![insert(row)]).await;
    }
    let cases: [(&str, &[u32]); 22] = [
        ("web-1", &[1]),
        ("WEB", &[1, 2]),
        ("acme.EXAMPLE", &[1, 2]),
        ("dns:web-2", &[2]),
        ("192.0.2.1", &[1]),
        ("ops@", &[2]),
        ("CN=", &[1, 2, 4, 5]),
        ("O=Acme\\, Inc", &[1]),
        (",O=", &[1]),
        // No character stands for others.
        ("web_", &[2]),
        ("web%", &[]),
        ("a%20b", &[3]),
        ("%", &[3]),
        ("\u{e4}pf", &[4]),
        ("\u{c4}pf", &[]),
        // What stands between names in a table is in none.
        ("[", &[]),
        ("\",\"", &[]),
        ("example\"", &[]),
        ("'; --", &[]),
        ("\\", &[1]),
        ("say ", &[5]),
        ("hi", &[5]),
    ];
    for (part, expected) in cases {
        let filter = CertificateFilter { name: NamePart::new(part), ..CertificateFilter::default() };
        assert!(filter.name.is_some(), "{part:?}");
        let found = store.certificates(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| serial(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.serial).collect::<Vec<_>>(), expected, "{part:?}");
    }
    for none in ["", "a\0b", "line\nbreak", &"x".repeat(NamePart::LONGEST + 1)] {
        assert_eq!(NamePart::new(none), None);
    }
}

pub async fn request_filters_select_their_own(store: Arc<dyn Store>) {
    let rows = [
        request(1),
        RequestRow { state: RequestState::Issued, ..request(2) },
        RequestRow { method: method("scep"), ..request(3) },
    ];
    for row in rows {
        write(&*store, vec![Write::InsertRequest(Box::new(row))]).await;
    }
    let cases: [(Option<RequestState>, Option<ResourceName>, &[u8]); 6] = [
        (None, None, &[1, 2, 3]),
        (Some(RequestState::Pending), None, &[1, 3]),
        (Some(RequestState::Pending), Some(method("est")), &[1]),
        (None, Some(method("est")), &[1, 2]),
        (Some(RequestState::Issued), Some(method("est")), &[2]),
        (Some(RequestState::Denied), None, &[]),
    ];
    for (state, method, expected) in cases {
        let filter = RequestFilter { state, methods: method.map(MethodScope::from) };
        let found = store.requests(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| request_id(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

pub async fn credential_filters_select_their_own(store: Arc<dyn Store>) {
    let rows = [
        credential(1),
        CredentialRow { declared: true, ..credential(2) },
        CredentialRow { method: method("scep"), ..credential(3) },
    ];
    for row in rows {
        write(&*store, vec![Write::PutCredential(Box::new(row))]).await;
    }
    let cases: [(Option<ResourceName>, Option<bool>, &[u8]); 5] = [
        (None, None, &[1, 2, 3]),
        (None, Some(true), &[2]),
        (None, Some(false), &[1, 3]),
        (Some(method("est")), None, &[1, 2]),
        (Some(method("scep")), Some(true), &[]),
    ];
    for (method, declared, expected) in cases {
        let filter = CredentialFilter { methods: method.map(MethodScope::from), declared };
        let found = store.credentials(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| credential_id(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// Pages are read while other rows are inserted: what was there is seen once, in order, however the filter thins it.
pub async fn cursors_stay_while_rows_are_inserted(store: Arc<dyn Store>) {
    for number in 1..=10 {
        let profile = ResourceName::new("pki", if number % 2 == 0 { "even" } else { "odd" });
        write(&*store, vec![insert(CertificateRow { profile, ..certificate(number) })]).await;
    }
    let filter =
        CertificateFilter { profile: Some(ResourceName::new("pki", "even")), ..CertificateFilter::default() };
    let (mut seen, mut after, mut next) = (Vec::new(), None, 100);
    while seen.len() < 5 {
        let page = store.certificates(&filter, &Page { after, limit: 2 }).await.unwrap();
        assert!(page.len() <= 2);
        after = page.last().map(|(cursor, _)| *cursor);
        assert!(after.is_some());
        seen.extend(page.into_iter().map(|(_, row)| row.serial));
        write(&*store, vec![insert(certificate(next))]).await;
        next += 1;
    }
    assert_eq!(seen, [2, 4, 6, 8, 10].map(serial));
    assert_eq!(store.certificates(&filter, &Page { after, limit: 2 }).await.unwrap(), []);
    let beyond = Page { after: Some(Cursor(i64::MAX)), limit: 2 };
    assert_eq!(store.certificates(&filter, &beyond).await.unwrap(), []);
}

pub async fn a_page_has_an_upper_limit(store: Arc<dyn Store>) {
    let rows = (1..=1100).map(|number| insert(certificate(number))).collect();
    write(&*store, rows).await;
    let page = store.certificates(&CertificateFilter::default(), &Page::first(usize::MAX)).await.unwrap();
    assert_eq!(page.len(), 1000);
}

pub async fn certificates_are_found_by_serial_number_alone(store: Arc<dyn Store>) {
    let elsewhere = CertificateRow { issuer: issuer(2), ..certificate(1) };
    write(&*store, vec![insert(certificate(1)), insert(certificate(2)), insert(elsewhere.clone())]).await;
    assert_eq!(store.certificates_by_serial(&serial(1)).await.unwrap(), [certificate(1), elsewhere]);
    assert_eq!(store.certificates_by_serial(&serial(9)).await.unwrap(), []);
}
