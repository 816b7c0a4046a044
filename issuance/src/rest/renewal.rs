//! Certificates that the server renews by itself, because whoever ordered wished it.

use aws_lc_rs::digest;
use pki::time::Time;
use serde::{Deserialize, Serialize};

use crate::{
    identity::{JobId, RestOrderId},
    store::{Job, JobKind},
};

/// A shorter certificate than this, issued with less than it is to be renewed before its end, is renewed no more: it would be
/// renewed ever faster.
const SHORTEST: i64 = 3600;

/// The wish, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// Seconds before the end of the certificate.
    pub before: i64,
    /// The order that is to renew the certificate, where a person decides on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<RestOrderId>,
    /// Why the last attempt did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Renewal {
    pub fn new(before: i64) -> Self {
        Self { before, order: None, problem: None }
    }

    /// The most seconds before its end that a certificate of this life is renewed: one is used for a third of its life, or each
    /// would be renewed as soon as it is there.
    pub fn most(life: i64) -> i64 {
        life / 3 * 2
    }

    /// When a certificate that is good from `start` (or was issued then, although it says that it began before) to `end` is to be
    /// renewed: where it is shorter than was expected (its authority ends, its profile has changed), after two thirds of its life.
    /// None where that is too short as well.
    pub fn due(&self, start: Time, end: Time) -> Option<Time> {
        let life = end.unix().saturating_sub(start.unix());
        if self.before <= Self::most(life) {
            return Some(end.plus_seconds(self.before.saturating_neg()));
        }
        (life >= SHORTEST).then(|| start.plus_seconds(Self::most(life)))
    }
}

/// The job that renews the certificate of an order: one an order, with the same identifier wherever it is made. It finds out
/// itself when the certificate is to be renewed.
pub fn renewal_job(order: &RestOrderId, run_at: Time) -> Job {
    let key = order.to_string();
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery rest renewal v1\0");
    context.update(key.as_bytes());
    let mut octets = [0; 16];
    octets.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    let (id, kind) = (JobId::from_octets(octets), JobKind::RestRenewal);
    Job { id, kind, key, payload: Vec::new(), run_at, attempts: 0, last_error: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::samples::{NOW, rest_order_id};

    const DAY: i64 = 86_400;

    fn due(before: i64, life: i64) -> Option<i64> {
        Renewal::new(before).due(NOW, NOW.plus_seconds(life)).map(|at| at.unix() - NOW.unix())
    }

    #[test]
    fn a_certificate_is_due_so_long_before_its_end() {
        assert_eq!(due(30 * DAY, 90 * DAY), Some(60 * DAY));
        assert_eq!(due(60, 120), Some(60));
        assert_eq!(due(16 * 3600, DAY), Some(8 * 3600));
    }

    #[test]
    fn one_that_came_out_shorter_is_due_after_two_thirds_of_its_life_but_never_ever_faster() {
        assert_eq!(due(30 * DAY, 30 * DAY), Some(20 * DAY));
        assert_eq!(due(DAY - 1, DAY), Some(16 * 3600));
        assert_eq!(due(119, 120), None);
        assert_eq!(due(i64::MAX, 3600), Some(2400));
        assert_eq!(due(3600, 3599), None);
        assert_eq!(due(1, -1), None);
    }

    #[test]
    fn an_order_has_one_job() {
        let (job, again) = (renewal_job(&rest_order_id(1), NOW), renewal_job(&rest_order_id(1), NOW));
        assert_eq!(job, again);
        assert_eq!(job.key.parse(), Ok(rest_order_id(1)));
        assert_ne!(renewal_job(&rest_order_id(2), NOW).id, job.id);
    }
}
