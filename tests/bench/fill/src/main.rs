//! `chancery-fill DATABASE COUNT valid|revoked`: puts rows into the store of a standalone server that is not running, as
//! many as that many enrolments would have left, without the enrolments.
//!
//! The newest certificate in the store is the pattern: each row is that one with a serial number, a public key and a
//! device name of its own, in the DER as well, and comes with the audit record of its issuance. Only the signatures are
//! not right, which nothing in a store looks at. Rows go through the store's own `commit`, many at a time, so that
//! indexes and audit chain are those of a server that has worked for years.

mod pattern;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use chancery_server::store::{SqliteStore, StoreOptions};
use issuance::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    store::{CertificateFilter, CertificateRow, CertificateStatus, Commit, Page, Store as _, Write},
};
use pki::{extension::ReasonCode, time::Time};

use self::pattern::Pattern;

/// Certificates of one commit.
const BATCH: usize = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, count, status] = arguments.as_slice() else {
        bail!("usage: chancery-fill DATABASE COUNT valid|revoked");
    };
    let count: usize = count.parse().context("COUNT is not a number")?;
    let revoked = match status.as_str() {
        "valid" => false,
        "revoked" => true,
        other => bail!("{other} is neither valid nor revoked"),
    };
    ensure!(Path::new(database).is_file(), "{database} is not there");
    let store = SqliteStore::open(database, StoreOptions::new("fill"))?;
    fill(&store, count, revoked).await?;
    store.shutdown().await;
    Ok(())
}

async fn fill(store: &SqliteStore, count: usize, revoked: bool) -> Result<()> {
    let pattern = Pattern::of(newest(store).await?)?;
    let begun = Instant::now();
    let mut made = 0;
    while made < count {
        let batch = BATCH.min(count - made);
        let mut commit = Commit::default();
        for number in made..made + batch {
            let mut row = pattern.row(number)?;
            commit.audit.push(issued(&row));
            if revoked {
                row.status = revocation(number, row.issued_at);
            }
            commit.writes.push(Write::InsertCertificate(Box::new(row)));
        }
        store.commit(commit).await?.map_err(|conflict| anyhow::anyhow!("{conflict}"))?;
        made += batch;
    }
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{count} certificates in {seconds:.1} s");
    }
    Ok(())
}

/// The last certificate that was issued by a protocol.
async fn newest(store: &SqliteStore) -> Result<CertificateRow> {
    let mut page = Page::first(1000);
    let mut newest = None;
    loop {
        let rows = store.certificates(&CertificateFilter::default(), &page).await?;
        let Some((cursor, _)) = rows.last() else { break };
        page.after = Some(*cursor);
        newest = rows.into_iter().map(|(_, row)| row).rfind(|row| row.credential.is_some()).or(newest);
    }
    newest.context("no certificate was issued to anybody yet: enrol once, and fill then")
}

fn issued(row: &CertificateRow) -> AuditEvent {
    let actor = Actor::Requester {
        protocol: row.protocol,
        name: row.requester.clone(),
        address: Some("127.0.0.1".into()),
        credential: row.credential.clone(),
    };
    let mut event = AuditEvent::new(row.issued_at, Action::CertificateIssued, AuditOutcome::Done, actor);
    event.method = Some(row.method.clone());
    event.profile = Some(row.profile.clone());
    event.authority.clone_from(&row.authority);
    event.issuer = Some(row.issuer);
    event.serial = Some(row.serial);
    event.credential.clone_from(&row.credential);
    event.subject = Some(row.subject.clone());
    event
}

/// Some without a reason, some with: an entry with one is longer.
fn revocation(number: usize, at: Time) -> CertificateStatus {
    let reason = match number % 4 {
        0 => ReasonCode::KeyCompromise,
        1 => ReasonCode::CessationOfOperation,
        2 => ReasonCode::Superseded,
        _ => ReasonCode::Unspecified,
    };
    CertificateStatus::Revoked { at, reason, invalidity_date: None }
}
