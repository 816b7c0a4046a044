//! What may be used once, whichever replica is asked. The table is not in the log, and nobody waits for the disk: what is
//! claimed now may be claimed again after a crash of the database, and that is all that is lost.

use issuance::store::ClaimKey;
use pki::time::Time;

use super::{connect::Connection, failure::Failure};

/// A transaction of its own. Whoever comes second waits for the first, and is told by no row that it was not.
pub(super) const CLAIM: &str = "INSERT INTO claims (key, until) \
    SELECT $1, $2 FROM set_config('synchronous_commit', 'off', true) ON CONFLICT DO NOTHING";

/// At most so many at once, so that whoever claims meanwhile has room.
const SWEEP: &str = "DELETE FROM claims WHERE key IN (SELECT key FROM claims WHERE until <= $1 LIMIT 10000)";

pub(super) async fn claim(connection: &mut Connection, key: &ClaimKey, until: Time) -> Result<bool, Failure> {
    let statement = connection.statement(CLAIM).await?;
    let rows = connection.client.execute(&statement, &[&key.as_slice(), &until.unix()]).await?;
    Ok(rows == 1)
}

/// Returns whether anything was there to sweep.
pub(super) async fn sweep(connection: &mut Connection, now: Time) -> Result<bool, Failure> {
    let statement = connection.statement(SWEEP).await?;
    Ok(connection.client.execute(&statement, &[&now.unix()]).await? > 0)
}
