//! Which addresses a name may lead to: none inside private networks, whatever a name service says.
//!
//! Names are resolved here, filtered, and what is left is what is connected to, so that a second answer cannot slip
//! another address in. Literal addresses never come here; options refuse them ([`super::options`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether an address is a public one: neither this machine, nor a private, shared, link-local, documentation, benchmark,
/// multicast or reserved one (IANA's special-purpose registries), also where it is wrapped into IPv6.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special: [(u32, u32); 14] = [
        (0x0000_0000, 8),  // 0.0.0.0/8, this network
        (0x0a00_0000, 8),  // 10.0.0.0/8, private
        (0x6440_0000, 10), // 100.64.0.0/10, shared between provider and customer
        (0x7f00_0000, 8),  // 127.0.0.0/8, loopback
        (0xa9fe_0000, 16), // 169.254.0.0/16, link-local, metadata services
        (0xac10_0000, 12), // 172.16.0.0/12, private
        (0xc000_0000, 24), // 192.0.0.0/24, protocol assignments
        (0xc000_0200, 24), // 192.0.2.0/24, documentation
        (0xc058_6300, 24), // 192.88.99.0/24, relays to IPv6
        (0xc0a8_0000, 16), // 192.168.0.0/16, private
        (0xc612_0000, 15), // 198.18.0.0/15, benchmarks
        (0xc633_6400, 24), // 198.51.100.0/24, documentation
        (0xcb00_7100, 24), // 203.0.113.0/24, documentation
        (0xe000_0000, 3),  // 224.0.0.0/3, multicast, reserved, broadcast
    ];
    let bits = address.to_bits();
    !special.iter().any(|(network, length)| (bits ^ network) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let inside = |network: u128, length: u32| (bits ^ network) >> (128 - length) == 0;
    if let Some(wrapped) = address.to_ipv4_mapped() {
        return is_public_v4(wrapped);
    }
    if inside(0x0064_ff9b << 96, 96) {
        return is_public_v4(Ipv4Addr::from_bits(bits as u32)); // how hosts without IPv4 reach IPv4
    }
    // 2000::/3 is all that was ever given out, less protocol assignments, documentation and 6to4.
    inside(0x2000 << 112, 3)
        && !inside(0x2001 << 112, 23)
        && !inside(0x2001_0db8 << 96, 32)
        && !inside(0x2002 << 112, 16)
        && !inside(0x3fff << 112, 20)
}

/// No address of a name may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{name} leads to {seen}: no address there is one of the public network, so it is not connected to")]
pub(super) struct NotPublic {
    name: String,
    seen: String,
}

/// The system's name service, behind the guard.
pub(super) struct GuardedNames;

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses: Addrs = Box::new(permitted(&name, found)?.into_iter());
            Ok(addresses)
        })
    }
}

/// The addresses that may be connected to. The name `localhost` comes here only when the configuration names it, and
/// then leads to this machine alone.
fn permitted(name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    let here = name == "localhost";
    let fits = |at: &SocketAddr| if here { at.ip().is_loopback() } else { is_public(at.ip()) };
    let (fitting, others): (Vec<_>, Vec<_>) = found.into_iter().partition(fits);
    if fitting.is_empty() {
        let seen: Vec<_> = others.iter().take(4).map(|at| at.ip().to_string()).collect();
        return Err(NotPublic { name: name.to_owned(), seen: seen.join(", ") });
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().expect("an address"))
    }

    #[test]
    fn special_networks_are_closed_and_the_public_one_is_open() {
        for closed in [
            "0.0.0.0",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(closed), "{closed}");
        }
        for open in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2606:4700::1111",
            "2a00:1450::1",
            "2600:1f00::1",
        ] {
            assert!(public(open), "{open}");
        }
    }

    #[test]
    fn of_a_name_with_addresses_of_both_kinds_only_the_public_ones_are_left() {
        let at = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
        let both = vec![at("10.0.0.1"), at("1.1.1.1"), at("::1")];
        assert_eq!(permitted("a.example", both.clone()).expect("one"), [at("1.1.1.1")]);
        let refused = permitted("a.example", vec![at("10.0.0.1"), at("fe80::1")]).expect_err("none");
        assert!(refused.to_string().starts_with("a.example leads to 10.0.0.1, fe80::1: "), "{refused}");
        assert_eq!(permitted("localhost", both).expect("this machine"), [at("::1")]);
        assert!(permitted("localhost", vec![at("1.1.1.1")]).is_err(), "localhost is here or nowhere");
        assert!(permitted("a.example", Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn std_agrees_where_it_has_a_word(bits: u32, wide: u128) {
            let four = Ipv4Addr::from_bits(bits);
            let special = four.is_private() || four.is_loopback() || four.is_link_local() || four.is_broadcast()
                || four.is_documentation() || four.is_multicast() || four.is_unspecified();
            prop_assert!(!(special && is_public(four.into())), "{four}");
            prop_assert_eq!(is_public(four.into()), is_public(four.to_ipv6_mapped().into()));
            let six = Ipv6Addr::from_bits(wide);
            let special = six.is_loopback() || six.is_multicast() || six.is_unicast_link_local()
                || six.is_unique_local() || six.is_unspecified();
            prop_assert!(!(special && is_public(six.into())), "{six}");
        }
    }
}
