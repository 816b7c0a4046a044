//! Whatever happens in whatever order: nothing leads back.

use proptest::prelude::*;

use super::problem;
use crate::{
    acme::{
        Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Identifier, OrderRow,
        OrderStatus, TransitionError,
    },
    store::suite::samples::{LATER, NOW, issuer, order, request_id, serial},
};

/// Something that somebody tries, after some time.
#[derive(Clone, Debug)]
struct Try {
    wait: i64,
    place: usize,
    kind: ChallengeType,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Start,
    AttemptFailed,
    Succeeded,
    Failed,
    Deactivate,
    Revoke,
    Process(u8),
    Issue(u32),
    Invalidate,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let what = prop_oneof![
        6 => Just(What::Start),
        1 => Just(What::AttemptFailed),
        6 => Just(What::Succeeded),
        1 => Just(What::Failed),
        1 => Just(What::Deactivate),
        1 => Just(What::Revoke),
        2 => (0..2_u8).prop_map(What::Process),
        2 => (1..4_u32).prop_map(What::Issue),
        1 => Just(What::Invalidate),
    ];
    let kind = prop_oneof![Just(ChallengeType::Http01), Just(ChallengeType::Dns01)];
    let one = (0..40_i64, 0..3_usize, kind, what).prop_map(|(wait, place, kind, what)| Try {
        wait,
        place,
        kind,
        what,
    });
    prop::collection::vec(one, 1..40)
}

/// Of one to three names, one of them without challenges; each ends at a time of its own.
fn orders() -> impl Strategy<Value = OrderRow> {
    prop::collection::vec((any::<bool>(), 1..600_i64), 1..=3).prop_flat_map(|names| {
        (Just(names), 1..600_i64).prop_map(|(names, until)| {
            let authorizations = names.into_iter().map(|(preauthorized, seconds)| {
                let (name, end) = (Identifier::Dns("a.example".into()), NOW.plus_seconds(seconds));
                if preauthorized {
                    return Authorization::preauthorized(name, false, end, NOW);
                }
                let kinds = [ChallengeType::Http01, ChallengeType::Dns01];
                Authorization::pending(name, false, end, kinds.map(|kind| Challenge::new(kind, "t")).into())
            });
            OrderRow {
                authorizations: authorizations.collect(),
                expires_at: NOW.plus_seconds(until),
                ..order(1)
            }
        })
    })
}

impl Try {
    fn apply(&self, row: &mut OrderRow, now: pki::time::Time) -> Result<(), TransitionError> {
        let (place, kind) = (self.place, self.kind);
        match self.what {
            What::Start => row.start_challenge(place, kind, now),
            What::AttemptFailed => row.attempt_failed(place, kind, now, problem()),
            What::Succeeded => row.challenge_succeeded(place, kind, now, LATER),
            What::Failed => row.challenge_failed(place, kind, now, problem()),
            What::Deactivate => row.deactivate_authorization(place, now),
            What::Revoke => row.revoke_authorization(place, now),
            What::Process(csr) => row.processing(request_id(csr), &[csr], now),
            What::Issue(number) => row.issued(issuer(1), serial(number), now),
            What::Invalidate => row.invalidate(problem(), now),
        }
    }
}

/// Where an order may be next (RFC 8555 §7.1.6), staying where it is included.
fn leads_to(from: OrderStatus) -> &'static [OrderStatus] {
    use OrderStatus::{Invalid, Pending, Processing, Ready, Valid};
    match from {
        Pending => &[Pending, Ready, Invalid],
        Ready => &[Ready, Processing, Valid, Invalid],
        Processing => &[Processing, Valid, Invalid],
        Valid => &[Valid],
        Invalid => &[Invalid],
    }
}

fn authorization_leads_to(from: AuthorizationStatus) -> &'static [AuthorizationStatus] {
    use AuthorizationStatus::{Deactivated, Expired, Invalid, Pending, Revoked, Valid};
    match from {
        Pending => &[Pending, Valid, Invalid, Deactivated, Revoked, Expired],
        Valid => &[Valid, Deactivated, Revoked, Expired],
        Invalid => &[Invalid],
        Deactivated => &[Deactivated],
        Revoked => &[Revoked],
        Expired => &[Expired],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_leads_back(row in orders(), tries in tries()) {
        let (mut row, mut now) = (row, NOW);
        for one in &tries {
            let (before, then) = (row.clone(), now);
            now = now.plus_seconds(one.wait);
            let made = one.apply(&mut row, now);
            match made {
                Ok(()) => prop_assert_eq!(row.version, before.version + 1),
                Err(_) => prop_assert_eq!(&row, &before),
            }
            let (from, to) = (before.status(then), row.status(now));
            // Time alone may end a name that was ready, and then something else is tried: two steps at most.
            let passed = before.status(now);
            prop_assert!(leads_to(from).contains(&passed), "{:?} to {:?} by time", from, passed);
            prop_assert!(leads_to(passed).contains(&to), "{:?} to {:?} by {:?}", passed, to, one);
            if let Some(certificate) = before.certificate() {
                prop_assert_eq!(row.certificate(), Some(certificate));
            }
            if from != OrderStatus::Valid && to == OrderStatus::Valid {
                // Issued from nothing but what was proved.
                let all_valid = before.authorizations.iter().all(|authorization| {
                    authorization.status == AuthorizationStatus::Valid
                });
                prop_assert!(all_valid);
            }
            for (old, new) in before.authorizations.iter().zip(&row.authorizations) {
                let (from, to) = (old.status_at(then), new.status_at(now));
                prop_assert!(authorization_leads_to(from).contains(&to), "{:?} to {:?}", from, to);
                let mut validated = new.challenges.iter().map(|challenge| challenge.status);
                validated.by_ref().find(|status| *status == ChallengeStatus::Processing);
                prop_assert!(!validated.any(|status| status == ChallengeStatus::Processing));
            }
            let stored = serde_json::to_string(&row).unwrap();
            prop_assert_eq!(&serde_json::from_str::<OrderRow>(&stored).unwrap(), &row);
        }
    }
}
