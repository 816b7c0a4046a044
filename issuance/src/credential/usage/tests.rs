use super::*;

const NOW: Time = Time::from_unix(1_800_000_000);

fn id(number: u32) -> CredentialId {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    CredentialId::from_octets(octets)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

fn failure(seconds: i64, reason: &str, last: u8) -> Option<UsageFailure> {
    Some(UsageFailure { at: NOW.plus_seconds(seconds), reason: reason.into(), address: address(last) })
}

#[test]
fn whoever_shows_any_number_of_credentials_takes_a_bounded_place() {
    let collector = UsageCollector::default();
    for number in 0..12_000 {
        collector.accepted(&id(number), NOW, None);
    }
    // What is there already goes on counting.
    collector.failed(&id(0), AuthenticationFailure::Mismatch, NOW, address(1));
    collector.failed(&id(11_999), AuthenticationFailure::Mismatch, NOW, address(1));
    let notes = collector.take();
    assert_eq!(notes.len(), MAX_CREDENTIALS);
    assert_eq!((notes[0].requests, notes[0].failures), (1, 1));
    assert_eq!(notes.iter().map(|note| note.failures).sum::<u64>(), 1);
}

#[test]
fn each_event_is_taken_once_and_what_is_given_back_is_taken_again() {
    let collector = UsageCollector::default();
    collector.accepted(&id(1), NOW, address(1));
    collector.failed(&id(2), AuthenticationFailure::Revoked, NOW, address(2));
    let taken = collector.take();
    assert_eq!(taken.len(), 2);
    assert!(collector.take().is_empty());
    collector.accepted(&id(1), NOW.plus_seconds(5), address(3));
    collector.add(taken.clone());
    let again = collector.take();
    let last = Some(Seen { at: NOW.plus_seconds(5), address: address(3) });
    assert_eq!(again[0], UsageNote { requests: 2, first: Some(NOW), last, ..UsageNote::empty(id(1)) });
    assert_eq!(again[1], taken[1]);
}

#[test]
fn the_last_failure_is_the_one_with_the_latest_time() {
    let mut note = UsageNote::empty(id(1));
    for (seconds, reason, last) in [(5, "expired", 1), (9, "mismatch", 2), (7, "revoked", 3)] {
        let last_failure = failure(seconds, reason, last);
        note.add(UsageNote { failures: 1, last_failure, ..UsageNote::empty(id(1)) });
    }
    note.add(UsageNote { requests: 1, ..UsageNote::empty(id(1)) });
    assert_eq!((note.failures, note.last_failure), (3, failure(9, "mismatch", 2)));
}

#[test]
fn what_was_granted_and_what_was_noted_are_one_story() {
    let granted = GrantedUses {
        credential: id(1),
        uses: 3,
        first: Some(NOW.plus_seconds(10)),
        last: Some(Seen { at: NOW.plus_seconds(30), address: address(1) }),
    };
    let alone = CredentialUsage::new(granted.clone(), None);
    assert_eq!((alone.uses, alone.requests, alone.last_address), (3, 0, address(1)));
    let mut noted = UsageNote {
        requests: 7,
        first: Some(NOW),
        last: Some(Seen { at: NOW.plus_seconds(20), address: address(2) }),
        ..UsageNote::empty(id(1))
    };
    let usage = CredentialUsage::new(granted.clone(), Some(noted.clone()));
    assert_eq!((usage.first_used_at, usage.last_used_at), (Some(NOW), Some(NOW.plus_seconds(30))));
    assert_eq!((usage.uses, usage.requests, usage.last_address), (3, 7, address(1)));
    noted.last = Some(Seen { at: NOW.plus_seconds(40), address: address(2) });
    let usage = CredentialUsage::new(granted, Some(noted));
    assert_eq!((usage.last_used_at, usage.last_address), (Some(NOW.plus_seconds(40)), address(2)));
}
