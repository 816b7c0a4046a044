//! Rows to write.

use pki::{serial::SerialNumber, time::Time};

use crate::{
    acme::{
        AccountRow, AccountStatus, Authorization, Binding, Challenge, ChallengeType, Identifier, OrderRow,
        OrderState,
    },
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Requester,
    credential::{CredentialRow, CredentialState, Verifier},
    identity::{
        AcmeAccountId, AcmeOrderId, CredentialId, JobId, KeyId, Owner, Protocol, RequestId, ResourceName,
        RestOrderId,
    },
    policy::Strength,
    rest::{AskedOrder, Idempotency, OrderKey, OrderRow as RestOrderRow, OrderState as RestOrderState},
    store::{
        AcmeAccountFilter, CertificateFilter, CertificateRow, CertificateStatus, Commit, Committed, Conflict,
        CredentialFilter, CrlRow, Cursor, Expect, Job, JobKind, Page, RequestFilter, RequestKey, RequestRow,
        RequestState, RestOrderFilter, SealedRow, Store, Write,
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
        server_key: true,
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
            holder: None,
            owner: Some(Owner::User("ann".into())),
            certified: None,
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
        verifier: Verifier::Sha256 { hash: [number; 32], known_to: [format!("user:{number}")].into() },
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
        actions: Default::default(),
        previous: None,
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

pub fn account_id(number: u8) -> AcmeAccountId {
    AcmeAccountId::from_octets([number; 16])
}

pub fn order_id(number: u8) -> AcmeOrderId {
    AcmeOrderId::from_octets([number; 16])
}

/// Version 1, valid, with a key of its own, everything optional set; bound to the credential 1.
pub fn account(number: u8) -> AccountRow {
    AccountRow {
        id: account_id(number),
        version: 1,
        method: method("acme"),
        status: AccountStatus::Valid,
        jwk: format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{number}"}}"#),
        thumbprint: [number; 32],
        contacts: vec!["mailto:ann@acme.example".into()],
        terms_agreed: true,
        binding: Some(Binding {
            credential: credential_id(1),
            kid: "kid-1".into(),
            fingerprint: [1; 32],
            jws: r#"{"payload":"e30"}"#.into(),
        }),
        owner: Some(Owner::Group("web".into())),
        created_at: NOW,
    }
}

/// Version 1, of the account 1, open, for a DNS name and an address that are to be proved until [`LATER`].
pub fn order(number: u8) -> OrderRow {
    let challenges = || {
        let kinds = [ChallengeType::Http01, ChallengeType::TlsAlpn01].into_iter();
        kinds.map(|kind| Challenge::new(kind, format!("token-{number}"))).collect()
    };
    let dns = Identifier::Dns(format!("order-{number}.acme.example"));
    let address = Identifier::Ip([192, 0, 2, number].into());
    OrderRow {
        id: order_id(number),
        version: 1,
        account: account_id(1),
        method: method("acme"),
        created_at: NOW,
        expires_at: LATER,
        keep_until: LATER,
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
        authorizations: [dns, address]
            .map(|identifier| Authorization::pending(identifier, false, LATER, challenges()))
            .into(),
        state: OrderState::Open,
    }
}

pub fn rest_order_id(number: u8) -> RestOrderId {
    RestOrderId::from_octets([number; 16])
}

/// Version 1, of the credential 1, waiting for a CSR until [`LATER`], with an idempotency key of its own.
pub fn rest_order(number: u8) -> RestOrderRow {
    let requester = Requester { protocol: Protocol::Rest, method: method("api"), ..request(1).requester };
    RestOrderRow {
        id: rest_order_id(number),
        version: 1,
        method: method("api"),
        idempotency: Some(Idempotency::new(&requester, &number.to_string(), &[number])),
        requester,
        product: "device".into(),
        created_at: NOW,
        expires_at: LATER,
        keep_until: LATER,
        asked: AskedOrder {
            domains: vec![format!("order-{number}.acme.example"), "192.0.2.1".into()],
            subject: Some("CN=device,O=Acme".into()),
            not_after: Some(LATER),
            validity_days: Some(30),
        },
        csr: None,
        state: RestOrderState::AwaitingCsr,
        authorizations: Vec::new(),
        key: OrderKey::Requester,
        replaces: None,
        replaced_by: None,
        renewal: None,
    }
}

pub fn put_account(row: AccountRow) -> Write {
    Write::PutAcmeAccount(Box::new(row))
}

pub fn put_order(row: OrderRow) -> Write {
    Write::PutAcmeOrder(Box::new(row))
}

pub fn put_rest_order(row: RestOrderRow) -> Write {
    Write::PutRestOrder(Box::new(row))
}

pub fn rest_order_version(number: u8, version: u64) -> Expect {
    Expect::RestOrderVersion { id: rest_order_id(number), version }
}

pub fn account_version(number: u8, version: u64) -> Expect {
    Expect::AcmeAccountVersion { id: account_id(number), version }
}

pub fn order_version(number: u8, version: u64) -> Expect {
    Expect::AcmeOrderVersion { id: order_id(number), version }
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
    accounts: Vec<(Cursor, AccountRow)>,
    /// Of the account 1.
    orders: Vec<(Cursor, OrderRow)>,
    rest_orders: Vec<(Cursor, RestOrderRow)>,
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
            accounts: store.acme_accounts(&AcmeAccountFilter::default(), &page).await.unwrap(),
            orders: store.acme_orders_of(&account_id(1), &page).await.unwrap(),
            rest_orders: store.rest_orders(&RestOrderFilter::default(), &page).await.unwrap(),
        }
    }
}
