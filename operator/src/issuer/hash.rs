//! The hash of what is asked: with the UID of a request it makes the key under which a server answers the same again.

use aws_lc_rs::digest::{Context, SHA256};
use client::internal::IssueRequest;

/// Separates this hash from any other over the same bytes.
const DOMAIN: &[u8] = b"chancery.dev/issue-request/v1";

/// SHA-256 over everything that decides what the certificate will say, lower-case hexadecimal. Who asks and under which UID is
/// not part of it.
pub(super) fn spec_sha256(request: &IssueRequest) -> String {
    let mut hash = Hash(Context::new(&SHA256));
    hash.field(DOMAIN);
    hash.field(request.method.as_bytes());
    hash.field(&request.csr);
    match request.duration_seconds {
        Some(seconds) => hash.field(&seconds.to_be_bytes()),
        None => hash.field(&[]),
    }
    hash.field(&[u8::from(request.is_ca)]);
    for usage in &request.usages {
        hash.field(usage.as_bytes());
    }
    hex::encode(hash.0.finish())
}

/// Each field goes in behind its length, so that no two lists of fields are the same bytes.
struct Hash(Context);

impl Hash {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn request() -> IssueRequest {
        IssueRequest {
            method: "team-a/issuer:shop".into(),
            namespace: Some("team-a".into()),
            requester: "CertificateRequest team-a/shop-1".into(),
            uid: "8d3d0c1e".into(),
            spec_sha256: String::new(),
            csr: vec![1, 2, 3],
            duration_seconds: Some(3600),
            is_ca: false,
            usages: vec!["server auth".into(), "client auth".into()],
        }
    }

    #[test]
    fn everything_that_shapes_the_certificate_changes_the_hash() {
        let others = [
            IssueRequest { method: "team-a/issuer:shop2".into(), ..request() },
            IssueRequest { csr: vec![1, 2, 4], ..request() },
            IssueRequest { duration_seconds: None, ..request() },
            IssueRequest { duration_seconds: Some(3601), ..request() },
            IssueRequest { is_ca: true, ..request() },
            IssueRequest { usages: vec!["server auth".into()], ..request() },
            IssueRequest { usages: vec!["server authclient auth".into()], ..request() },
            IssueRequest { usages: vec!["server auth".into(), "client".into(), " auth".into()], ..request() },
        ];
        let hashes: BTreeSet<String> = others.iter().chain([&request()]).map(spec_sha256).collect();
        assert_eq!(hashes.len(), others.len() + 1);
    }

    #[test]
    fn who_asks_does_not_change_the_hash() {
        let other = IssueRequest {
            uid: "another".into(),
            requester: "somebody".into(),
            namespace: None,
            ..request()
        };
        assert_eq!(spec_sha256(&other), spec_sha256(&request()));
    }
}
