//! Links to other clients: how they come to be, who is at their other end, and the private talk over them.
//!
//! Owns tickets, attempts to meet, links and talks. Must not know sockets, nor what is done with files; frames
//! about files are passed on unread.

mod commands;
mod early;
mod interface;
mod known;
mod link;
mod meeting;
mod safety;
mod talk;
mod tickets;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{
    ByeReason, ErrorCode, Fingerprint, Frame, FrameDecoder, PeerFrame, ProtocolError, Purpose, State,
    TicketId, Username, VERSION,
    limits::{ADDRESSES_MAX, PEER_PORT_MIN, TICKET_LIFE},
    time::MonoMs,
};

pub use interface::{LinkId, PeerEffect, PeerInput};
pub use known::KnownPeers;

use super::event::{Event, PrivateEnd};
pub(super) use interface::{Ask, Output, Tell};
use known::Judgement;
use link::{PeerLink, Pulse, Way};
use meeting::{Attempt, Call, Phase};
use talk::Talk;
use tickets::{TicketError, Tickets};

/// Links of strangers that have not shown a ticket yet: more are closed at once.
const STRANGERS_MAX: usize = 32;
/// Links in all.
const LINKS_MAX: usize = 256;

/// All links of this client.
#[derive(Debug)]
pub(super) struct Peers {
    me: Option<Username>,
    key: Fingerprint,
    known: KnownPeers,
    listening: Vec<SocketAddr>,
    tickets: Tickets,
    /// What was announced, for those who cannot get through.
    calls: BTreeMap<TicketId, Call>,
    attempts: BTreeMap<TicketId, Attempt>,
    links: BTreeMap<LinkId, PeerLink>,
    /// Bytes that may still be given to each relay.
    relays: BTreeMap<TicketId, u64>,
    talks: BTreeMap<Username, Talk>,
    /// Users with whom a talk is being opened, and the commands that wait for it.
    opening: BTreeMap<Username, commands::Opening>,
    /// Users to whom a link for files is being made.
    linking: BTreeSet<Username>,
    /// With whom the last talk was lost.
    lost: Option<Username>,
    outputs: VecDeque<Output>,
}

impl Peers {
    pub(super) fn new(key: Fingerprint, known: KnownPeers) -> Self {
        Self {
            me: None,
            key,
            known,
            listening: Vec::new(),
            tickets: Tickets::default(),
            calls: BTreeMap::new(),
            attempts: BTreeMap::new(),
            links: BTreeMap::new(),
            relays: BTreeMap::new(),
            talks: BTreeMap::new(),
            opening: BTreeMap::new(),
            linking: BTreeSet::new(),
            lost: None,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The user is logged in (again).
    pub(super) fn logged_in(&mut self, me: &Username) {
        self.me = Some(me.clone());
        if !self.listening.is_empty() {
            self.outputs.push_back(Output::Tell(Tell::Reachable(self.listening.clone())));
        }
    }

    /// Others can reach this client there.
    pub(super) fn listening(&mut self, addresses: Vec<SocketAddr>) {
        self.listening = addresses;
        if self.me.is_some() {
            self.outputs.push_back(Output::Tell(Tell::Reachable(self.listening.clone())));
        }
    }

    /// The connection to the server is gone, and with it every relay; tickets that it announced stay good.
    pub(super) fn server_lost(&mut self) {
        for (ticket, _) in std::mem::take(&mut self.relays) {
            self.outputs.push_back(Output::Effect(PeerEffect::EndRelay { ticket }));
        }
    }

    /// The user logs out: everyone at the other end of a link hears it.
    pub(super) fn leave(&mut self, now: MonoMs) {
        for link in self.links.values_mut() {
            if link.state == State::Met {
                link.end(&PeerFrame::Bye { reason: ByeReason::Logout }, now);
            }
        }
    }

    /// A link for files is wanted to that user.
    pub(super) fn link_for_files(&mut self, user: Username) {
        if let Some(link) = self.link_with(&user, |link| link.files) {
            return self.outputs.push_back(Output::FilesLink { link, user });
        }
        if self.linking.insert(user.clone()) {
            self.outputs.push_back(Output::Ask(Ask::Invite { user, purpose: Purpose::Files }));
        }
    }

    /// Whether a link may carry frames about files.
    pub(super) fn serves_files(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.files)
    }

    /// A link carries files no more; when nobody talks over it, it ends.
    pub(super) fn close_files(&mut self, id: LinkId, now: MonoMs) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.talks {
            link.files = false;
        } else {
            link.end(&PeerFrame::Bye { reason: ByeReason::Idle }, now);
            self.gone(id, PrivateEnd::Stopped, now);
        }
    }

