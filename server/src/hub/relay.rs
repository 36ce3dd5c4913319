//! Relays: bytes that the server carries between two clients which cannot reach each other.
//!
//! Owns which relays stand, the bytes on their way, and when they may leave. Must not know what they mean: they are
//! encrypted from client to client.
//!
//! Chat comes first. A client sends no more than the credit it was given, so what waits here is bounded. One frame at
//! a time goes to a connection's outbox, when nothing else waits there, and not before the paces of its direction and
//! of the whole server allow it; there it stays behind everything else until its first byte has left. Credit is given
//! back for bytes that have left to the receiver's socket, so a slow receiver slows his sender, and nobody else.

use std::collections::{BTreeMap, VecDeque};

use protocol::{ServerFrame, TicketId, Username, limits::CARRY_LEN_MAX, time::MonoMs};

use super::{
    blocks::Blocks,
    effect::ConnId,
    limits::Limits,
    pace::Pace,
    post::Desk,
    presence::Presence,
    sessions::{Alarm, Timer},
    tickets::Tickets,
};

#[derive(Debug)]
pub(super) struct Relays {
    standing: BTreeMap<TicketId, Relay>,
    /// Connections that take part in any.
    lines: BTreeMap<ConnId, Line>,
    /// Connections for which bytes wait, each once, the next first.
    turns: VecDeque<ConnId>,
    /// Of all relays together.
    pace: Pace,
}

#[derive(Debug)]
struct Relay {
    ends: [End; 2],
    /// When bytes moved last.
    moved_at: MonoMs,
}

#[derive(Debug)]
struct End {
    user: Username,
    conn: ConnId,
    /// He has hung up. What he sent before still goes to the other.
    gone: bool,
    /// Bytes that he may still send.
    credit: usize,
    /// Bytes of his that have left, and for which he was not yet given new credit.
    owed: usize,
    /// Bytes for him.
    waiting: VecDeque<u8>,
    /// How fast bytes go to him.
    pace: Pace,
}

/// The relays of one connection.
#[derive(Debug, Default)]
struct Line {
    /// The next to be served first.
    relays: VecDeque<TicketId>,
    /// Whether it stands in `turns`.
    in_turn: bool,
    /// Of which relay the outbox has a frame, and how many bytes are in it.
    leaving: Option<(TicketId, usize)>,
}

impl Relay {
    /// The end at that connection, and the other one.
    fn sides(&mut self, conn: ConnId) -> Option<(&mut End, &mut End)> {
        let [one, other] = &mut self.ends;
        match (one.conn == conn, other.conn == conn) {
            (true, _) => Some((one, other)),
            (_, true) => Some((other, one)),
            _ => None,
        }
    }
}

impl Relays {
    pub(super) fn new(limits: &Limits, now: MonoMs) -> Self {
        Self {
            standing: BTreeMap::new(),
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            pace: Pace::new(limits.relays_rate, now),
        }
    }

    /// The owner of a ticket asks for a relay. Both are told that it stands, or he that it does not.
    pub(super) fn open(
        &mut self,
        desk: &mut Desk<'_>,
        (tickets, presence, blocks): (&mut Tickets, &Presence, &Blocks),
        (owner, here): (&Username, ConnId),
        ticket: TicketId,
    ) {
        let stands_already = self
            .standing
            .get_mut(&ticket)
            .and_then(|relay| relay.sides(here))
            .is_some_and(|(end, _)| !end.gone);
        if stands_already {
            return;
        }
        let other = tickets.own(owner, ticket, presence, desk.now.mono).filter(|issued| {
            let is_blocked = blocks.has_blocked(&issued.to, owner) || blocks.has_blocked(owner, &issued.to);
            let has_room = self.standing.len() < desk.limits.relays_max
                && self.count(owner) < desk.limits.relays_per_user_max
                && self.count(&issued.to) < desk.limits.relays_per_user_max;
            !issued.relayed && !is_blocked && has_room
        });
        let Some(issued) = other else {
            desk.sessions.tell(here, &ServerFrame::RelayEnd { ticket }, desk.now.mono, desk.limits);
            return;
        };
        issued.relayed = true;
        let ends = [(owner, here), (&issued.to, issued.there)].map(|(user, conn)| End {
            user: user.clone(),
            conn,
            gone: false,
            credit: desk.limits.relay_credit,
            owed: 0,
            waiting: VecDeque::new(),
            pace: Pace::new(desk.limits.relay_rate, desk.now.mono),
        });
        for End { conn, .. } in &ends {
            self.lines.entry(*conn).or_default().relays.push_back(ticket);
            let opened = ServerFrame::Relay { ticket, credit: desk.limits.relay_credit as u64 };
            desk.sessions.tell(*conn, &opened, desk.now.mono, desk.limits);
        }
        self.standing.insert(ticket, Relay { ends, moved_at: desk.now.mono });
        desk.sessions.arm_other(Timer::Relay(ticket), desk.now.mono.after(desk.limits.relay_idle));
    }

