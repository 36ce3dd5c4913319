//! How many wrong passwords may still come from an address.
//!
//! Owns the counts. Must not know whose passwords were tried. A lock-out guards one account against many tries;
//! this guards many accounts against a few tries each.

use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use std::collections::BTreeMap;

use protocol::time::MonoMs;

use super::limits::Limits;

/// Where somebody is, as far as he cannot choose it: an IPv4 address, or the /64 that an IPv6 host picks its
/// addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(IpAddr);

impl Origin {
    pub(super) fn of(peer: IpAddr) -> Self {
        match peer {
            IpAddr::V4(_) => Self(peer),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        }
    }
}

/// Counts that refill steadily. For each origin it is enough to know when its count will be whole again; one
/// that is whole is forgotten.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    whole_at: BTreeMap<Origin, MonoMs>,
    /// What `whole_at` held a while ago: all of it is forgotten at once, and nobody walks through the table.
    older: BTreeMap<Origin, MonoMs>,
    turned_at: MonoMs,
}

impl Guesses {
    /// How long until the next try is taken from there; `None`: now.
    pub(super) fn refused_for(&self, peer: IpAddr, now: MonoMs, limits: &Limits) -> Option<Duration> {
        if peer.is_loopback() {
            return None;
        }
        let one = limits.wrong_per_address_span / limits.wrong_per_address_max.max(1);
        let latest = now.after(limits.wrong_per_address_span.saturating_sub(one));
        let whole_at = self.whole_at(Origin::of(peer))?;
        (latest < whole_at).then(|| whole_at.since(latest))
    }

    /// A wrong password came from there.
    pub(super) fn wrong(&mut self, peer: IpAddr, now: MonoMs, limits: &Limits) {
        if peer.is_loopback() {
            return;
        }
        // After this long without a wrong one every count is whole.
        let is_over = now.since(self.turned_at) >= limits.wrong_per_address_span;
        if is_over || self.whole_at.len() >= limits.guessing_addresses_max {
            self.older = std::mem::take(&mut self.whole_at);
            self.turned_at = now;
        }
        let origin = Origin::of(peer);
        let one = limits.wrong_per_address_span / limits.wrong_per_address_max.max(1);
        let from = self.whole_at(origin).unwrap_or(now).max(now);
        self.whole_at.insert(origin, from.after(one));
    }

    fn whole_at(&self, origin: Origin) -> Option<MonoMs> {
        self.whole_at.get(&origin).or_else(|| self.older.get(&origin)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> Limits = Limits::default;

    /// Tries at `now` until refused; how often that was taken, and for how long it is refused.
    fn exhaust(guesses: &mut Guesses, peer: &str, now_s: u64) -> (usize, u64) {
        let (peer, now) = (peer.parse().unwrap(), MonoMs(now_s * 1_000));
        for taken in 0..1_000 {
            if let Some(wait) = guesses.refused_for(peer, now, &LIMITS()) {
                return (taken, wait.as_secs());
            }
            guesses.wrong(peer, now, &LIMITS());
        }
        (1_000, 0)
    }

    #[test]
    fn ten_at_once_then_one_each_six_seconds() {
        let mut guesses = Guesses::default();
        assert_eq!(exhaust(&mut guesses, "192.0.2.1", 100), (10, 6));
        assert_eq!(exhaust(&mut guesses, "192.0.2.1", 105), (0, 1));
        assert_eq!(exhaust(&mut guesses, "192.0.2.1", 106), (1, 6));
        assert_eq!(exhaust(&mut guesses, "192.0.2.1", 136), (5, 6));
        assert_eq!(exhaust(&mut guesses, "192.0.2.1", 196), (10, 6), "whole again, and no more than that");
        assert_eq!(exhaust(&mut guesses, "192.0.2.2", 196), (10, 6), "somebody else");
    }

    #[test]
    fn an_ipv6_host_does_not_help_itself_with_another_of_its_addresses() {
        let mut guesses = Guesses::default();
        assert_eq!(exhaust(&mut guesses, "2001:db8:0:1::1", 1).0, 10);
        assert_eq!(exhaust(&mut guesses, "2001:db8:0:1:ffff::2", 1).0, 0);
        assert_eq!(exhaust(&mut guesses, "2001:db8:0:2::1", 1).0, 10);
    }

    #[test]
    fn loopback_is_exempt() {
        let mut guesses = Guesses::default();
        for peer in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(exhaust(&mut guesses, peer, 1).0, 1_000);
        }
        assert!(guesses.whole_at.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_old_counts_go() {
        let limits = Limits { guessing_addresses_max: 100, ..LIMITS() };
        let mut guesses = Guesses::default();
        for n in 0..10_000 {
            guesses.wrong(core::net::Ipv4Addr::from_bits(n | 0x0A00_0000).into(), MonoMs(0), &limits);
            assert!(guesses.whole_at.len() + guesses.older.len() <= 200);
        }
        for now in [60_000, 120_000] {
            guesses.wrong("192.0.2.1".parse().unwrap(), MonoMs(now), &limits);
        }
        assert_eq!((guesses.whole_at.len(), guesses.older.len()), (1, 1));
    }
}
