//! Whether all ready replicas serve an object as it is now.

use crate::publish::Published;

use super::ReplicaState;

/// How far a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programmed {
    /// Every ready replica serves it as it is now, and there is at least one.
    Yes,
    /// Not every ready replica has taken it over yet.
    Pending(String),
    /// A replica could not take it over; the sentence says which and why.
    Failed(String),
    /// No replica is ready.
    ServerNotReady,
    /// It is not among what the replicas are to serve.
    NotPublished,
}

/// How far the part in `secret` is.
pub fn programmed(published: Option<&Published>, replicas: &[ReplicaState], secret: &str) -> Programmed {
    let Some(published) = published else { return Programmed::NotPublished };
    if let Some(why) = published.left_out.get(secret) {
        return Programmed::Failed(why.clone());
    }
    let Some(wanted) = published.parts().get(secret) else { return Programmed::NotPublished };
    let mut pending = None;
    let mut ready = 0_usize;
    for state in replicas.iter().filter(|state| state.ready) {
        ready += 1;
        let pod = &state.replica.pod;
        let Some(loaded) = &state.loaded else {
            let why = state.error.as_deref().unwrap_or("it was not asked yet");
            pending.get_or_insert_with(|| format!("{pod}: {why}"));
            continue;
        };
        if let Some(why) = loaded.failed.get(secret) {
            return Programmed::Failed(format!("{pod}: {why}"));
        }
        if loaded.parts.get(secret) == Some(&wanted.sha256) {
            continue;
        }
        match &loaded.rejected {
            Some(why) => return Programmed::Failed(format!("{pod}: {why}")),
            None => pending.get_or_insert_with(|| format!("{pod} serves generation {}", loaded.generation)),
        };
    }
    match pending {
        _ if ready == 0 => Programmed::ServerNotReady,
        Some(why) => Programmed::Pending(why),
        None => Programmed::Yes,
    }
}

/// Whether every ready replica serves everything that was published, or said why it does not: nothing is to be waited for.
pub(super) fn is_settled(published: &Published, replicas: &[ReplicaState]) -> bool {
    replicas.iter().filter(|state| state.ready).all(|state| {
        state.loaded.as_ref().is_some_and(|loaded| {
            loaded.generation == published.generation()
                && published.parts().iter().all(|(secret, entry)| {
                    loaded.parts.get(secret) == Some(&entry.sha256) || loaded.failed.contains_key(secret)
                })
        })
    })
}
