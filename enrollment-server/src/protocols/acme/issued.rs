//! Certificates that were issued a moment ago: the client fetches its own with the next request, and their rows need not be read
//! for that. Nothing that is kept here ever changes; whether a certificate was revoked does not matter to whoever fetches it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use issuance::{
    identity::{CertificateId, ResourceName},
    store::CertificateRow,
};

/// Most that are kept, of about a kilobyte each.
const MAX_KEPT: usize = 1000;

/// What an answer needs of a certificate's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IssuedCertificate {
    pub(super) method: ResourceName,
    /// As the row names it.
    pub(super) requester: String,
    pub(super) der: Vec<u8>,
}

/// Those of this process.
#[derive(Debug, Default)]
pub(super) struct IssuedCertificates(Mutex<HashMap<CertificateId, IssuedCertificate>>);

impl IssuedCertificates {
    pub(super) fn put(&self, id: CertificateId, certificate: IssuedCertificate) {
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(id, certificate);
    }

    /// For the one whose it is; it is kept no longer.
    pub(super) fn take(
        &self,
        id: &CertificateId,
        is_whose: impl FnOnce(&IssuedCertificate) -> bool,
    ) -> Option<IssuedCertificate> {
        let mut kept = self.lock();
        kept.get(id).is_some_and(is_whose).then(|| kept.remove(id))?
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CertificateId, IssuedCertificate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<CertificateRow> for IssuedCertificate {
    fn from(row: CertificateRow) -> Self {
        Self { method: row.method, requester: row.requester, der: row.der }
    }
}

#[cfg(test)]
mod tests {
    use issuance::identity::KeyId;
    use pki::serial::SerialNumber;

    use super::*;

    fn id(issuer: u8, number: u16) -> CertificateId {
        let serial = SerialNumber::from_be_bytes(&[&[1], &number.to_be_bytes()[..]].concat()).unwrap();
        CertificateId { issuer: KeyId([issuer; 20]), serial }
    }

    fn of(requester: &str) -> IssuedCertificate {
        IssuedCertificate {
            method: ResourceName::new("lab", "acme"),
            requester: requester.into(),
            der: vec![1, 2, 3],
        }
    }

    #[test]
    fn one_is_taken_once_and_only_by_whose_it_is() {
        let kept = IssuedCertificates::default();
        kept.put(id(7, 1), of("acme:a"));
        let whose = |requester: &'static str| move |found: &IssuedCertificate| found.requester == requester;
        assert_eq!(kept.take(&id(7, 1), whose("acme:b")), None);
        assert_eq!(kept.take(&id(7, 2), whose("acme:a")), None);
        assert_eq!(kept.take(&id(8, 1), whose("acme:a")), None);
        assert_eq!(kept.take(&id(7, 1), whose("acme:a")), Some(of("acme:a")));
        assert_eq!(kept.take(&id(7, 1), whose("acme:a")), None);
    }

    #[test]
    fn those_that_nobody_fetches_do_not_fill_the_memory() {
        let kept = IssuedCertificates::default();
        for number in 0..=MAX_KEPT {
            kept.put(id(7, u16::try_from(number).unwrap()), of("acme:a"));
        }
        assert_eq!(kept.lock().len(), 1);
    }
}
