//! Writes what was collected of how credentials were used.

use issuance::store::{Commit, Write};

use crate::serving::App;

/// Notes in one commit: a few milliseconds of the database, so that no enrollment waits for longer.
const AT_ONCE: usize = 500;

/// Each note is written once; what cannot be written waits for the next time.
pub(super) async fn write(app: &App) {
    let collector = app.passwords.usage();
    let notes = collector.take();
    for (place, some) in notes.chunks(AT_ONCE).enumerate() {
        let writes = some.iter().map(|note| Write::NoteCredentialUsage(Box::new(note.clone()))).collect();
        let failed = match app.engine.store().commit(Commit { writes, ..Commit::default() }).await {
            Ok(Ok(_)) => continue,
            Ok(Err(conflict)) => conflict.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error = failed, "the use of credentials could not be recorded; trying again");
        collector.add(notes.into_iter().skip(place * AT_ONCE));
        return;
    }
}
