//! What links ask of the shell and of the core, and what they are told: plain values.

use core::net::SocketAddr;

use protocol::{Fingerprint, Purpose, TicketId, Username};

use crate::core::event::Event;

/// A connection to another client. The shell numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What the shell must do about links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEffect {
    /// Connect to any of these addresses, whose owner must show that key; answered by [`PeerInput::Dialled`] or
    /// [`PeerInput::Unreached`].
    Dial {
        /// Returned with the answer.
        ticket: TicketId,
        /// All at once.
        addresses: Vec<SocketAddr>,
        /// The key.
        key: Fingerprint,
    },
    /// Whatever comes of dialling for that ticket is not needed any more; not answered.
    StopDialling {
        /// As in [`PeerEffect::Dial`].
        ticket: TicketId,
    },
    /// The server carries bytes for that ticket from now on: agree on TLS over them. Answered like
    /// [`PeerEffect::Dial`] by the side that starts, like an accepted connection by the other.
    OpenRelay {
        /// Names the relay.
        ticket: TicketId,
        /// The key that the other side must show.
        key: Fingerprint,
        /// Whether this side starts.
        starts: bool,
    },
    /// Bytes came over a relay.
    RelayReceived {
        /// Names the relay.
        ticket: TicketId,
        /// In order.
        bytes: Vec<u8>,
    },
    /// The relay is no more; what was opened over it is closed, and reported as such.
    EndRelay {
        /// Names the relay.
        ticket: TicketId,
    },
    /// Close a link; it is not reported.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Keep a user's key, or forget it.
    Remember {
        /// Whose.
        user: Username,
        /// `None`: forget it.
        key: Option<Fingerprint>,
    },
}

/// What happened to links.
#[derive(Debug)]
pub enum PeerInput<'a> {
    /// Others can reach this client there.
    Listening(Vec<SocketAddr>),
    /// Somebody connected; his handshake is under way.
    Accepted {
        /// The new link.
        link: LinkId,
        /// The relay over which he came, if he did.
        relay: Option<TicketId>,
    },
    /// The handshake of an accepted link is done.
    Secured {
        /// Which.
        link: LinkId,
        /// What the other side has shown.
        key: Fingerprint,
    },
    /// Answers [`PeerEffect::Dial`] or [`PeerEffect::OpenRelay`]: the handshake is done, the key is the right one.
    Dialled {
        /// Of the effect.
        ticket: TicketId,
        /// The new link.
        link: LinkId,
        /// The relay over which it goes, if it does.
        relay: Option<TicketId>,
    },
    /// Answers [`PeerEffect::Dial`] or [`PeerEffect::OpenRelay`]: there is no way.
    Unreached {
        /// Of the effect.
        ticket: TicketId,
    },
    /// Bytes came.
    Received {
        /// Over which link.
        link: LinkId,
        /// In order.
        bytes: &'a [u8],
    },
    /// The other side closed, or the link broke.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// Bytes to be carried by the server; no more than [`crate::core::Core::relay_room`] said.
    RelaySend {
        /// Names the relay.
        ticket: TicketId,
        /// In order.
        bytes: &'a [u8],
    },
}

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum Ask {
    /// A ticket to meet that user.
    Invite { user: Username, purpose: Purpose },
    /// Whether that user is there, for a command which needs a talk that there is not.
    Lookup { user: Username, number: u64, command: &'static str },
}

/// What the server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum Tell {
    Reachable(Vec<SocketAddr>),
    DialBack(TicketId),
    Relay(TicketId),
    RelayEnd(TicketId),
}

/// What comes out, in order.
#[derive(Debug)]
pub(in crate::core) enum Output {
    Ask(Ask),
    Tell(Tell),
    Effect(PeerEffect),
    Show(Event),
    /// A link that serves files stands.
    FilesLink {
        link: LinkId,
        user: Username,
    },
    /// There is no way to that user.
    FilesFailed {
        user: Username,
    },
    /// A link that served files is gone.
    FilesGone {
        link: LinkId,
    },
    /// Bytes have left, and so many of the files' still wait.
    FilesDrained {
        link: LinkId,
        waiting_len: usize,
    },
}
