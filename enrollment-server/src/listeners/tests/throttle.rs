use std::{net::IpAddr, time::Instant};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Table {
    throttle: AuthenticationThrottle,
    start: Instant,
}

impl Table {
    fn new(per_address: u32, window: Duration, enforced: bool) -> Self {
        let failed_authentications = FailedAuthentications { per_address, window, enforced };
        let limits = Limits { failed_authentications, ..Limits::default() };
        let start = Instant::now();
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        Self { throttle: AuthenticationThrottle::new(limits, start), start }
    }

    fn fail(&self, address: &str, times: u32, at: Duration) {
        for _ in 0..times {
            self.throttle.failed(ip(address), self.start + at);
        }
    }

    /// `None` when the address may try, else the seconds it is told to wait.
    fn waits(&self, address: &str, at: Duration) -> Option<u64> {
        self.throttle.check(ip(address), self.start + at).err().map(RetryAfter::seconds)
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn an_address_is_refused_after_its_failures_and_regains_one_at_a_time() {
    let table = Table::new(30, 60 * SECOND, true);
    table.fail("192.0.2.1", 29, SECOND);
    assert_eq!(table.waits("192.0.2.1", SECOND), None);
    table.fail("192.0.2.1", 1, SECOND);
    assert_eq!(table.waits("192.0.2.1", SECOND), Some(2));
    assert_eq!(table.waits("192.0.2.1", 2 * SECOND), Some(1));
    assert_eq!(table.waits("192.0.2.1", 3 * SECOND), None);
    table.fail("192.0.2.1", 1, 3 * SECOND);
    assert_eq!(table.waits("192.0.2.1", 3 * SECOND), Some(2));
}

#[test]
fn an_address_that_stays_away_for_the_window_starts_over() {
    let table = Table::new(3, 60 * SECOND, true);
    table.fail("192.0.2.1", 3, Duration::ZERO);
    table.fail("192.0.2.1", 2, 60 * SECOND);
    assert_eq!(table.waits("192.0.2.1", 60 * SECOND), None);
}

#[test]
fn failures_let_through_together_do_not_lock_out_for_longer_than_the_window() {
    let table = Table::new(3, 60 * SECOND, true);
    table.fail("192.0.2.1", 1000, Duration::ZERO);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), Some(20));
}

#[test]
fn addresses_are_counted_apart() {
    let table = Table::new(1, 60 * SECOND, true);
    table.fail("192.0.2.1", 1, Duration::ZERO);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), Some(60));
    assert_eq!(table.waits("192.0.2.2", Duration::ZERO), None);
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_address() {
    let table = Table::new(1, 60 * SECOND, true);
    table.fail("2001:db8:1:2::1", 1, Duration::ZERO);
    assert_eq!(table.waits("2001:db8:1:2:ffff::9", Duration::ZERO), Some(60));
    assert_eq!(table.waits("2001:db8:1:3::1", Duration::ZERO), None);
}

#[test]
fn a_mapped_address_is_its_ipv4_address() {
    let table = Table::new(1, 60 * SECOND, true);
    table.fail("::ffff:192.0.2.1", 1, Duration::ZERO);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), Some(60));
    assert_eq!(table.waits("::ffff:192.0.2.2", Duration::ZERO), None);
}

#[test]
fn nobody_is_refused_where_it_is_not_enforced() {
    let table = Table::new(1, 60 * SECOND, false);
    table.fail("192.0.2.1", 100, Duration::ZERO);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), None);
}

#[test]
fn zero_failures_allowed_still_lets_a_first_try_through() {
    let table = Table::new(0, 60 * SECOND, true);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), None);
    table.fail("192.0.2.1", 1, Duration::ZERO);
    assert_eq!(table.waits("192.0.2.1", Duration::ZERO), Some(60));
}

#[test]
fn a_full_table_forgets_the_address_nearest_to_forgiveness() {
    let table = Table::new(1, 60 * SECOND, true);
    // Far more addresses than places; each set then holds the eight latest of those that fell into it.
    for n in 0..200_000_u32 {
        let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
        table.throttle.failed(address, table.start + Duration::from_millis(u64::from(n) / 10));
    }
    let at = 20 * SECOND;
    let refused = |range: std::ops::Range<u32>| {
        let address = |n| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
        range.filter(|n| table.throttle.check(address(*n), table.start + at).is_err()).count()
    };
    assert!(refused(0..200_000) <= 65_536, "the table is bounded");
    assert!(refused(0..1000) < 10, "the oldest are forgotten");
    assert!(refused(199_000..200_000) > 990, "the latest are remembered");
}
