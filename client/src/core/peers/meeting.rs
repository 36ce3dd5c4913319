//! The way to another client: dial it, else have it dial back, else have the server carry the bytes.
//!
//! Owns how far each attempt has come and when it goes on. Must not know sockets.

use core::{net::SocketAddr, time::Duration};

use protocol::{Fingerprint, Purpose, Username, time::MonoMs};

use super::LinkId;

/// How long dialling may take, its handshake included; also the other side's.
const DIAL_TIME_MAX: Duration = Duration::from_secs(3);
/// How long a relay may take to be there, and the handshake over it.
const RELAY_TIME_MAX: Duration = Duration::from_secs(8);

/// How far an attempt to meet has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Every address of the other side is dialled at once.
    Dial,
    /// The other side was asked to dial.
    DialBack,
    /// The server was asked for a relay.
    Relay,
}

/// An attempt to meet a user, whose ticket we hold.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) user: Username,
    /// The key that he must show.
    pub(super) key: Fingerprint,
    pub(super) purpose: Purpose,
    pub(super) phase: Phase,
    /// When the phase has failed.
    pub(super) until: MonoMs,
    /// The link over which the ticket was shown.
    pub(super) link: Option<LinkId>,
}

/// What another user's attempt to meet us was announced with.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) from: Username,
    pub(super) key: Fingerprint,
    pub(super) purpose: Purpose,
    /// Where he can be dialled.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) until: MonoMs,
}

impl Attempt {
    pub(super) fn new(user: Username, key: Fingerprint, purpose: Purpose, now: MonoMs) -> Self {
        Self { user, key, purpose, phase: Phase::Dial, until: now.after(DIAL_TIME_MAX), link: None }
    }

    /// Goes on to the next phase; `None` when there is none.
    pub(super) fn next(&mut self, now: MonoMs) -> Option<Phase> {
        self.link = None;
        (self.phase, self.until) = match self.phase {
            Phase::Dial => (Phase::DialBack, now.after(DIAL_TIME_MAX)),
            Phase::DialBack => (Phase::Relay, now.after(RELAY_TIME_MAX)),
            Phase::Relay => return None,
        };
        Some(self.phase)
    }
}