    /// Takes bytes for the other end. False if there is no such relay: it may have ended a moment ago.
    pub(super) fn carry(
        &mut self,
        desk: &mut Desk<'_>,
        conn: ConnId,
        ticket: TicketId,
        bytes: &[u8],
    ) -> bool {
        let Some(relay) = self.standing.get_mut(&ticket) else { return false };
        let Some((this, that)) = relay.sides(conn).filter(|(this, that)| !this.gone && !that.gone) else {
            return false;
        };
        if bytes.is_empty() || bytes.len() > CARRY_LEN_MAX.min(this.credit) {
            self.cut(desk, ticket);
            return true;
        }
        this.credit -= bytes.len();
        that.waiting.extend(bytes);
        let there = that.conn;
        relay.moved_at = desk.now.mono;
        self.offer(desk, there);
        true
    }

    /// One end has had enough. The other gets what was sent before, and then hears of it.
    pub(super) fn hang_up(&mut self, desk: &mut Desk<'_>, conn: ConnId, ticket: TicketId) {
        let Some(relay) = self.standing.get_mut(&ticket) else { return };
        let Some((this, _)) = relay.sides(conn).filter(|(this, _)| !this.gone) else { return };
        this.gone = true;
        this.waiting = VecDeque::new();
        self.detach(desk, conn, ticket);
        self.settle(desk, ticket);
        self.pump(desk);
    }

    /// That session is over.
    pub(super) fn ended(&mut self, desk: &mut Desk<'_>, conn: ConnId) {
        let Some(line) = self.lines.get(&conn) else { return };
        for ticket in line.relays.clone() {
            self.hang_up(desk, conn, ticket);
        }
    }

    /// Nothing is carried any more between these two.
    pub(super) fn part(&mut self, desk: &mut Desk<'_>, one: &Username, other: &Username) {
        let between = |relay: &Relay| {
            let [a, b] = &relay.ends;
            (&a.user == one && &b.user == other) || (&a.user == other && &b.user == one)
        };
        let parted = self.standing.iter().filter(|(_, relay)| between(relay)).map(|(&ticket, _)| ticket);
        for ticket in parted.collect::<Vec<_>>() {
            self.cut(desk, ticket);
        }
    }

    /// Bytes of that connection have left: perhaps relayed ones, perhaps the last that stood before them.
    pub(super) fn sent(&mut self, desk: &mut Desk<'_>, conn: ConnId) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        if !desk.sessions.has_behind(conn)
            && let Some((ticket, len)) = line.leaving.take()
        {
            self.left(desk, conn, ticket, len);
        }
        self.offer(desk, conn);
    }

    /// A pause that the paces asked for is over.
    pub(super) fn go_on(&mut self, desk: &mut Desk<'_>, conn: ConnId) {
        self.offer(desk, conn);
        self.pump(desk);
    }

    /// Ends a relay that nobody uses.
    pub(super) fn check_idle(&mut self, desk: &mut Desk<'_>, ticket: TicketId) {
        let Some(relay) = self.standing.get(&ticket) else { return };
        let due = relay.moved_at.after(desk.limits.relay_idle);
        if desk.now.mono < due {
            desk.sessions.arm_other(Timer::Relay(ticket), due);
        } else {
            self.cut(desk, ticket);
        }
    }

    /// A frame has left to the receiver's socket.
    fn left(&mut self, desk: &mut Desk<'_>, conn: ConnId, ticket: TicketId, len: usize) {
        let Some(relay) = self.standing.get_mut(&ticket) else { return };
        relay.moved_at = desk.now.mono;
        let Some((_, that)) = relay.sides(conn) else { return };
        that.owed += len;
        // In few frames, and long before the credit runs out.
        if !that.gone && that.owed >= desk.limits.relay_credit / 4 {
            let credit = std::mem::take(&mut that.owed);
            that.credit += credit;
            let frame = ServerFrame::Credit { ticket, credit: credit as u64 };
            desk.sessions.tell(that.conn, &frame, desk.now.mono, desk.limits);
        }
        self.settle(desk, ticket);
    }

