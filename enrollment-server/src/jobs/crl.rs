//! The CRL of each authority that may sign one.

use issuance::{
    Error,
    authority::Authority,
    publication::crl_job,
    store::{Commit, Job, Write},
};

use super::runner::Done;
use crate::serving::App;

/// Makes sure that each authority in force has a job for its next CRL: at once where it has none that is good.
///
/// # Errors
/// Where the store does not answer.
pub async fn ensure_crl_jobs(app: &App) -> Result<(), Error> {
    let now = app.engine.clock().now();
    let mut commit = Commit::default();
    for authority in app.serving().office.authorities.values().filter(|authority| authority.signs_crls()) {
        let at = match app.engine.store().latest_crl(authority.key_id()).await? {
            Some(row) => {
                let before = i64::try_from(authority.crl.renew_before.as_secs()).unwrap_or(0);
                row.next_update.plus_seconds(-before)
            }
            None => now,
        };
        commit.writes.push(Write::PutJob(Box::new(crl_job(authority.key_id(), at)?)));
    }
    app.engine.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    Ok(())
}

/// Runs one job. Publishing schedules the next run in the same commit.
pub(super) async fn run(app: &App, job: &Job, owner: &str) -> Result<Done, Error> {
    let serving = app.serving();
    let key_id = job.key.parse().map_err(|_| Error::Internal(format!("job {} names no key", job.id)))?;
    let authority: Option<&std::sync::Arc<Authority>> = serving.office.authority_by_key(key_id);
    match authority {
        Some(authority) => {
            let row = app.engine.publish_crl(authority, Some((job, owner))).await?;
            tracing::info!(authority = %authority.name, number = row.number, next_update = %row.next_update, "CRL published");
            Ok(Done::Rescheduled)
        }
        // An authority that is not configured here any more: a later load asks for the job again.
        None => Ok(Done::Obsolete),
    }
}
