//! Rows to write.

use pki::{serial::SerialNumber, time::Time};

use crate::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Requester,
    credential::{CredentialRow, CredentialState, Verifier},
    identity::{CredentialId, JobId, KeyId, Owner, Protocol, RequestId, ResourceName},
    policy::Strength,
    store::{
        CertificateFilter, CertificateRow, CertificateStatus, Commit, Committed, Conflict, CredentialFilter,
        CrlRow, Cursor, Expect, Job, JobKind, Page, RequestFilter, RequestKey, RequestRow, RequestState,
        SealedRow, Store, Write,
    },
};

pub const NOW: Time = Time::from_unix(1_800_000_000);
pub const LATER: Time = Time::from_unix(1_800_003_600);
pub const EARLIER: Time = Time::from_unix(1_799_996_400);

pub fn issuer(number: u8) -> KeyId {
    KeyId([number; 20])
}

pub fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_be_bytes(&number.to_be_bytes()).unwrap()
}

pub fn method(name: &str) -> ResourceName {
    ResourceName::new("factory", name)
}

pub fn credential_id(number: u8) -> CredentialId {
    CredentialId::from_random([number; 16])
}

pub fn request_id(number: u8) -> RequestId {
    RequestId::from_random([number; 16])
}

pub fn job_id(number: u8) -> JobId {
    JobId::from_random([number; 16])
}

/// A certificate of issuer 1, everything optional set.
pub fn certificate(number: u32) -> CertificateRow {
    CertificateRow {
        issuer: issuer(1),
        serial: serial(number),
        authority: Some(ResourceName::new("pki", "devices-ca")),
        profile: ResourceName::new("pki", "device"),
        method: method("est"),
        protocol: Protocol::Est,
        credential: Some(credential_id(1)),
        owner: Some(Owner::Group("line-1".into())),
        requester: "device".into(),
        subject: format!("CN=device-{number},O=Acme"),
        subject_alt_names: vec![format!("dns:device-{number}.acme.example"), "ip:192.0.2.1".into()],
        not_before: EARLIER,
        not_after: LATER,
        issued_at: NOW,
        status: CertificateStatus::Valid,
        public_key_sha256: key_hash(number),
        request: Some(request_id(1)),
        der: format!("the certificate {number}").into_bytes(),
    }
}

/// As hexadecimal; the first octets are the same for all numbers below 65,536.
pub fn key_hash(number: u32) -> String {
    format!("{:0>56}{number:08x}", "c0ffee")
}

/// A pending request without a key, everything else set.
pub fn request(number: u8) -> RequestRow {
    RequestRow {
        id: request_id(number),
        method: method("est"),
        key: None,
        content: [number; 32],
        profile: ResourceName::new("pki", "device"),
        requester: Requester {
            protocol: Protocol::Est,
            method: method("est"),
            name: "device".into(),
            strength: Strength::SharedSecret,
            credential: Some(credential_id(1)),
            owner: Some(Owner::User("ann".into())),
            address: Some([192, 0, 2, number].into()),
        },
        state: RequestState::Pending,
        summary: "CN=device".into(),
        encoded: vec![0x30, number],
        created_at: NOW,
        expires_at: LATER,
        decision: None,
        certificate: None,
    }
}

pub fn keyed_request(number: u8, key: u8) -> RequestRow {
    RequestRow { key: Some(RequestKey([key; 32])), ..request(number) }
}

/// Version 1, of the method, without a user name and without limits.
pub fn credential(number: u8) -> CredentialRow {
    CredentialRow {
        id: credential_id(number),
        version: 1,
        method: method("est"),
        protocol: Protocol::Est,
        name: method(&format!("credential-{number}")),
        username: None,
        verifier: Verifier::Sha256 { hash: [number; 32] },
        owner: Some(Owner::User("ann".into())),
        state: CredentialState::Active,
        created_at: NOW,
        expires_at: None,
        maximum_uses: None,
        uses: 0,
        last_used_at: None,
        declared: false,
        regeneration: 0,
        identifiers: None,
    }
}

pub fn job(number: u8, kind: JobKind, key: &str, run_at: Time) -> Job {
    let payload = key.as_bytes().to_vec();
    Job { id: job_id(number), kind, key: key.into(), payload, run_at, attempts: 0, last_error: None }
}

pub fn crl(authority: u8, number: u64) -> CrlRow {
    CrlRow {
        issuer: issuer(authority),
        number,
        this_update: NOW,
        next_update: LATER,
        der: vec![0x30, authority],
    }
}

pub fn sealed(name: &str, version: u64) -> SealedRow {
    let sealed = format!("{name} {version}").into_bytes();
    SealedRow { name: name.into(), version, sealed, public: vec![0x30] }
}

pub fn event(reason: &str) -> AuditEvent {
    AuditEvent::new(NOW, Action::CertificateIssued, AuditOutcome::Done, Actor::Server).because(reason)
}

pub fn usable(id: u8, version: u64) -> Expect {
    Expect::CredentialUsable { id: credential_id(id), version, now: NOW }
}

pub fn insert(row: CertificateRow) -> Write {
    Write::InsertCertificate(Box::new(row))
}

/// Commits these writes and one audit event.
pub async fn try_write(
    store: &dyn Store,
    expect: Vec<Expect>,
    writes: Vec<Write>,
) -> Result<Committed, Conflict> {
    store.commit(Commit { expect, writes, audit: vec![event("tried")] }).await.unwrap()
}

/// Commits these writes, which hold.
pub async fn write(store: &dyn Store, writes: Vec<Write>) {
    try_write(store, Vec::new(), writes).await.unwrap();
}

/// Whatever can be read, for comparing before and after.
#[derive(Debug, PartialEq)]
pub struct Snapshot {
    certificates: Vec<(Cursor, CertificateRow)>,
    requests: Vec<(Cursor, RequestRow)>,
    credentials: Vec<(Cursor, CredentialRow)>,
    crls: Vec<Option<CrlRow>>,
    sealed: Vec<SealedRow>,
    next_job: Vec<Option<Time>>,
    audit: Vec<(String, u64)>,
    checkpoints: usize,
}

impl Snapshot {
    pub async fn of(store: &dyn Store) -> Self {
        let page = Page::first(1000);
        let mut audit = Vec::new();
        for stream in store.audit_streams().await.unwrap() {
            let head = store.audit_head(&stream).await.unwrap().unwrap();
            audit.push((stream, head.sequence));
        }
        let mut next_job = Vec::new();
        for kind in JobKind::ALL {
            next_job.push(store.next_job(&[kind]).await.unwrap());
        }
        Self {
            certificates: store.certificates(&CertificateFilter::default(), &page).await.unwrap(),
            requests: store.requests(&RequestFilter::default(), &page).await.unwrap(),
            credentials: store.credentials(&CredentialFilter::default(), &page).await.unwrap(),
            crls: vec![
                store.latest_crl(issuer(1)).await.unwrap(),
                store.latest_crl(issuer(2)).await.unwrap(),
            ],
            sealed: store.all_sealed().await.unwrap(),
            next_job,
            audit,
            checkpoints: store.checkpoints().await.unwrap().len(),
        }
    }
}
