//! What the tests of the desk have in common.

use axum::body::Body;
use http::{Method as HttpMethod, header::ACCEPT};
use issuance::{
    identity::{KeyId, Protocol, ResourceName},
    store::{CertificateRow, CertificateStatus, Commit, Write},
};
use pki::{serial::SerialNumber, time::Time};
use serde_json::Value;

use super::scene::{Answer, Scene, request};

/// A POST without a body.
pub(super) async fn act(scene: &Scene, key: &str, path: &str) -> Answer {
    scene.send(request(HttpMethod::POST, path, key).body(Body::empty()).unwrap()).await
}

/// A GET of this media type.
pub(super) async fn accepting(scene: &Scene, key: &str, path: &str, accept: &str) -> Answer {
    let request = request(HttpMethod::GET, path, key).header(ACCEPT, accept);
    scene.send(request.body(Body::empty()).unwrap()).await
}

/// All items of a list, whatever its pages.
pub(super) async fn all(scene: &Scene, key: &str, path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut place = path.to_owned();
    loop {
        let page = scene.get_with(key, &place).await.ok(200).json();
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return found };
        place = format!("{path}{}cursor={next}", if path.contains('?') { '&' } else { '?' });
    }
}

/// A certificate of `lab/api` that ends an hour after it was issued. It is a row alone.
pub(super) fn certificate(scene: &Scene, number: u8, issued_at: Time) -> CertificateRow {
    CertificateRow {
        issuer: KeyId([1; 20]),
        serial: SerialNumber::from_random([number; 16]),
        authority: Some(ResourceName::new("lab", "root")),
        profile: ResourceName::new("lab", "default"),
        method: scene.method.name.clone(),
        protocol: Protocol::Rest,
        credential: Some(scene.credential.id.clone()),
        owner: scene.credential.owner.clone(),
        requester: "lab/all".into(),
        subject: format!("CN=device-{number}"),
        subject_alt_names: vec![format!("dns:device-{number}.acme.example")],
        not_before: issued_at,
        not_after: issued_at.plus_seconds(3600),
        issued_at,
        status: CertificateStatus::Valid,
        public_key_sha256: hex::encode([number; 32]),
        server_key: false,
        request: None,
        der: vec![0x30, 0x00],
    }
}

pub(super) async fn insert(scene: &Scene, rows: impl IntoIterator<Item = CertificateRow>) {
    let writes = rows.into_iter().map(|row| Write::InsertCertificate(Box::new(row))).collect();
    scene.app.engine.store().commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
}
