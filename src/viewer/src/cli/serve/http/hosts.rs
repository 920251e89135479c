// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The names of this host that requests may use.

use std::net::IpAddr;

use hyper::http::uri::Authority;

/// The names of this host that requests may use.
pub struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// Returns the address on which the server listens, localhost, and these names.
    pub fn new(listen: IpAddr, names: &[String]) -> Self {
        Self { listen, names: names.iter().map(|name| canonical(name)).collect() }
    }

    /// Returns whether a Host header is one of the names.  The port may differ, because it
    /// can be forwarded.
    pub fn contain(&self, header: &str) -> bool {
        let Ok(authority) = header.parse::<Authority>() else {
            return false;
        };
        let has_port = header.len() > authority.host().len();
        if header.contains('@') || has_port && authority.port_u16().is_none() {
            return false;
        }
        let host = canonical(authority.host());
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // An attacker controls what a name resolves to, but not an address.
            Ok(address) => {
                let (address, listen) = (address.to_canonical(), self.listen.to_canonical());
                listen.is_unspecified() || address == listen || address.is_loopback() && listen.is_loopback()
            }
            Err(_) => host == "localhost" || self.names.contains(&host),
        }
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_listen_address_localhost_or_a_given_name() {
        let contain = |listen: &str, header: &str| {
            Hosts::new(listen.parse().unwrap(), &["Metrics.Example.".into()]).contain(header)
        };
        for header in [
            "127.0.0.1:9812",
            "127.0.0.1",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "[::1]:9812",
            "metrics.example:80",
        ] {
            assert!(contain("127.0.0.1", header), "{header}");
        }
        for header in [
            "",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.1",
            "user@localhost",
            "127.0.0.1.evil.example",
            "[::2]",
            "localhost:x",
            "local host",
            "[::1",
            "::1",
            "0x7f000001",
            "2130706433",
        ] {
            assert!(!contain("127.0.0.1", header), "{header}");
        }
        assert!(contain("192.0.2.1", "192.0.2.1:9812") && !contain("192.0.2.1", "192.0.2.2"));
        assert!(
            contain("::", "192.0.2.1:9812") && contain("0.0.0.0", "[2001:db8::1]") && !contain("::", "evil.example")
        );
    }
}
