// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The kernel's addresses as records contain them.

/// An IPv6 address or an IPv4-mapped IPv6 address.
pub type Address = [u8; 16];

/// Returns the IPv4-mapped form of an address that is in the last four bytes.  The
/// others can have any value: `struct in_addr_4in6`.
#[must_use]
pub fn mapped(address: Address) -> Address {
    // As an integer: the compiler would copy bytes one by one.
    const PREFIX: u128 = u128::from_ne_bytes(tcpstats::ipv4([0; 4]));
    const LAST_FOUR: u128 = u128::from_ne_bytes(tcpstats::ipv4([0xff; 4])) & !PREFIX;
    (u128::from_ne_bytes(address) & LAST_FOUR | PREFIX).to_ne_bytes()
}

/// The bytes of a scoped address in which the kernel embeds the zone:
/// `in6_setscope()` of `netinet6/scope6.c`.
const ZONE: core::ops::Range<usize> = 2..4;

/// Returns an address without its embedded zone, and the zone.
///
/// Link-local unicast and multicast addresses and interface-local multicast
/// addresses have one: `IN6_IS_SCOPE_EMBED` of `netinet6/in6.h`.
#[must_use]
pub fn without_zone(mut address: Address) -> (Address, Option<u32>) {
    let is_scoped = tcpstats::is_scoped(address);
    let Some(embedded) = address.get_mut(ZONE).filter(|_| is_scoped) else {
        return (address, None);
    };
    let zone = embedded.iter().fold(0, |zone, byte| zone << 8 | u32::from(*byte));
    embedded.fill(0);
    (address, Some(zone).filter(|zone| *zone != 0))
}

/// Returns the local and the foreign IPv6 address of a connection without their
/// zones, and the zone.
// Not inline, so that IPv4 connections do not pay for it.
#[inline(never)]
#[must_use]
pub fn without_zones(local: Address, foreign: Address) -> (Address, Address, Option<u32>) {
    let (local, local_zone) = without_zone(local);
    let (foreign, foreign_zone) = without_zone(foreign);
    (local, foreign, local_zone.or(foreign_zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Address {
        text.parse::<core::net::Ipv6Addr>().unwrap().octets()
    }

    #[test]
    fn the_zone_is_removed_from_scoped_addresses_only() {
        for (embedded, plain, zone) in [
            ("fe80:1::1", "fe80::1", Some(1)),
            ("febf:102::2", "febf::2", Some(0x102)),
            ("ff02:3::1", "ff02::1", Some(3)),
            ("ff11:3::1", "ff11::1", Some(3)),
            ("fe80::1", "fe80::1", None),
            ("fec0:1::1", "fec0:1::1", None),
            ("ff05:1::1", "ff05:1::1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1", None),
        ] {
            assert_eq!(without_zone(v6(embedded)), (v6(plain), zone), "{embedded}");
        }
    }

    #[test]
    fn a_connection_has_the_zone_of_either_address() {
        let scoped = (v6("fe80:2::1"), v6("fe80::1"));
        let global = (v6("2001:db8::1"), v6("2001:db8::1"));
        assert_eq!(without_zones(scoped.0, global.0), (scoped.1, global.1, Some(2)));
        assert_eq!(without_zones(global.0, scoped.0), (global.1, scoped.1, Some(2)));
    }

    #[test]
    fn an_ipv4_address_is_mapped_whatever_precedes_it() {
        assert_eq!(mapped(v6("eeee:eeee:eeee:eeee:eeee:eeee:192.0.2.1")), v6("::ffff:192.0.2.1"));
    }
}
