//! What a commit holds on to that is not a row: rows that must stay absent, and rows that many use at once and few
//! replace. Advisory locks of the transaction: in memory, gone when it ends.
//!
//! All are taken first, in one order, so that two commits never wait for each other. The statements after them see
//! whatever was committed before they were taken, because each sees the rows of its own moment (READ COMMITTED).

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use issuance::store::{Commit, Expect, Write};

use super::order::{Step, parameters};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// With all others who use it.
    Shared,
    /// Alone.
    Exclusive,
}

/// By number; two things with one number only wait for each other.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<i64, Hold>);

impl Locks {
    pub(super) fn of(commit: &Commit) -> Self {
        let mut locks = Self::default();
        commit.expect.iter().for_each(|expect| locks.expectation(expect));
        commit.writes.iter().for_each(|write| locks.write(write));
        locks
    }

    pub(super) fn step(&self) -> Option<Step> {
        if self.0.is_empty() {
            return None;
        }
        let numbers: Vec<i64> = self.0.keys().copied().collect();
        let exclusive: Vec<bool> = self.0.values().map(|hold| *hold == Hold::Exclusive).collect();
        // One row after the other, from the first; the casts make two functions without a result into one column.
        let sql = "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(number)::text \
            ELSE pg_advisory_xact_lock_shared(number)::text END \
            FROM unnest($1::bigint[], $2::boolean[]) AS locks (number, alone)";
        Some(Step::new(sql, parameters![numbers, exclusive]))
    }

    fn expectation(&mut self, expect: &Expect) {
        match expect {
            // Whoever replaces the row waits for those who use it, and they for it; they do not wait for each other.
            Expect::CredentialUsable { id, .. } | Expect::CredentialVersion { id, .. } => {
                self.hold("credential", id.as_str().as_bytes(), Hold::Shared);
            }
            // No row yet, or none that may be made by another meanwhile.
            Expect::KeyUnused { public_key_sha256 } => {
                self.hold("key", public_key_sha256.as_bytes(), Hold::Exclusive);
            }
            Expect::SealedVersion { name, .. } => self.hold("sealed", name.as_bytes(), Hold::Exclusive),
            // Many orders of one account are issued at once; it changes rarely.
            Expect::AcmeAccountVersion { id, .. } => {
                self.hold("acme account", id.as_str().as_bytes(), Hold::Shared);
            }
            Expect::AcmeOrderVersion { id, .. } => {
                self.hold("acme order", id.as_str().as_bytes(), Hold::Exclusive);
            }
            // Several orders that would be the first to replace it.
            Expect::AcmeReplacing { issuer, serial, .. } => {
                self.hold(
                    "acme replaces",
                    &[issuer.0.as_slice(), serial.as_bytes()].concat(),
                    Hold::Exclusive,
                );
            }
            Expect::RestOrderVersion { id, .. } => {
                self.hold("rest order", id.as_str().as_bytes(), Hold::Exclusive);
            }
            Expect::RestReplacing { issuer, serial, .. } => {
                self.hold(
                    "rest replaces",
                    &[issuer.0.as_slice(), serial.as_bytes()].concat(),
                    Hold::Exclusive,
                );
            }
            // Rows, which are locked themselves.
            Expect::RequestState { .. } | Expect::CertificateStatus { .. } | Expect::JobLeased { .. } => {}
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::PutCredential(row) => {
                self.hold("credential", row.id.as_str().as_bytes(), Hold::Exclusive);
            }
            Write::UseCredential { id, .. } => {
                self.hold("credential", id.as_str().as_bytes(), Hold::Shared);
            }
            Write::PutSealed(row) => self.hold("sealed", row.name.as_bytes(), Hold::Exclusive),
            // A number must exceed all others, of which one may be on its way.
            Write::PutCrl(row) => self.hold("crl", &row.issuer.0, Hold::Exclusive),
            Write::PruneCrls { issuer, .. } => self.hold("crl", &issuer.0, Hold::Exclusive),
            Write::PutAcmeAccount(row) => {
                self.hold("acme account", row.id.as_str().as_bytes(), Hold::Exclusive);
            }
            Write::PutAcmeOrder(row) => {
                self.hold("acme order", row.id.as_str().as_bytes(), Hold::Exclusive);
            }
            Write::PutRestOrder(row) => {
                self.hold("rest order", row.id.as_str().as_bytes(), Hold::Exclusive);
            }
            // Unique indexes and the rows themselves do.
            Write::InsertCertificate(_)
            | Write::SetCertificateStatus { .. }
            | Write::InsertRequest(_)
            | Write::UpdateRequest { .. }
            | Write::DeleteRequest { .. }
            | Write::ExpireRequests { .. }
            | Write::PutJob(_)
            | Write::RescheduleJob { .. }
            | Write::DeleteJob { .. }
            | Write::PutCheckpoint(_)
            | Write::NoteCredentialUsage(_)
            | Write::SweepAcmeOrders { .. }
            | Write::SweepRestOrders { .. } => {}
        }
    }

    fn hold(&mut self, kind: &str, name: &[u8], hold: Hold) {
        let held = self.0.entry(number(kind, name)).or_insert(hold);
        *held = hold.max(*held);
    }
}

/// The same in every process of every release that shares a database: part of the schema, so to speak.
pub(super) fn number(kind: &str, name: &[u8]) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [b"chancery lock v1".as_slice(), kind.as_bytes(), name] {
        context.update(part);
        context.update(b"\0");
    }
    let mut first = [0; 8];
    first.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use issuance::store::suite::samples::{credential, credential_id, usable};

    use super::*;

    #[test]
    fn whoever_replaces_a_credential_holds_it_alone_whatever_else_it_does() {
        let put = Write::PutCredential(Box::new(credential(1)));
        let used = Write::UseCredential {
            id: credential_id(1),
            at: issuance::store::suite::samples::NOW,
            address: None,
        };
        let writes = vec![used.clone(), put, used];
        let locks = Locks::of(&Commit { expect: vec![usable(1, 1)], writes, audit: Vec::new() });
        let expected = number("credential", credential_id(1).as_str().as_bytes());
        assert_eq!(locks.0, BTreeMap::from([(expected, Hold::Exclusive)]));
    }

    #[test]
    fn lock_numbers_are_what_other_releases_compute() {
        assert_eq!(number("migration", b""), NUMBER_OF_MIGRATION);
        assert_ne!(number("ab", b"c"), number("a", b"bc"));
    }

    /// The first eight octets of SHA-256 over `chancery lock v1\0migration\0\0`.
    const NUMBER_OF_MIGRATION: i64 = -516_266_201_512_278_942;
}