    /// A frame about files, made by whoever cares for files.
    pub(super) fn send_file(&mut self, link: LinkId, frame: Frame) {
        if let Some(link) = self.links.get_mut(&link) {
            link.send_file(frame);
        }
    }

    /// Ends a link over which somebody broke the rules.
    pub(super) fn expel(&mut self, link: LinkId, now: MonoMs) {
        if let Some(broken) = self.links.get_mut(&link) {
            broken.end(&PeerFrame::Bye { reason: ByeReason::Protocol }, now);
        }
        self.gone(link, PrivateEnd::Lost, now);
    }

    /// This user has blocked that one.
    pub(super) fn blocked(&mut self, user: &Username, now: MonoMs) {
        self.close_talk(user, PrivateEnd::Blocked, now);
        self.tickets.forget(user);
        self.calls.retain(|_, call| call.from != *user);
        let links: Vec<LinkId> = self.links_of(user).collect();
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                // He is not told why.
                link.send(&PeerFrame::HangUp);
                link.end(&PeerFrame::Bye { reason: ByeReason::Idle }, now);
            }
            self.gone(id, PrivateEnd::Blocked, now);
        }
    }

    /// The server's word that this user's client may meet that one.
    pub(super) fn ticket(
        &mut self,
        (user, purpose): (Username, Purpose),
        ticket: TicketId,
        key: Fingerprint,
        addresses: Vec<SocketAddr>,
        now: MonoMs,
    ) {
        if self.known.judge(&user, key) == Judgement::Changed {
            let text = changed_key(&user);
            return self.failed(&user, purpose, ErrorCode::KeyChanged, &text, now);
        }
        let mut attempt = Attempt::new(user.clone(), key, purpose, now);
        if let Some(id) = self.link_with(&user, |link| link.key == Some(key)) {
            attempt.link = Some(id);
            self.attempts.insert(ticket, attempt);
            if let Some(link) = self.links.get_mut(&id) {
                link.send(&PeerFrame::Meet { version: VERSION, ticket, purpose });
            }
            return;
        }
        self.attempts.insert(ticket, attempt);
        let addresses = dialable(addresses);
        if addresses.is_empty() {
            self.next_phase(ticket, now);
        } else {
            self.outputs.push_back(Output::Effect(PeerEffect::Dial { ticket, addresses, key }));
        }
    }

    /// The server announces somebody.
    pub(super) fn expect(
        &mut self,
        ticket: TicketId,
        (from, key, purpose): (Username, Fingerprint, Purpose),
        addresses: Vec<SocketAddr>,
        now: MonoMs,
    ) {
        if self.known.judge(&from, key) == Judgement::Changed {
            return self.outputs.push_back(Output::Show(Event::Notice { text: changed_key(&from) }));
        }
        self.calls.retain(|_, call| now < call.until);
        if self.calls.len() < LINKS_MAX {
            let addresses = dialable(addresses);
            let until = now.after(TICKET_LIFE);
            self.calls.insert(ticket, Call { from: from.clone(), key, purpose, addresses, until });
        }
        self.tickets.expect(ticket, from, key, purpose, now);
        self.announced(ticket, now);
    }

    /// The other side cannot get through and asks us to dial.
    pub(super) fn dial_back(&mut self, ticket: TicketId, now: MonoMs) {
        let Some(call) = self.calls.get(&ticket).filter(|call| now < call.until) else { return };
        if !call.addresses.is_empty() {
            let (addresses, key) = (call.addresses.clone(), call.key);
            self.outputs.push_back(Output::Effect(PeerEffect::Dial { ticket, addresses, key }));
        }
    }

    /// The server carries bytes for that ticket.
    pub(super) fn relay_opened(&mut self, ticket: TicketId, credit: u64, now: MonoMs) {
        let attempt = self.attempts.get(&ticket).filter(|attempt| attempt.phase == Phase::Relay);
        let call = self.calls.get(&ticket).filter(|call| now < call.until);
        let (key, starts) = match (attempt, call) {
            (Some(attempt), _) => (attempt.key, true),
            (None, Some(call)) => (call.key, false),
            (None, None) => return self.outputs.push_back(Output::Tell(Tell::RelayEnd(ticket))),
        };
        self.relays.insert(ticket, credit);
        self.outputs.push_back(Output::Effect(PeerEffect::OpenRelay { ticket, key, starts }));
    }

    /// Bytes from the other end of a relay.
    pub(super) fn relay_received(&mut self, ticket: TicketId, bytes: &[u8]) {
        if self.relays.contains_key(&ticket) {
            let bytes = bytes.to_vec();
            self.outputs.push_back(Output::Effect(PeerEffect::RelayReceived { ticket, bytes }));
        }
    }

    pub(super) fn relay_credit(&mut self, ticket: TicketId, credit: u64) {
        if let Some(left) = self.relays.get_mut(&ticket) {
            *left = left.saturating_add(credit);
        }
    }

    /// There is no relay for that ticket, or no more.
    pub(super) fn relay_ended(&mut self, ticket: TicketId, now: MonoMs) {
        if self.relays.remove(&ticket).is_some() {
            self.outputs.push_back(Output::Effect(PeerEffect::EndRelay { ticket }));
        } else if self.attempts.get(&ticket).is_some_and(|attempt| attempt.phase == Phase::Relay) {
            self.next_phase(ticket, now);
        }
    }

    /// Bytes that may be given to a relay now.
    pub(super) fn relay_room(&self, ticket: TicketId) -> u64 {
        self.relays.get(&ticket).copied().unwrap_or_default()
    }

    /// So many bytes were given to it.
    pub(super) fn relay_sent(&mut self, ticket: TicketId, len: u64) {
        if let Some(left) = self.relays.get_mut(&ticket) {
            *left = left.saturating_sub(len);
        }
    }

    pub(super) fn accepted(&mut self, id: LinkId, relay: Option<TicketId>, now: MonoMs) {
        let strangers = self.links.values().filter(|link| link.state != State::Met).count();
        if strangers >= STRANGERS_MAX || self.links.len() >= LINKS_MAX {
            return self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
        }
        let mut link = PeerLink::new(now);
        link.relay = relay;
        self.links.insert(id, link);
    }

    pub(super) fn secured(&mut self, id: LinkId, key: Fingerprint) {
        if let Some(link) = self.links.get_mut(&id) {
            link.key = Some(key);
        }
    }

    /// Dialling, or the relay, has brought a link to who must have the right key.
    pub(super) fn dialled(&mut self, ticket: TicketId, id: LinkId, relay: Option<TicketId>, now: MonoMs) {
        let (key, purpose) = match (self.attempts.get_mut(&ticket), self.calls.get(&ticket)) {
            (Some(attempt), _) => {
                attempt.link = Some(id);
                (attempt.key, attempt.purpose)
            }
            (None, Some(call)) => (call.key, call.purpose),
            (None, None) => return self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id })),
        };
        let mut link = PeerLink::new(now);
        link.key = Some(key);
        link.relay = relay;
        link.ticket = Some(ticket);
        link.send(&PeerFrame::Meet { version: VERSION, ticket, purpose });
        self.links.insert(id, link);
    }

    pub(super) fn unreached(&mut self, ticket: TicketId, now: MonoMs) {
        // Of a dial-back that fails, only the other side needs to know, and its clock tells.
        if self.attempts.get(&ticket).is_some_and(|attempt| attempt.phase != Phase::DialBack) {
            self.next_phase(ticket, now);
        }
    }

    /// Bytes came over a link: takes its receive buffer out, while its frames are handled.
    pub(super) fn take_decoder(&mut self, id: LinkId, now: MonoMs) -> Option<FrameDecoder> {
        let link = self.links.get_mut(&id)?;
        link.heard(now);
        Some(std::mem::replace(&mut link.decoder, FrameDecoder::new(0)))
    }

    /// Puts it back, if the link is still there.
    pub(super) fn put_decoder(&mut self, id: LinkId, decoder: FrameDecoder) {
        if let Some(link) = self.links.get_mut(&id) {
            link.decoder = decoder;
        }
    }

    /// The state in which the next frame of a link comes, and how long it may be; `None` when no more is wanted.
    pub(super) fn frame_limits(&self, id: LinkId) -> Option<(State, usize)> {
        let link = self.links.get(&id).filter(|link| !link.ending)?;
        let len_max = match link.state {
            State::Met => protocol::limits::PEER_FRAME_LEN_MAX,
            _ => protocol::limits::PEER_FRAME_LEN_MAX_BEFORE_MEETING,
        };
        Some((link.state, len_max))
    }

    /// Takes a frame that is not about files.
    #[expect(clippy::needless_pass_by_value, reason = "a frame is read once, here")]
    pub(super) fn frame(
        &mut self,
        id: LinkId,
        frame: PeerFrame<'_>,
        now: MonoMs,
    ) -> Result<(), ProtocolError> {
        if self.links.get(&id).is_some_and(PeerLink::is_flooded) {
            return Err(ProtocolError::Line);
        }
        match frame {
            PeerFrame::Meet { version: _, ticket, purpose } => self.meet(id, ticket, purpose, now),
            PeerFrame::Met { ticket } => self.met(id, ticket, now),
            PeerFrame::Unmet { ticket } => self.unmet(id, ticket, now),
            PeerFrame::Bye { reason } => {
                let end = match reason {
                    ByeReason::Logout => PrivateEnd::Logout,
                    ByeReason::Idle | ByeReason::Protocol => PrivateEnd::Lost,
                };
                self.gone(id, end, now);
                self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
            }
            PeerFrame::Ping => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.send(&PeerFrame::Pong);
                }
            }
            PeerFrame::Private { number, text } => return self.private_came(id, number, text),
            PeerFrame::Heard { number } => self.private_heard(id, number, now),
            PeerFrame::HangUp => self.hung_up(id, now),
            _ => {}
        }
        Ok(())
    }

    /// What is to be sent over a link.
    pub(super) fn waiting(&mut self, id: LinkId) -> &[u8] {
        self.links.get_mut(&id).map_or(&[], PeerLink::waiting)
    }

    /// The first `len` bytes of it have left.
    pub(super) fn sent(&mut self, id: LinkId, len: usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.sent(len);
        if link.ending && link.waiting().is_empty() {
            self.links.remove(&id);
            self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
        } else if link.files {
            let waiting_len = link.file_len();
            self.outputs.push_back(Output::FilesDrained { link: id, waiting_len });
        }
    }

    /// Every link that has something to send.
    pub(super) fn dirty(&mut self) -> Vec<LinkId> {
        let has_more = |link: &mut PeerLink| !link.waiting().is_empty();
        self.links.iter_mut().filter_map(|(&id, link)| has_more(link).then_some(id)).collect()
    }

    pub(super) fn closed(&mut self, id: LinkId, now: MonoMs) {
        self.gone(id, PrivateEnd::Lost, now);
        self.links.remove(&id);
    }

    /// When [`Peers::handle_timeout`] is due. `serves` tells which links move files.
    pub(super) fn poll_timeout(&self, serves: impl Fn(LinkId) -> bool) -> Option<MonoMs> {
        let links = self.links.iter().map(|(&id, link)| link.deadline(self.is_in_use(id, link, &serves)));
        let attempts = self.attempts.values().map(|attempt| attempt.until);
        let talks = self.talks.values().filter_map(Talk::deadline);
        links.chain(attempts).chain(talks).chain(self.early_due()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: MonoMs, serves: impl Fn(LinkId) -> bool) {
        let late: Vec<TicketId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.until <= now)
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in late {
            self.next_phase(ticket, now);
        }
        self.give_up_early(now);
        let is_deaf = |talk: &&Talk| talk.deadline().is_some_and(|deadline| deadline <= now);
        let deaf: Vec<LinkId> = self.talks.values().filter(is_deaf).map(|talk| talk.link).collect();
        for id in deaf {
            self.expel(id, now);
        }
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(in_use) = self.links.get(&id).map(|link| self.is_in_use(id, link, &serves)) else {
                continue;
            };
            let Some(link) = self.links.get_mut(&id) else { continue };
            match link.pulse(in_use, now) {
                Pulse::Fine => {}
                Pulse::Idle => {
                    link.end(&PeerFrame::Bye { reason: ByeReason::Idle }, now);
                    self.gone(id, PrivateEnd::Stopped, now);
                }
                Pulse::Dead => {
                    self.closed(id, now);
                    self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
                }
            }
        }
    }

    fn is_in_use(&self, id: LinkId, link: &PeerLink, serves: &impl Fn(LinkId) -> bool) -> bool {
        let talks = link.user.as_ref().is_some_and(|user| self.talks.contains_key(user));
        (link.talks && talks) || (link.files && serves(id)) || link.ticket.is_some()
    }

    /// Somebody shows a ticket: one that was announced to us, or, when we asked to be dialled, our own.
    fn meet(&mut self, id: LinkId, ticket: TicketId, purpose: Purpose, now: MonoMs) {
        let Some(key) = self.links.get(&id).and_then(|link| link.key) else { return self.expel(id, now) };
        let own = self.attempts.get(&ticket).filter(|own| own.key == key && own.purpose == purpose);
        let user = match own {
            Some(own) => own.user.clone(),
            None => match self.tickets.redeem(ticket, key, purpose, now) {
                Ok(user) => user,
                Err(TicketError::Unknown) => return self.came_early(id, ticket, purpose, now),
                Err(_) => return self.turn_away(id, ticket, now),
            },
        };
        let is_own = own.is_some();
        self.calls.remove(&ticket);
        self.outputs.push_back(Output::Effect(PeerEffect::StopDialling { ticket }));
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.user.as_ref().is_some_and(|known| *known != user) {
            return self.turn_away(id, ticket, now);
        }
        link.met(user.clone(), now);
        link.send(&PeerFrame::Met { ticket });
        if is_own {
            self.attempts.remove(&ticket);
        }
        self.serve(id, &user, purpose, now);
    }

    /// The other side has taken our ticket.
    fn met(&mut self, id: LinkId, ticket: TicketId, now: MonoMs) {
        let attempt = self.attempts.get(&ticket).filter(|attempt| attempt.link == Some(id));
        let call = self.calls.get(&ticket);
        let (user, purpose) = match (attempt, call) {
            (Some(attempt), _) => (attempt.user.clone(), attempt.purpose),
            // We dialled back.
            (None, Some(call)) => (call.from.clone(), call.purpose),
            (None, None) => return self.expel(id, now),
        };
        self.attempts.remove(&ticket);
        if self.calls.remove(&ticket).is_some() {
            self.tickets.use_up(ticket);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.ticket = None;
            link.met(user.clone(), now);
        }
        self.serve(id, &user, purpose, now);
    }

    fn unmet(&mut self, id: LinkId, ticket: TicketId, now: MonoMs) {
        let is_ours = self.attempts.get(&ticket).is_some_and(|attempt| attempt.link == Some(id));
        if is_ours && let Some(attempt) = self.attempts.remove(&ticket) {
            let text = "The other client did not take the server's ticket: try again.";
            self.failed(&attempt.user, attempt.purpose, ErrorCode::Unreachable, text, now);
        }
        if self.links.get(&id).is_some_and(|link| link.state != State::Met) {
            self.closed(id, now);
            self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
        }
    }

    fn turn_away(&mut self, id: LinkId, ticket: TicketId, now: MonoMs) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.state == State::Met {
            link.send(&PeerFrame::Unmet { ticket });
        } else {
            link.end(&PeerFrame::Unmet { ticket }, now);
        }
    }

    /// From here on that link serves that purpose.
    fn serve(&mut self, id: LinkId, user: &Username, purpose: Purpose, now: MonoMs) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(key) = link.key
            && self.known.remember(user, key)
        {
            let remember = PeerEffect::Remember { user: user.clone(), key: Some(key) };
            self.outputs.push_back(Output::Effect(remember));
        }
        match purpose {
            Purpose::Talk => {
                link.talks = true;
                self.talk_opened(id, user, now);
            }
            Purpose::Files => {
                link.files = true;
                let way = link.way();
                self.linking.remove(user);
                if way == Way::Relayed {
                    let text = format!("No direct way to {user}: files go through the server, slowly.");
                    self.outputs.push_back(Output::Show(Event::Notice { text }));
                }
                self.outputs.push_back(Output::FilesLink { link: id, user: user.clone() });
            }
        }
    }

    /// Tries the next way of an attempt, or gives it up.
    fn next_phase(&mut self, ticket: TicketId, now: MonoMs) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else { return };
        if let Some(id) = attempt.link.take()
            && self.links.get(&id).is_some_and(|link| link.state != State::Met)
        {
            self.links.remove(&id);
            self.outputs.push_back(Output::Effect(PeerEffect::Close { link: id }));
        }
        match attempt.next(now) {
            Some(Phase::DialBack) => {
                self.outputs.push_back(Output::Effect(PeerEffect::StopDialling { ticket }));
                self.outputs.push_back(Output::Tell(Tell::DialBack(ticket)));
            }
            Some(_) => self.outputs.push_back(Output::Tell(Tell::Relay(ticket))),
            None => {
                let Some(attempt) = self.attempts.remove(&ticket) else { return };
                if self.relays.remove(&ticket).is_some() {
                    self.outputs.push_back(Output::Tell(Tell::RelayEnd(ticket)));
                    self.outputs.push_back(Output::Effect(PeerEffect::EndRelay { ticket }));
                }
                let text = "There is no way to that user's client: it was dialled, asked to dial back, and the \
                     server was asked to carry the bytes.";
                self.failed(&attempt.user, attempt.purpose, ErrorCode::Unreachable, text, now);
            }
        }
    }

    /// There will be no link to that user for that purpose.
    fn failed(&mut self, user: &Username, purpose: Purpose, code: ErrorCode, text: &str, now: MonoMs) {
        match purpose {
            Purpose::Talk => self.talk_refused(user, code, text, now),
            Purpose::Files => {
                self.linking.remove(user);
                self.outputs.push_back(Output::FilesFailed { user: user.clone() });
            }
        }
    }

    /// A link serves nobody any more. It may still have a last word to send.
    fn gone(&mut self, id: LinkId, end: PrivateEnd, now: MonoMs) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (served_files, relay, user) = (link.files, link.relay.take(), link.user.take());
        (link.files, link.talks) = (false, false);
        if let Some(ticket) = relay
            && self.relays.remove(&ticket).is_some()
        {
            self.outputs.push_back(Output::Tell(Tell::RelayEnd(ticket)));
        }
        if served_files {
            self.outputs.push_back(Output::FilesGone { link: id });
        }
        if let Some(user) = user {
            self.talk_link_gone(id, &user, end, now);
        }
        let waiting: Vec<TicketId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.link == Some(id))
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in waiting {
            self.next_phase(ticket, now);
        }
    }

    /// A link with that user which is in use and fits.
    fn link_with(&self, user: &Username, fits: impl Fn(&PeerLink) -> bool) -> Option<LinkId> {
        let met =
            |link: &PeerLink| link.state == State::Met && !link.ending && link.user.as_ref() == Some(user);
        self.links.iter().find(|(_, link)| met(link) && fits(link)).map(|(&id, _)| id)
    }

    fn links_of<'a>(&'a self, user: &'a Username) -> impl Iterator<Item = LinkId> + 'a {
        self.links.iter().filter(move |(_, link)| link.user.as_ref() == Some(user)).map(|(&id, _)| id)
    }
}

