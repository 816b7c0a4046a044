//! Which addresses may be contacted.

use std::net::IpAddr;

use crate::{AddressGuard, Reach};

fn guard(allowed: &[&str], denied: &[&str]) -> AddressGuard {
    let networks = |texts: &[&str]| texts.iter().map(|network| network.parse().unwrap()).collect();
    AddressGuard::new(networks(allowed), networks(denied))
}

fn judge(allowed: &[&str], address: &str) -> Option<Reach> {
    guard(allowed, &[]).judge(address.parse::<IpAddr>().unwrap())
}

#[test]
fn what_is_denied_is_contacted_by_nobody_whatever_allows_it() {
    for (allowed, denied, address) in [
        // Within what is allowed, the whole of it, and around it.
        ("10.0.0.0/8", "10.96.0.0/12", "10.96.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3"),
        ("10.96.0.0/16", "10.0.0.0/8", "10.96.0.1"),
        ("127.0.0.0/8", "127.0.0.3/32", "127.0.0.3"),
        ("0.0.0.0/0", "169.254.0.0/16", "169.254.169.254"),
        ("fd00::/8", "fd00:1::/32", "fd00:1::5"),
        // Public: pods with addresses of the internet.
        ("10.0.0.0/8", "8.8.8.0/24", "8.8.8.8"),
        ("10.0.0.0/8", "2a00:1450::/32", "2a00:1450::1"),
        ("2a00:1450::/32", "2a00:1450:1::/48", "2a00:1450:1::1"),
        // An address of IPv4 however it is written, and whoever translates it.
        ("10.0.0.0/8", "10.96.0.0/12", "::ffff:10.96.0.1"),
        ("10.0.0.0/8", "8.8.8.8/32", "::ffff:8.8.8.8"),
        ("64:ff9b::/96", "8.8.8.8/32", "64:ff9b::8.8.8.8"),
        ("2002::/16", "8.8.8.8/32", "2002:808:808::1"),
        // The translator itself.
        ("64:ff9b::/96", "64:ff9b::/96", "64:ff9b::8.8.8.8"),
    ] {
        let (guard, parsed) = (guard(&[allowed], &[denied]), address.parse::<IpAddr>().unwrap());
        assert!(guard.denies(parsed), "{address}");
        assert_eq!(guard.judge(parsed), None, "{address}");
    }
}

#[test]
fn what_is_denied_says_nothing_of_what_is_beside_it() {
    let guard = guard(&["10.0.0.0/8", "fd00::/8"], &["10.96.0.0/12", "fd00:1::/32", "2a00:1450::/32"]);
    for (address, reach) in [
        ("10.112.0.0", Some(Reach::Allowed)),
        ("10.95.255.255", Some(Reach::Allowed)),
        ("fd00:2::1", Some(Reach::Allowed)),
        ("2a00:1451::1", Some(Reach::Public)),
        ("8.8.8.8", Some(Reach::Public)),
        ("::ffff:8.8.8.8", Some(Reach::Public)),
        ("192.168.0.1", None),
    ] {
        let address = address.parse::<IpAddr>().unwrap();
        assert!(!guard.denies(address), "{address}");
        assert_eq!(guard.judge(address), reach, "{address}");
    }
    // A network of IPv6 says nothing of IPv4.
    assert_eq!(self::guard(&[], &["::/0"]).judge("8.8.8.8".parse().unwrap()), Some(Reach::Public));
}

#[test]
fn nothing_that_is_not_public_is_contacted() {
    let refused = [
        // This network, loopback, private, shared, link-local and its metadata.
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.0.1",
        "169.254.169.254",
        // Protocol assignments, documentation, benchmarks, relays, metadata of platforms.
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "198.19.255.255",
        "192.88.99.1",
        "168.63.129.16",
        "100.100.100.200",
        // Multicast, reserved, broadcast.
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        // Unspecified, loopback, link-local, site-local, unique-local and its metadata, multicast.
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "ff02::1",
        "ff0e::1",
        // Discard, documentation, benchmark, ORCHID, segment routing, and what nobody has yet.
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "5f00::1",
        "4000::1",
        "e000::1",
        // IPv4 in IPv6: compatible, translated, 6to4, Teredo.
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::8.8.8.8",
        "2002:808:808::1",
        "2001:0:808:808::1",
    ];
    for address in refused {
        assert_eq!(judge(&[], address), None, "{address}");
    }
}

#[test]
fn what_is_public_is_contacted() {
    let public = [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "3ffe::1",
    ];
    for address in public {
        assert_eq!(judge(&[], address), Some(Reach::Public), "{address}");
    }
}

#[test]
fn an_address_of_ipv4_is_judged_as_one_however_it_is_written() {
    for (mapped, as_v4) in [
        ("::ffff:127.0.0.1", None),
        ("::ffff:10.1.2.3", None),
        ("::ffff:169.254.169.254", None),
        ("::ffff:8.8.8.8", Some(Reach::Public)),
    ] {
        assert_eq!(judge(&[], mapped), as_v4, "{mapped}");
    }
    assert_eq!(judge(&["10.0.0.0/8"], "::ffff:10.1.2.3"), Some(Reach::Allowed));
    // A network of IPv6 says nothing of IPv4.
    assert_eq!(judge(&["::/0"], "::ffff:10.1.2.3"), None);
    assert_eq!(judge(&["::/0"], "10.1.2.3"), None);
}

#[test]
fn a_method_allows_networks_and_no_more() {
    let allowed = ["10.244.0.0/16", "fd00:1::/32"];
    assert_eq!(judge(&allowed, "10.244.3.4"), Some(Reach::Allowed));
    assert_eq!(judge(&allowed, "fd00:1::5"), Some(Reach::Allowed));
    for outside in ["10.245.0.1", "10.243.255.255", "fd00:2::1", "127.0.0.1"] {
        assert_eq!(judge(&allowed, outside), None, "{outside}");
    }
    assert_eq!(judge(&allowed, "8.8.8.8"), Some(Reach::Public));
}

#[test]
fn a_translator_that_is_allowed_leads_nowhere_that_is_not() {
    for (network, inside, public) in [
        ("64:ff9b::/96", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8"),
        ("64:ff9b::/96", "64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8"),
        ("64:ff9b::/96", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8"),
        ("2002::/16", "2002:a00:1::1", "2002:808:808::1"),
        ("::/0", "64:ff9b::192.168.0.1", "64:ff9b::8.8.8.8"),
    ] {
        assert_eq!(judge(&[network], inside), None, "{inside}");
        assert_eq!(judge(&[network], public), Some(Reach::Allowed), "{public}");
    }
    assert_eq!(judge(&["64:ff9b::/96", "10.0.0.0/8"], "64:ff9b::10.0.0.1"), Some(Reach::Allowed));
}
