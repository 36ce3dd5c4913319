//! At which addresses a client is looked for.
//!
//! Owns the rule that keeps the server from aiming clients at a stranger: an address is passed on only if the client
//! was seen there, or if it is private and so names nothing beyond the reader's own network.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use protocol::limits::{ADDRESSES_MAX, PEER_PORT_MIN};

/// What is kept of the addresses that a client names when the server sees it at `seen`. Each port is also tried at
/// that address, in front, for a client that knows only its own side of a router.
pub(super) fn candidates(named: &[SocketAddr], seen: IpAddr) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for address in named.iter().take(ADDRESSES_MAX).filter(|address| address.port() >= PEER_PORT_MIN) {
        let ip = address.ip().to_canonical();
        let own = (ip == seen || is_private(ip) || (ip.is_loopback() && seen.is_loopback())).then_some(ip);
        for ip in [Some(seen), own].into_iter().flatten() {
            let address = SocketAddr::new(ip, address.port());
            if !kept.contains(&address) {
                kept.push(address);
            }
        }
    }
    kept.truncate(ADDRESSES_MAX);
    kept
}

/// Those that mean the same client to a reader whom the server sees at `reader`: this machine is another one there.
pub(super) fn told_to(reader: IpAddr, kept: &[SocketAddr]) -> Vec<SocketAddr> {
    kept.iter().copied().filter(|address| reader.is_loopback() || !address.ip().is_loopback()).collect()
}

/// RFC 1918 and RFC 4193. Link-local addresses are none: they need a scope, which means nothing to another machine.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => is_unique_local(ip),
    }
}

fn is_unique_local(ip: Ipv6Addr) -> bool {
    ip.octets().first().is_some_and(|first| first & 0xfe == 0xfc)
}