/// A lying server must not make this client knock at somebody's services, or at many doors.
fn dialable(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.retain(|address| address.port() >= PEER_PORT_MIN && !address.ip().is_multicast());
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

fn changed_key(user: &Username) -> String {
    format!(
        "{user} shows another key than before. A new computer, or somebody who passes for him: ask him in another \
         way. If it is his, 'trust {user}' accepts it."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_served_files_over_an_idle_link_is_told_that_it_ends() {
        let (me, bob, now) = (Fingerprint([1; 32]), Fingerprint([2; 32]), MonoMs(1000));
        let (link, ticket, purpose) = (LinkId(1), TicketId(7), Purpose::Files);
        let mut peers = Peers::new(me, KnownPeers::default());
        peers.logged_in(&"ada".parse().unwrap());
        peers.expect(ticket, ("bob".parse().unwrap(), bob, purpose), Vec::new(), now);
        peers.accepted(link, None, now);
        peers.secured(link, bob);
        peers.frame(link, PeerFrame::Meet { version: VERSION, ticket, purpose }, now).unwrap();
        assert!(peers.serves_files(link));
        let mut later = now;
        let mut is_told = false;
        // The other side answers every ping, so that only idleness ends the link.
        while let Some(at) = peers.poll_timeout(|_| false).filter(|_| !is_told && later < MonoMs(200_000)) {
            later = at;
            peers.handle_timeout(later, |_| false);
            if let Some(decoder) = peers.take_decoder(link, later) {
                peers.put_decoder(link, decoder);
            }
            let mut outputs = core::iter::from_fn(|| peers.poll_output());
            is_told = outputs.any(|output| matches!(output, Output::FilesGone { .. }));
        }
        assert!(is_told && !peers.serves_files(link));
        assert_eq!(later, MonoMs(61_000));
    }

    #[test]
    fn who_asks_without_reading_is_sent_away() {
        let (me, bob, now) = (Fingerprint([1; 32]), Fingerprint([2; 32]), MonoMs(1000));
        let (link, ticket, purpose) = (LinkId(1), TicketId(7), Purpose::Files);
        let mut peers = Peers::new(me, KnownPeers::default());
        peers.expect(ticket, ("bob".parse().unwrap(), bob, purpose), Vec::new(), now);
        peers.accepted(link, None, now);
        peers.secured(link, bob);
        peers.frame(link, PeerFrame::Meet { version: VERSION, ticket, purpose }, now).unwrap();
        let unread = (0..5_000).find(|_| peers.frame(link, PeerFrame::Ping, now).is_err());
        assert!(unread.is_some_and(|count| count >= 1_000), "{unread:?}");
        for _ in 0..5_000 {
            let len = peers.waiting(link).len();
            peers.sent(link, len);
            peers.frame(link, PeerFrame::Ping, now).unwrap();
        }
    }
}