    /// Forgets a relay that one end has left, once the other has everything.
    fn settle(&mut self, desk: &mut Desk<'_>, ticket: TicketId) {
        let Some(relay) = self.standing.get(&ticket) else { return };
        let [one, other] = &relay.ends;
        let still_there = match (one.gone, other.gone) {
            (false, false) => return,
            (true, true) => None,
            (true, false) => Some(other),
            (false, true) => Some(one),
        };
        if let Some(end) = still_there {
            let leaving = self.lines.get(&end.conn).and_then(|line| line.leaving);
            if !end.waiting.is_empty() || leaving.is_some_and(|(leaving, _)| leaving == ticket) {
                return;
            }
            let conn = end.conn;
            desk.sessions.tell(conn, &ServerFrame::RelayEnd { ticket }, desk.now.mono, desk.limits);
            self.detach(desk, conn, ticket);
        }
        self.standing.remove(&ticket);
    }

    /// Ends a relay at once and tells both ends.
    fn cut(&mut self, desk: &mut Desk<'_>, ticket: TicketId) {
        let Some(relay) = self.standing.remove(&ticket) else { return };
        for end in relay.ends.iter().filter(|end| !end.gone) {
            self.detach(desk, end.conn, ticket);
            desk.sessions.tell(end.conn, &ServerFrame::RelayEnd { ticket }, desk.now.mono, desk.limits);
        }
        self.pump(desk);
    }

    fn detach(&mut self, desk: &mut Desk<'_>, conn: ConnId, ticket: TicketId) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        line.relays.retain(|&other| other != ticket);
        if line.leaving.take_if(|(leaving, _)| *leaving == ticket).is_some() {
            desk.sessions.drop_behind(conn);
        }
        if line.relays.is_empty() {
            self.lines.remove(&conn);
            self.turns.retain(|&other| other != conn);
            desk.sessions.disarm(conn, Alarm::Relay);
        } else {
            self.queue(conn);
        }
    }

    fn offer(&mut self, desk: &mut Desk<'_>, conn: ConnId) {
        if self.queue(conn) {
            self.pump(desk);
        }
    }

    /// Gives a connection for which bytes wait its turn.
    fn queue(&mut self, conn: ConnId) -> bool {
        let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.in_turn && line.leaving.is_none())
        else {
            return false;
        };
        let waits = line.relays.iter().any(|ticket| {
            let sides = self.standing.get_mut(ticket).and_then(|relay| relay.sides(conn));
            sides.is_some_and(|(this, _)| !this.waiting.is_empty())
        });
        if waits {
            line.in_turn = true;
            self.turns.push_back(conn);
        }
        waits
    }

    /// Lets bytes go, as far as the common pace allows, once around.
    fn pump(&mut self, desk: &mut Desk<'_>) {
        for _ in 0..self.turns.len() {
            let Some(&conn) = self.turns.front() else { return };
            if let Some(at) = self.pace.wait(desk.now.mono) {
                desk.sessions.arm(conn, Alarm::Relay, at);
                return;
            }
            self.turns.pop_front();
            self.serve(desk, conn);
        }
    }

    /// Lets one frame go to a connection. One that has something else to send comes again when that has left.
    fn serve(&mut self, desk: &mut Desk<'_>, conn: ConnId) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        line.in_turn = false;
        if !desk.sessions.is_free(conn) {
            return;
        }
        let mut soonest = None;
        for _ in 0..line.relays.len() {
            let Some(ticket) = line.relays.pop_front() else { return };
            line.relays.push_back(ticket);
            let sides = self.standing.get_mut(&ticket).and_then(|relay| relay.sides(conn));
            let Some((this, _)) = sides.filter(|(this, _)| !this.waiting.is_empty()) else { continue };
            if let Some(at) = this.pace.wait(desk.now.mono) {
                soonest = soonest.into_iter().chain([at]).min();
                continue;
            }
            let len = this.waiting.len().min(CARRY_LEN_MAX);
            let bytes: Vec<u8> = this.waiting.drain(..len).collect();
            if this.waiting.is_empty() {
                this.waiting = VecDeque::new();
            }
            this.pace.take(len);
            self.pace.take(len);
            line.leaving = Some((ticket, len));
            desk.sessions.send_behind(conn, ServerFrame::Carry { ticket, bytes: &bytes }.encode());
            return;
        }
        if let Some(at) = soonest {
            desk.sessions.arm(conn, Alarm::Relay, at);
        }
    }

    /// In how many relays that user takes part.
    fn count(&self, user: &Username) -> usize {
        let ends = self.standing.values().flat_map(|relay| &relay.ends);
        ends.filter(|end| !end.gone && end.user == *user).count()
    }
}
