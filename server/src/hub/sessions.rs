//! The connections as the hub sees them: how far each has come, what waits to be sent, which alarms are set.
//!
//! Owns the table, the outboxes with their limits, and who must be flushed. Must not know what any frame
//! means. A connection over its limits is put on the doomed list, and the hub ends it: ending touches more
//! than this table.

use core::net::{IpAddr, SocketAddr};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use protocol::{
    Fingerprint, Frame, FrameDecoder, ServerFrame, State, TicketId, Username,
    limits::FRAME_LEN_MAX_BEFORE_LOGIN, time::MonoMs,
};

use super::{
    allowance::Allowance,
    effect::{ConnId, Effect},
    guesses::Origin,
    limits::Limits,
    login::LoginStep,
    outbox::Outbox,
    timer_wheel::{TimerKey, TimerWheel},
};

/// What fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// An alarm of one connection.
    Session(ConnId, Alarm),
    /// Messages for this user have waited too long for his client's acknowledgement.
    Patience(Username),
    /// Is this relay still used?
    Relay(TicketId),
    /// It is time to write down that the server is alive.
    Alive,
}

/// The alarms of a connection; each is set at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The log-in takes too long.
    Login,
    /// Is the other side still there?
    Silence,
    /// No command for too long.
    Inactivity,
    /// The first connection of this user has not shown that it lives.
    Probe,
    /// A sender that was too fast may go on.
    Throttle,
    /// The outbox has been over its soft limit for too long.
    Slow,
    /// The last frames were not fetched.
    Linger,
    /// Relayed bytes may go on.
    Relay,
}

impl Alarm {
    /// Those that mean nothing any more for a connection that was said goodbye to.
    pub(super) const WHILE_OPEN: [Self; 6] =
        [Self::Login, Self::Silence, Self::Inactivity, Self::Probe, Self::Throttle, Self::Slow];
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for `hello`.
    Greeting,
    /// Proves who it is.
    Login(LoginStep),
    /// Logged in.
    Chat(Username),
    /// Fetches its last frames. Of what it says, only the acknowledgements of `user`'s messages are heard.
    Closing {
        /// Whether [`Effect::EndWriting`] was given out.
        ended: bool,
        /// Who was logged in, if anyone was.
        user: Option<Username>,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: IpAddr,
    pub(super) stage: Stage,
    /// What a log-in must be bound to; `None` without TLS.
    pub(super) binding: Option<[u8; 32]>,
    /// The key of this client, from its `auth` on.
    pub(super) key: Option<Fingerprint>,
    /// Where others may look for this client.
    pub(super) addresses: Vec<SocketAddr>,
    /// Who it says it is, from its `auth` on: for the log.
    pub(super) claimed_name: Option<Arc<str>>,
    pub(super) decoder: FrameDecoder,
    pub(super) allowance: Allowance,
    pub(super) heard_at: MonoMs,
    pub(super) command_at: MonoMs,
    /// When a `ping` went out that nothing has answered yet.
    pub(super) pinged_at: Option<MonoMs>,
    /// The connection that takes this one's place unless it shows that it lives.
    pub(super) challenger: Option<ConnId>,
    /// Frames that must not overtake the waiting messages; `None`: nothing is held back.
    held: Option<Vec<Frame>>,
    held_len: usize,
    generation: u32,
    outbox: Outbox,
    lane: Option<Lane>,
    over_soft_since: Option<MonoMs>,
    reading: bool,
    /// Whether frames of it wait for a later turn.
    is_unfinished: bool,
    alarms: Vec<(Alarm, TimerKey)>,
}

impl Session {
    /// Whether frames of a logged-in, of an unknown or of a new client may come.
    pub(super) fn state(&self) -> State {
        match self.stage {
            Stage::Greeting => State::Greeting,
            Stage::Login(_) => State::Login,
            Stage::Chat(_) | Stage::Closing { .. } => State::Chat,
        }
    }

