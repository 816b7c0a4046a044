//! Signed checkpoints of the audit trail, and the key that signs them.

use aws_lc_rs::signature::Ed25519KeyPair;
use issuance::{
    Error,
    audit::{Checkpoint, StreamHead},
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Conflict, Expect, SealedRow, Store, Write},
};
use pki::time::Time;

const AUDIT_KEY: &str = "role/audit";

/// The key that signs checkpoints, PKCS #8; made at first use and the same for all replicas.
///
/// # Errors
/// Where the store does not answer, or the key was sealed with a key that is not at hand.
pub async fn audit_key(store: &dyn Store, sealing: &SealingKeys) -> Result<Secret, Error> {
    // Twice: another replica may make it between the look and the commit.
    for _ in 0..2 {
        if let Some(row) = store.sealed(AUDIT_KEY).await? {
            return Ok(sealing.unseal(AUDIT_KEY, &row.sealed)?);
        }
        let internal = |_| Error::Internal("the audit key could not be made".into());
        let key = Ed25519KeyPair::generate().map_err(internal)?;
        let secret = Secret::new(key.to_pkcs8v1().map_err(internal)?.as_ref());
        let row = SealedRow {
            name: AUDIT_KEY.into(),
            version: 1,
            sealed: sealing.seal(AUDIT_KEY, &secret)?,
            public: Vec::new(),
        };
        let commit = Commit {
            expect: vec![Expect::SealedVersion { name: AUDIT_KEY.into(), version: 0 }],
            writes: vec![Write::PutSealed(Box::new(row))],
            audit: Vec::new(),
        };
        match store.commit(commit).await? {
            Ok(_) => return Ok(secret),
            Err(Conflict::Expectation(_)) => {}
            Err(other) => return Err(Error::Conflict(other.to_string())),
        }
    }
    Err(Error::Conflict("the audit key is being made elsewhere".into()))
}

/// Signs the heads of all streams as they are now, and records that.
///
/// # Errors
/// As [`audit_key`].
pub async fn write_checkpoint(
    store: &dyn Store,
    sealing: &SealingKeys,
    now: Time,
) -> Result<Checkpoint, Error> {
    let key = audit_key(store, sealing).await?;
    let mut heads = Vec::new();
    for stream in store.audit_streams().await? {
        if let Some(record) = store.audit_head(&stream).await? {
            heads.push(StreamHead { stream, sequence: record.sequence, hash: record.hash });
        }
    }
    let checkpoint =
        Checkpoint::sign(now, heads, key.expose()).map_err(|error| Error::Internal(error.to_string()))?;
    let commit =
        Commit { writes: vec![Write::PutCheckpoint(Box::new(checkpoint.clone()))], ..Commit::default() };
    store.commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    Ok(checkpoint)
}
