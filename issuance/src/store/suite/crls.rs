//! CRLs and what they list.

use std::sync::Arc;

use pki::{crl::RevokedEntry, extension::ReasonCode, serial::SerialNumber, time::Time};

use super::samples::*;
use crate::store::{CertificateRow, CertificateStatus, Conflict, CrlRow, Store, Write};

fn put(row: CrlRow) -> Vec<Write> {
    vec![Write::PutCrl(Box::new(row))]
}

fn revoked(number: u32) -> CertificateRow {
    let status =
        CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Superseded, invalidity_date: None };
    CertificateRow { status, ..certificate(number) }
}

pub async fn crl_numbers_only_grow(store: Arc<dyn Store>) {
    assert_eq!(store.latest_crl(issuer(1)).await.unwrap(), None);
    write(&*store, put(crl(1, 5))).await;
    for number in [5, 4, 0] {
        assert_eq!(try_write(&*store, Vec::new(), put(crl(1, number))).await, Err(Conflict::CrlNumber));
    }
    write(&*store, put(crl(2, 4))).await;
    write(&*store, put(crl(1, 6))).await;
    assert_eq!(store.latest_crl(issuer(1)).await.unwrap(), Some(crl(1, 6)));
    assert_eq!(store.latest_crl(issuer(2)).await.unwrap(), Some(crl(2, 4)));
}

pub async fn pruning_keeps_the_newest_crls_of_that_authority(store: Arc<dyn Store>) {
    for number in 1..=5 {
        write(&*store, put(crl(1, number))).await;
    }
    write(&*store, put(crl(2, 1))).await;
    for keep in [3, 9, 1, 0] {
        write(&*store, vec![Write::PruneCrls { issuer: issuer(1), keep }]).await;
        assert_eq!(store.latest_crl(issuer(1)).await.unwrap(), Some(crl(1, 5)));
        // Numbers do not start over, whatever was pruned.
        assert_eq!(try_write(&*store, Vec::new(), put(crl(1, 5))).await, Err(Conflict::CrlNumber));
        assert_eq!(store.latest_crl(issuer(2)).await.unwrap(), Some(crl(2, 1)));
    }
}

pub async fn the_crl_lists_what_is_revoked_and_not_long_expired(store: Arc<dyn Store>) {
    let held = CertificateRow { status: CertificateStatus::Held { at: EARLIER }, ..certificate(2) };
    let status = CertificateStatus::Revoked {
        at: NOW,
        reason: ReasonCode::KeyCompromise,
        invalidity_date: Some(EARLIER),
    };
    let rows = [
        certificate(1),
        held,
        CertificateRow { status, ..certificate(3) },
        CertificateRow { not_after: Time::from_unix(LATER.unix() - 1), ..revoked(4) },
        CertificateRow { issuer: issuer(2), ..revoked(5) },
    ];
    for row in rows {
        write(&*store, vec![insert(row)]).await;
    }
    let on_hold = RevokedEntry {
        serial: serial(2),
        revoked_at: EARLIER,
        reason: Some(ReasonCode::CertificateHold),
        invalidity_date: None,
    };
    let compromised = RevokedEntry {
        serial: serial(3),
        revoked_at: NOW,
        reason: Some(ReasonCode::KeyCompromise),
        invalidity_date: Some(EARLIER),
    };
    let listed = store.revoked(issuer(1), LATER, None, 10).await.unwrap();
    assert_eq!(listed, [on_hold, compromised]);
    // What ends at the given moment has not expired before it.
    assert_eq!(store.revoked(issuer(1), LATER.plus_seconds(-1), None, 10).await.unwrap().len(), 3);
    assert_eq!(store.revoked(issuer(3), EARLIER, None, 10).await.unwrap(), []);
    // Released, it is gone from the next one.
    let release = Write::SetCertificateStatus {
        issuer: issuer(1),
        serial: serial(2),
        status: CertificateStatus::Valid,
    };
    write(&*store, vec![release]).await;
    assert_eq!(store.revoked(issuer(1), LATER, None, 10).await.unwrap(), [compromised]);
}

pub async fn revoked_entries_come_in_pages_ordered_by_serial_number(store: Arc<dyn Store>) {
    // By value, not by first octet; inserted in another order.
    let numbers: [&[u8]; 7] = [&[3], &[0xff], &[1, 0], &[2], &[1; 20], &[0x40; 16], &[0x41, 0, 0]];
    let mut serials: Vec<_> =
        numbers.iter().map(|number| SerialNumber::from_be_bytes(number).unwrap()).collect();
    for serial in &serials {
        write(&*store, vec![insert(CertificateRow { serial: *serial, ..revoked(1) })]).await;
    }
    serials.sort_unstable();
    for limit in [1, 2, 3, 7, 100] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.revoked(issuer(1), NOW, after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.serial);
            seen.extend(page.iter().map(|entry| entry.serial));
        }
        assert_eq!(seen, serials);
    }
}