    pub(super) fn user(&self) -> Option<&Username> {
        match &self.stage {
            Stage::Chat(user) => Some(user),
            _ => None,
        }
    }

    fn waiting_len(&self) -> usize {
        self.outbox.len() + self.held_len
    }
}

/// Which dirty connections are flushed first: one with an answer or a message of its own goes before those
/// that only have their copy of something for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Something for many.
    Bulk,
    /// Something for this connection.
    Direct,
}

#[derive(Debug)]
pub(super) struct Sessions {
    slots: Vec<Option<Session>>,
    count: usize,
    logging_in: BTreeMap<IpAddr, usize>,
    direct: VecDeque<ConnId>,
    bulk: VecDeque<ConnId>,
    doomed: Vec<ConnId>,
    /// Bytes in all outboxes.
    waiting_len: usize,
    /// Those whose frames wait for a later turn, the longest wait first.
    unfinished: VecDeque<ConnId>,
    /// The same, of those who have sent little of late.
    unfinished_light: VecDeque<ConnId>,
    /// Whose turn it is.
    is_light_next: bool,
    timers: TimerWheel<Timer>,
    effects: VecDeque<Effect>,
}

impl Sessions {
    pub(super) fn new(now: MonoMs) -> Self {
        Self {
            slots: Vec::new(),
            count: 0,
            logging_in: BTreeMap::new(),
            direct: VecDeque::new(),
            bulk: VecDeque::new(),
            doomed: Vec::new(),
            waiting_len: 0,
            unfinished: VecDeque::new(),
            unfinished_light: VecDeque::new(),
            is_light_next: true,
            timers: TimerWheel::new(now),
            effects: VecDeque::new(),
        }
    }

    pub(super) fn open(&mut self, conn: ConnId, peer: IpAddr, now: MonoMs, limits: &Limits) {
        let index = conn.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        self.count += usize::from(slot.is_none());
        *slot = Some(Session {
            peer,
            stage: Stage::Greeting,
            binding: None,
            key: None,
            addresses: Vec::new(),
            claimed_name: None,
            decoder: FrameDecoder::new(FRAME_LEN_MAX_BEFORE_LOGIN),
            allowance: Allowance::new(limits.commands_burst, limits.commands_per_second, now),
            heard_at: now,
            command_at: now,
            pinged_at: None,
            challenger: None,
            held: None,
            held_len: 0,
            generation: conn.generation,
            outbox: Outbox::default(),
            lane: None,
            over_soft_since: None,
            reading: true,
            is_unfinished: false,
            alarms: Vec::new(),
        });
        *self.logging_in.entry(peer).or_default() += 1;
    }

    /// Forgets a connection and has it closed.
    pub(super) fn close(&mut self, conn: ConnId) {
        let Some(session) = self.get_mut(conn) else { return };
        let alarms = std::mem::take(&mut session.alarms);
        let (waiting_len, peer) = (session.waiting_len(), session.peer);
        let logging_in = matches!(session.stage, Stage::Greeting | Stage::Login(_));
        for (_, key) in alarms {
            self.timers.cancel(key);
        }
        if logging_in {
            self.login_over(peer);
        }
        self.waiting_len -= waiting_len;
        self.count -= 1;
        if let Some(slot) = self.slots.get_mut(conn.index as usize) {
            *slot = None;
        }
        self.effects.push_back(Effect::Close { conn });
    }

