//! Which addresses may be contacted on behalf of whoever asks for a certificate.
//!
//! A stranger chooses the names, and through them the addresses; this server stands where strangers do not. So only what
//! is public is contacted, and what a method allows by name, and nothing that the server denies. The same is asked when
//! settings are compiled and when a connection is made: then about the very address that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not public: the special purposes of RFC 6890, and platforms' own.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Shared address space (RFC 6598).
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Link-local, where clouds answer with the metadata of the machine.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    // Relays of 6to4 (RFC 7526).
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // The address inside Azure at which its hosts talk to their machines: public by its number only.
    v4([168, 63, 129, 16], 32),
    // Multicast; reserved, and broadcast.
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// All that is routed on the internet. Unspecified, loopback, link-local, unique-local, multicast, translated, discarded
/// and whatever comes to be are elsewhere.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);

/// What lies there and is not public all the same.
const SPECIAL_V6: [Ipv6Net; 4] = [
    // IETF protocols: Teredo (RFC 4380), benchmarks, ORCHIDs.
    v6([0x2001, 0], 23),
    v6([0x2001, 0x0db8], 32),
    // 6to4 (RFC 3056).
    v6([0x2002, 0], 16),
    // Documentation (RFC 9637).
    v6([0x3fff, 0], 20),
];

/// NAT64 (RFC 6052 §2.1): the last 32 bits are an IPv4 address.
const NAT64: Ipv6Net = v6([0x0064, 0xff9b], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0], 16);

/// What the validations of one method may contact.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
}

/// Why an address may be contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Public,
    /// Its network is allowed by name.
    Allowed,
}

impl AddressGuard {
    /// `denied` wins over `allowed`, and over what is public.
    pub fn new(allowed: Vec<IpNet>, denied: Vec<IpNet>) -> Self {
        Self { allowed, denied }
    }

    /// None: not to be contacted.
    pub fn judge(&self, address: IpAddr) -> Option<Reach> {
        if self.denies(address) {
            return None;
        }
        match address {
            IpAddr::V4(address) => self.judge_v4(address),
            IpAddr::V6(address) => self.judge_v6(address),
        }
    }

    /// Whether nobody may contact it, whatever allows it. The IPv4 address within one of IPv6 counts as well.
    pub fn denies(&self, address: IpAddr) -> bool {
        let listed = |address: IpAddr| self.denied.iter().any(|network| network.contains(&address));
        let inner = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => address.to_ipv4_mapped().or_else(|| embedded(address)),
        };
        listed(address) || inner.is_some_and(|inner| listed(inner.into()))
    }

    fn judge_v4(&self, address: Ipv4Addr) -> Option<Reach> {
        if self.allows(address.into()) {
            Some(Reach::Allowed)
        } else if SPECIAL_V4.iter().any(|network| network.contains(&address)) {
            None
        } else {
            Some(Reach::Public)
        }
    }

    fn judge_v6(&self, address: Ipv6Addr) -> Option<Reach> {
        // The machine sends these to the IPv4 address itself, whatever network of IPv6 they are in.
        if let Some(mapped) = address.to_ipv4_mapped() {
            return self.judge_v4(mapped);
        }
        if self.allows(address.into()) {
            // A translator that may be used is no way around what is said of IPv4.
            return match embedded(address) {
                Some(inner) => self.judge_v4(inner).map(|_| Reach::Allowed),
                None => Some(Reach::Allowed),
            };
        }
        let public =
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address));
        public.then_some(Reach::Public)
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address))
    }
}

/// The IPv4 address that something on the way will send to instead.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    if NAT64.contains(&address) {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    let [_, _, a, b, c, d, ..] = address.octets();
    SIX_TO_FOUR.contains(&address).then(|| Ipv4Addr::new(a, b, c, d))
}

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b]: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}