    /// One connection fewer of that address that is not logged in.
    pub(super) fn login_over(&mut self, peer: IpAddr) {
        if let Some(count) = self.logging_in.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.logging_in.remove(&peer);
            }
        }
    }

    /// Connections of that address that are not logged in.
    pub(super) fn logging_in(&self, peer: IpAddr) -> usize {
        self.logging_in.get(&peer).copied().unwrap_or_default()
    }

    /// Proofs from there that wait for their keys. Looks at every connection, which is cheap beside the
    /// derivation that they wait for.
    pub(super) fn proofs_waiting(&self, origin: Origin) -> usize {
        let waits = |session: &&Session| {
            matches!(session.stage, Stage::Login(LoginStep::Proven { .. }))
                && Origin::of(session.peer) == origin
        };
        self.slots.iter().flatten().filter(waits).count()
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Session> {
        let session = self.slots.get(conn.index as usize)?.as_ref()?;
        (session.generation == conn.generation).then_some(session)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        let session = self.slots.get_mut(conn.index as usize)?.as_mut()?;
        (session.generation == conn.generation).then_some(session)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every connection there is.
    pub(super) fn ids(&self) -> Vec<ConnId> {
        let id = |(index, session): (usize, &Option<Session>)| {
            let generation = session.as_ref()?.generation;
            Some(ConnId { index: u32::try_from(index).ok()?, generation })
        };
        self.slots.iter().enumerate().filter_map(id).collect()
    }

    /// Encodes and sends to one.
    pub(super) fn tell(&mut self, conn: ConnId, frame: &ServerFrame<'_>, now: MonoMs, limits: &Limits) {
        self.tell_frame(conn, frame.encode(), now, limits);
    }

    /// Sends to one.
    pub(super) fn tell_frame(&mut self, conn: ConnId, frame: Frame, now: MonoMs, limits: &Limits) {
        self.send(conn, frame, Lane::Direct, now, limits);
    }

    /// Takes the price of something from the client's allowance.
    pub(super) fn charge(&mut self, conn: ConnId, cost: u64) {
        if let Some(session) = self.get_mut(conn) {
            session.allowance.spend(cost);
        }
    }

    /// Sends, or holds the frame back while waiting messages are being delivered. After the goodbye, which is
    /// the last frame, nothing is sent any more: an answer that was still to come then comes to nobody.
    pub(super) fn send(&mut self, conn: ConnId, frame: Frame, lane: Lane, now: MonoMs, limits: &Limits) {
        let Some(session) = self.get_mut(conn) else { return };
        if matches!(session.stage, Stage::Closing { .. }) {
            return;
        }
        let len = frame.len();
        if let Some(held) = &mut session.held {
            held.push(frame);
            session.held_len += len;
            self.waiting_len += len;
            self.enforce(conn, now, limits);
        } else {
            self.send_now(conn, frame, lane, now, limits);
        }
    }

    /// Sends ahead of what is held back: waiting messages, keep-alive, goodbye.
    pub(super) fn send_now(&mut self, conn: ConnId, frame: Frame, lane: Lane, now: MonoMs, limits: &Limits) {
        let Some(session) = self.get_mut(conn) else { return };
        let len = frame.len();
        session.outbox.push(frame);
        let newly = session.lane < Some(lane);
        if newly {
            session.lane = Some(lane);
        }
        self.waiting_len += len;
        if newly {
            match lane {
                Lane::Direct => self.direct.push_back(conn),
                Lane::Bulk => self.bulk.push_back(conn),
            }
        }
        self.enforce(conn, now, limits);
    }

    /// Sends when nothing else waits there. No limit counts it: there is one at a time, and it is short.
    pub(super) fn send_behind(&mut self, conn: ConnId, frame: Frame) {
        let Some(session) = self.get_mut(conn) else { return };
        let len = frame.len();
        session.outbox.push_behind(frame);
        let newly = session.lane.is_none();
        if newly {
            session.lane = Some(Lane::Bulk);
        }
        self.waiting_len += len;
        if newly {
            self.bulk.push_back(conn);
        }
    }

    /// Whether what was sent behind everything else has not left yet.
    pub(super) fn has_behind(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|session| session.outbox.has_behind())
    }

    /// Takes that back, unless it is leaving.
    pub(super) fn drop_behind(&mut self, conn: ConnId) {
        let Some(session) = self.get_mut(conn) else { return };
        let before = session.outbox.len();
        session.outbox.drop_behind();
        let gone = before - session.outbox.len();
        self.waiting_len -= gone;
    }

    /// Whether the user is there and nothing waits for him.
    pub(super) fn is_free(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|session| {
            session.user().is_some() && session.held.is_none() && session.outbox.is_empty()
        })
    }

    /// From now on, until [`Sessions::release`], only [`Sessions::send_now`] reaches this connection.
    pub(super) fn hold(&mut self, conn: ConnId) {
        if let Some(session) = self.get_mut(conn) {
            session.held.get_or_insert_default();
        }
    }

    /// Lets what was held back go, in its order.
    pub(super) fn release(&mut self, conn: ConnId, now: MonoMs, limits: &Limits) {
        let Some(session) = self.get_mut(conn) else { return };
        let held = session.held.take().unwrap_or_default();
        let held_len = std::mem::take(&mut session.held_len);
        self.waiting_len -= held_len;
        for frame in held {
            self.send_now(conn, frame, Lane::Direct, now, limits);
        }
    }

    /// Throws away what waits, so that a last word fits.
    pub(super) fn discard_waiting(&mut self, conn: ConnId) {
        let Some(session) = self.get_mut(conn) else { return };
        let before = session.waiting_len();
        session.outbox.clear();
        session.held = None;
        session.held_len = 0;
        let after = session.waiting_len();
        self.waiting_len -= before - after;
    }

    /// The next connection of that lane that has something to send.
    pub(super) fn next_dirty(&mut self, lane: Lane) -> Option<ConnId> {
        loop {
            let queue = match lane {
                Lane::Direct => &mut self.direct,
                Lane::Bulk => &mut self.bulk,
            };
            let conn = queue.pop_front()?;
            if let Some(session) = self.get_mut(conn)
                && session.lane == Some(lane)
            {
                session.lane = None;
                return Some(conn);
            }
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        !(self.direct.is_empty() && self.bulk.is_empty())
    }

    pub(super) fn gather(&mut self, conn: ConnId, out: &mut Vec<u8>, len_max: usize) {
        if let Some(session) = self.get_mut(conn) {
            session.outbox.gather(out, len_max);
        }
    }

    /// The first `len` waiting bytes have left.
    pub(super) fn sent(&mut self, conn: ConnId, len: usize, limits: &Limits) {
        let Some(session) = self.get_mut(conn) else { return };
        let before = session.outbox.len();
        session.outbox.sent(len);
        let gone = before - session.outbox.len();
        if session.waiting_len() <= limits.outbox_len_soft {
            session.over_soft_since = None;
        }
        self.waiting_len -= gone;
    }

    /// Whether so much waits that this client's own requests must wait too.
    pub(super) fn is_congested(&self, conn: ConnId, limits: &Limits) -> bool {
        self.get(conn).is_some_and(|session| session.outbox.len() > limits.outbox_len_soft)
    }

    /// Whether everything for this connection has left.
    pub(super) fn is_flushed(&self, conn: ConnId) -> bool {
        self.get(conn).is_none_or(|session| session.outbox.is_empty())
    }

    /// The outbox has been over its soft limit since then.
    pub(super) fn over_soft_since(&self, conn: ConnId) -> Option<MonoMs> {
        self.get(conn)?.over_soft_since
    }

    /// A connection that was over a limit since the last call.
    pub(super) fn take_doomed(&mut self) -> Option<ConnId> {
        self.doomed.pop()
    }

    /// Whether its bytes are left in the socket for now.
    pub(super) fn is_paused(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|session| !session.reading)
    }

    /// Has the shell read from this connection, or not.
    pub(super) fn set_reading(&mut self, conn: ConnId, wanted: bool) {
        if let Some(session) = self.get_mut(conn)
            && session.reading != wanted
        {
            session.reading = wanted;
            self.effects.push_back(Effect::Read { conn, wanted });
        }
    }

    /// Leaves the rest of what came from this connection for a later turn. Until then it is not read from.
    pub(super) fn put_off(&mut self, conn: ConnId) {
        self.set_reading(conn, false);
        let Some(session) = self.get_mut(conn).filter(|session| !session.is_unfinished) else { return };
        session.is_unfinished = true;
        if session.allowance.is_ample() {
            self.unfinished_light.push_back(conn);
        } else {
            self.unfinished.push_back(conn);
        }
    }

    pub(super) fn is_unfinished(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|session| session.is_unfinished)
    }

    /// How many connections were put off.
    pub(super) fn unfinished_count(&self) -> usize {
        self.unfinished.len() + self.unfinished_light.len()
    }

    /// The next connection that was put off: by turns one that has sent little and one that has sent much, so that
    /// neither kind waits for the whole of the other.
    pub(super) fn take_unfinished(&mut self) -> Option<ConnId> {
        self.is_light_next = !self.is_light_next;
        let (light, heavy) = (&mut self.unfinished_light, &mut self.unfinished);
        let (first, second) = if self.is_light_next { (light, heavy) } else { (heavy, light) };
        let conn = first.pop_front().or_else(|| second.pop_front())?;
        if let Some(session) = self.get_mut(conn) {
            session.is_unfinished = false;
        }
        Some(conn)
    }

    /// Sets an alarm, instead of one of the same kind that was set before.
    pub(super) fn arm(&mut self, conn: ConnId, alarm: Alarm, at: MonoMs) {
        self.disarm(conn, alarm);
        if self.get(conn).is_some() {
            let key = self.timers.insert(at, Timer::Session(conn, alarm));
            if let Some(session) = self.get_mut(conn) {
                session.alarms.push((alarm, key));
            }
        }
    }

    pub(super) fn disarm(&mut self, conn: ConnId, alarm: Alarm) {
        let Some(session) = self.get_mut(conn) else { return };
        if let Some(at) = session.alarms.iter().position(|&(set, _)| set == alarm) {
            let (_, key) = session.alarms.swap_remove(at);
            self.timers.cancel(key);
        }
    }

    /// Sets a timer that belongs to no connection.
    pub(super) fn arm_other(&mut self, timer: Timer, at: MonoMs) {
        self.timers.insert(at, timer);
    }

    /// The next timer that is due.
    pub(super) fn pop_due(&mut self, now: MonoMs) -> Option<Timer> {
        let timer = self.timers.pop_due(now)?;
        if let Timer::Session(conn, alarm) = &timer
            && let Some(session) = self.get_mut(*conn)
        {
            session.alarms.retain(|(set, _)| set != alarm);
        }
        Some(timer)
    }

    pub(super) fn next_timer(&self) -> Option<MonoMs> {
        self.timers.next()
    }

    pub(super) fn push_effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Whose messages the next effect reads, if it does that.
    pub(super) fn next_load(&self) -> Option<&Username> {
        match self.effects.front() {
            Some(Effect::Load { user, .. }) => Some(user),
            _ => None,
        }
    }

    pub(super) fn pop_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Bytes in all outboxes.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting_len
    }

    /// Bytes that wait for one connection.
    pub(super) fn waiting_len_of(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, Session::waiting_len)
    }

    fn enforce(&mut self, conn: ConnId, now: MonoMs, limits: &Limits) {
        let Some(session) = self.get_mut(conn) else { return };
        let len = session.waiting_len();
        if matches!(session.stage, Stage::Closing { .. }) {
            return;
        }
        if len > limits.outbox_len_hard {
            self.doom(conn);
        } else if len > limits.outbox_len_soft && session.over_soft_since.is_none() {
            session.over_soft_since = Some(now);
            self.arm(conn, Alarm::Slow, now.after(limits.outbox_soft_patience));
        }
        if self.waiting_len > limits.outboxes_len_max {
            let largest = self.ids().into_iter().max_by_key(|&id| self.waiting_len_of(id));
            if let Some(largest) = largest {
                self.doom(largest);
            }
        }
    }

    /// Its memory is given back at once; the hub ends the connection at the end of the turn.
    fn doom(&mut self, conn: ConnId) {
        self.discard_waiting(conn);
        if !self.doomed.contains(&conn) {
            self.doomed.push(conn);
        }
    }
}
