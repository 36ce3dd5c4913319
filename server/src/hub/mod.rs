//! The pure state machine of the chat room. No socket, no file, no clock, no randomness of its own: what
//! happens comes in as [`Input`], what is to be done goes out as [`Effect`], both are plain values.
//!
//! # The drain contract
//!
//! A turn is: any number of [`Hub::handle_input`], then [`Hub::handle_timeout`], then [`Hub::poll_output`]
//! until it gives nothing more, then [`Hub::next_dirty`] for connections that have bytes to send; for those,
//! [`Hub::gather`] shows the bytes and [`Input::Sent`] takes them off. A connection that did not take all of
//! its bytes is not named again: the shell goes on with it when its socket is writable. [`Hub::poll_timeout`]
//! says when the next turn is due if nothing comes before.
//!
//! This file owns the turn, the way of a frame to its handler, and the two events that touch everything: a
//! user is seated, a connection ends.

mod accounts;
mod allowance;
mod blocks;
mod chat;
mod decoy;
mod durable;
mod effect;
mod files;
mod guesses;
mod intake;
mod known_ids;
mod ledger;
mod limits;
mod login;
mod outbox;
mod pace;
mod post;
mod presence;
mod reach;
mod refusal;
mod relay;
mod sessions;
mod tickets;
mod timer_wheel;
mod unanswered;

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::{
    ClientFrame, ErrorCode, GoodbyeReason, LoginRefusal, PresenceChange, RequestId, ServerFrame, Username,
    Word,
    printable::Excerpt,
    random::RandomStream,
    time::{MonoMs, Now},
};

pub use accounts::{Credential, Password};
pub use durable::{KnownFate, KnownId, Recovered, Tried, TriesRecord};
pub use effect::{ConnId, Effect, Input, MailboxPage, Sequence, StoreOperation, StoredMessage};
pub use files::RegisteredFile;
pub use limits::Limits;
pub use sessions::Lane;

use accounts::{Accounts, Replaced};
use blocks::Blocks;
use chat::Asker;
use files::Files;
use guesses::Guesses;
use known_ids::Waiter;
use ledger::{Ledger, Promise};
use login::{Broken, LoginStep, Verdict};
use post::{Desk, PostOffice};
use presence::Presence;
use relay::Relays;
use sessions::{Alarm, Sessions, Stage, Timer};
use tickets::Tickets;

use crate::quiet::Quiet;

/// The chat room.
#[derive(Debug)]
pub struct Hub {
    /// The time of this turn.
    now: Now,
    limits: Limits,
    random: RandomStream,
    accounts: Accounts,
    guesses: Guesses,
    sessions: Sessions,
    presence: Presence,
    blocks: Blocks,
    post: PostOffice,
    tickets: Tickets,
    relays: Relays,
    files: Files,
    ledger: Ledger,
    /// Log-ins that come to nothing cost a stranger little.
    refusals: Quiet,
    failures: Quiet,
    /// Work done in this turn.
    work: u64,
    stopping: Stopping,
    /// How far the wall clock has moved against the monotonic one since the ends of locks were written down.
    wall_drift_ms: i128,
}

/// So much may the end of a lock be off after a restart: locks are counted in seconds.
const WALL_DRIFT_MAX_MS: i128 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Told,
}

/// How a connection ends.
#[derive(Debug)]
enum Ending {
    /// The other side is told, and gets what waits for it.
    Goodbye(GoodbyeReason, String),
    /// There is nobody to tell.
    Gone,
}

impl Hub {
    /// An empty room with an empty store. `seed` must come from the system's randomness.
    pub fn new(
        limits: Limits,
        credentials: BTreeMap<Username, Credential>,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let secret = RandomStream::from_seed(seed).bytes();
        Self::recover(limits, credentials, Recovered::empty(secret), seed, now)
    }

    /// A room in which nobody is yet, with what the store holds. `seed` must come from the system's randomness, and
    /// be new: nonces are made of it.
    pub fn recover(
        limits: Limits,
        credentials: BTreeMap<Username, Credential>,
        recovered: Recovered,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let Recovered { secret, last_sequence, mailboxes, blocks, last_seen, tries, known_ids, files } =
            recovered;
        let mut accounts = Accounts::new(credentials, limits.lock_out, limits.ghosts_max, &secret);
        let mut ledger = Ledger::default();
        accounts.recover(tries, &mut ledger, now);
        let mut sessions = Sessions::new(now.mono);
        sessions.arm_other(Timer::Alive, now.mono.after(limits.alive_pause));
        let last_seen = last_seen.into_iter().filter(|(user, _)| accounts.exists(user));
        let mut hub = Self {
            now,
            random: RandomStream::from_seed(seed),
            guesses: Guesses::default(),
            sessions,
            presence: Presence::recover(last_seen, now),
            blocks: Blocks::recover(blocks),
            post: PostOffice::recover(last_sequence, mailboxes, known_ids, &limits),
            tickets: Tickets::default(),
            relays: Relays::new(&limits, now.mono),
            files: Files::recover(files),
            accounts,
            ledger,
            refusals: Quiet::default(),
            failures: Quiet::default(),
            work: 0,
            stopping: Stopping::No,
            wall_drift_ms: 0,
            limits,
        };
        hub.derive_ahead();
        hub
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.set_now(now);
        match input {
            Input::Opened { conn, peer } => self.opened(conn, peer),
            Input::Secured { conn, binding } => {
                if let Some(session) = self.sessions.get_mut(conn) {
                    session.binding = Some(binding);
                }
            }
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Sent { conn, len } => self.sent(conn, len),
            Input::Closed { conn } => {
                self.finish(conn);
                self.end(conn, Ending::Gone);
            }
            Input::Derived { name, job, verifier } => {
                for conn in self.accounts.derived(&name, job, verifier) {
                    self.judge(conn);
                }
                self.derive_ahead();
            }
            Input::Committed { batch, durable } => self.committed(batch, durable),
            Input::Loaded { conn, page } => {
                if let Some(user) = self.user(conn) {
                    let (mut desk, post) = self.desk_and_post();
                    post.loaded(&mut desk, &user, conn, page);
                }
            }
            Input::Accounts(credentials) => self.replace_accounts(credentials),
            Input::Shutdown => self.shut_down(),
        }
    }

    /// Fires what is due and goes on with what was put off, up to the limits of a turn.
    pub fn handle_timeout(&mut self, now: Now) {
        self.set_now(now);
        self.fire_timers();
        self.go_on();
    }

    fn fire_timers(&mut self) {
        for _ in 0..self.limits.timers_per_turn_max {
            match self.sessions.pop_due(self.now.mono) {
                Some(Timer::Session(conn, alarm)) => self.alarm(conn, alarm),
                Some(Timer::Patience(user)) => {
                    let (mut desk, post) = self.desk_and_post();
                    post.patience_over(&mut desk, &user);
                }
                Some(Timer::Relay(ticket)) => {
                    let Self { now, limits, sessions, relays, ledger, .. } = self;
                    relays.check_idle(&mut Desk { now: *now, limits, sessions, ledger }, ticket);
                }
                Some(Timer::Alive) => {
                    self.ledger.retry();
                    if self.presence.count() > 0 {
                        self.ledger.note(StoreOperation::Alive { at: self.now.wall });
                    }
                    self.sessions.arm_other(Timer::Alive, self.now.mono.after(self.limits.alive_pause));
                }
                None => return,
            }
        }
    }

    /// When [`Hub::handle_timeout`] has something to do at the earliest.
    pub fn poll_timeout(&self) -> Option<MonoMs> {
        if self.sessions.unfinished_count() > 0 {
            return Some(self.now.mono);
        }
        self.sessions.next_timer()
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Effect> {
        loop {
            if let Some(conn) = self.sessions.take_doomed() {
                let text = "You read too slowly: too much was waiting for you.";
                self.end(conn, Ending::Goodbye(GoodbyeReason::TooSlow, text.to_owned()));
                continue;
            }
            // What is read must contain what was to be written before: a user who takes the place of his own
            // dead connection in this very turn gets what that one left unacknowledged.
            if let Some(user) = self.sessions.next_load()
                && let Some((batch, operations)) = self.ledger.close_batch_for(user)
            {
                return Some(Effect::Commit { batch, operations });
            }
            if let Some(effect) = self.sessions.pop_effect() {
                return Some(effect);
            }
            if self.spread_presence() {
                continue;
            }
            if let Some((batch, operations)) = self.ledger.close_batch() {
                return Some(Effect::Commit { batch, operations });
            }
            if self.stopping == Stopping::Asked && self.sessions.is_empty() && self.ledger.is_settled() {
                self.stopping = Stopping::Told;
                return Some(Effect::Stopped);
            }
            return None;
        }
    }

    /// A connection that has bytes to send, and was not named since it got them.
    pub fn next_dirty(&mut self, lane: Lane) -> Option<ConnId> {
        self.sessions.next_dirty(lane)
    }

    /// Whether [`Hub::next_dirty`] has something left to name.
    pub fn is_dirty(&self) -> bool {
        self.sessions.is_dirty()
    }

    /// Appends up to `len_max` of the bytes that wait for a connection; they stay until [`Input::Sent`].
    pub fn gather(&mut self, conn: ConnId, out: &mut Vec<u8>, len_max: usize) {
        self.sessions.gather(conn, out, len_max);
    }

    /// Bytes that wait in all outboxes.
    pub fn waiting_len(&self) -> usize {
        self.sessions.waiting_len()
    }

    /// Bytes that wait for one connection.
    pub fn waiting_len_of(&self, conn: ConnId) -> usize {
        self.sessions.waiting_len_of(conn)
    }

    /// How many users are online.
    pub fn online_count(&self) -> usize {
        self.presence.count()
    }

    /// Every turn has its time. When the wall clock is set, what the store knows of the ends of locks is not true
    /// any more.
    fn set_now(&mut self, now: Now) {
        let moved = |from: u64, to: u64| i128::from(to) - i128::from(from);
        let jump = moved(self.now.wall.0, now.wall.0) - moved(self.now.mono.0, now.mono.0);
        self.now = now;
        self.wall_drift_ms += jump;
        if self.wall_drift_ms.abs() > WALL_DRIFT_MAX_MS {
            self.wall_drift_ms = 0;
            self.accounts.note_locks(&mut self.ledger, now);
        }
    }

    fn opened(&mut self, conn: ConnId, peer: core::net::IpAddr) {
        self.sessions.open(conn, peer, self.now.mono, &self.limits);
        let crowded = self.sessions.logging_in(peer) > self.limits.logging_in_per_address_max;
        if self.stopping != Stopping::No {
            self.end(conn, Ending::Gone);
        } else if crowded && !peer.is_loopback() {
            self.refuse_login(conn, LoginRefusal::Busy, Duration::ZERO);
        } else {
            self.sessions.arm(conn, Alarm::Login, self.now.mono.after(self.limits.login_deadline));
        }
    }

    fn dispatch(&mut self, conn: ConnId, frame: ClientFrame<'_>) {
        let started = match frame {
            ClientFrame::Hello { version } => login::hello(&mut self.desk(), conn, version),
            ClientFrame::Auth { mechanism, key, client_first } => {
                let Self { now, limits, random, accounts, sessions, ledger, .. } = self;
                let mut desk = Desk { now: *now, limits, sessions, ledger };
                login::auth(&mut desk, (accounts, random), conn, (mechanism, key, client_first))
            }
            ClientFrame::Proof { client_final } => login::proof(&mut self.sessions, conn, client_final),
            ClientFrame::Ping => {
                let frame = ServerFrame::Pong.encode();
                self.sessions.send_now(conn, frame, Lane::Direct, self.now.mono, &self.limits);
                self.sessions.charge(conn, 1);
                Ok(())
            }
            ClientFrame::Pong => {
                self.sessions.charge(conn, 1);
                Ok(())
            }
            ClientFrame::Active => {
                self.note_activity(conn, 1);
                Ok(())
            }
            ClientFrame::Ack { from, id } => {
                if let Some(user) = self.user(conn) {
                    let (mut desk, post) = self.desk_and_post();
                    // As many acknowledgements as there were messages are free.
                    if !post.acked(&mut desk, &user, &from, id) {
                        self.sessions.charge(conn, 1);
                    }
                }
                Ok(())
            }
            ClientFrame::Reachable { .. }
            | ClientFrame::DialBack { .. }
            | ClientFrame::Relay { .. }
            | ClientFrame::Carry { .. }
            | ClientFrame::RelayEnd { .. }
            | ClientFrame::Have { .. } => {
                self.unanswered(conn, frame);
                Ok(())
            }
            command => {
                self.command(conn, command);
                Ok(())
            }
        };
        match started {
            Ok(()) => self.judge(conn),
            Err(Broken(text)) => self.end(conn, Ending::Goodbye(Broken::REASON, text)),
        }
    }

    fn command(&mut self, conn: ConnId, frame: ClientFrame<'_>) {
        let Some(user) = self.user(conn) else { return };
        // A broadcast costs more the more people it reaches.
        let is_broadcast = matches!(frame, ClientFrame::Broadcast { .. });
        let online = self.presence.count() as u64;
        let cost = if is_broadcast { 1 + online / 256 } else { self.files.work_of(&frame) };
        self.note_activity(conn, cost);
        let asker = |request: RequestId| Asker { user: &user, waiter: Waiter { conn, request } };
        let Self { now, limits, random, accounts, sessions, presence, blocks, post, .. } = self;
        let Self { tickets, relays, files, ledger, .. } = self;
        let desk = &mut Desk { now: *now, limits, sessions, ledger };
        match frame {
            ClientFrame::Message { request, to, id, text } => {
                chat::message(desk, (accounts, blocks, post), &asker(request), (&to, id, text));
            }
            ClientFrame::Broadcast { request, id, text } => {
                chat::broadcast(desk, (presence, blocks, post), &asker(request), (id, text));
            }
            ClientFrame::WhoElse { request } => chat::whoelse(desk, presence, &asker(request)),
            ClientFrame::WhoElseSince { request, seconds } => {
                chat::whoelsesince(desk, presence, &asker(request), seconds);
            }
            ClientFrame::Block { request, user: other } => {
                chat::block(desk, (accounts, blocks), &asker(request), other.clone());
                if blocks.has_blocked(&user, &other) {
                    relays.part(desk, &user, &other);
                }
            }
            ClientFrame::Unblock { request, user: other } => {
                chat::unblock(desk, (accounts, blocks), &asker(request), other);
            }
            ClientFrame::BlockList { request } => chat::blocklist(desk, blocks, &asker(request)),
            ClientFrame::Invite { request, user, purpose } => {
                let room = (&*accounts, &*presence, &*blocks, random);
                tickets.invite(desk, room, &asker(request), (&user, purpose));
            }
            ClientFrame::Lookup { request, user: other } => {
                chat::lookup(desk, (accounts, presence), &asker(request), &other);
            }
            ClientFrame::Register { request, file, size, chunks, name } => {
                files.register(desk, &asker(request), (name, file, size, chunks));
            }
            ClientFrame::Unregister { request, name } => files.unregister(desk, &asker(request), name),
            ClientFrame::Files { request } => files.list(desk, presence, &asker(request)),
            ClientFrame::Search { request, name } => files.search(desk, presence, &asker(request), name),
            ClientFrame::Logout { request } => {
                desk.sessions.tell(conn, &ServerFrame::Done { request }, now.mono, limits);
                self.end(conn, Ending::Goodbye(GoodbyeReason::Logout, "Goodbye.".to_owned()));
            }
            _ => {}
        }
    }

    /// A command came from the user.
    fn note_activity(&mut self, conn: ConnId, cost: u64) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.command_at = self.now.mono;
        }
        self.sessions.charge(conn, cost);
    }

    fn sent(&mut self, conn: ConnId, len: usize) {
        self.sessions.sent(conn, len, &self.limits);
        self.fill_room(conn);
        let flushed = self.sessions.is_flushed(conn);
        if let Some(Stage::Closing { ended, .. }) =
            self.sessions.get_mut(conn).map(|session| &mut session.stage)
        {
            if flushed && !*ended {
                *ended = true;
                self.sessions.push_effect(Effect::EndWriting { conn });
            }
        } else if self.sessions.is_paused(conn) && !self.sessions.is_congested(conn, &self.limits) {
            // Requests that waited for room may go on.
            self.process(conn);
        }
    }

    fn alarm(&mut self, conn: ConnId, alarm: Alarm) {
        match alarm {
            Alarm::Login => {
                let text = "The log-in took too long.".to_owned();
                self.end(conn, Ending::Goodbye(GoodbyeReason::Login, text));
            }
            Alarm::Silence => self.check_silence(conn),
            Alarm::Inactivity => self.check_inactivity(conn),
            Alarm::Probe => self.replace_incumbent(conn),
            Alarm::Throttle => self.process(conn),
            Alarm::Slow => {
                let patience = self.limits.outbox_soft_patience;
                match self.sessions.over_soft_since(conn).map(|since| since.after(patience)) {
                    Some(until) if until <= self.now.mono => {
                        let text = "You read too slowly: too much waited for you for too long.".to_owned();
                        self.end(conn, Ending::Goodbye(GoodbyeReason::TooSlow, text));
                    }
                    Some(until) => self.sessions.arm(conn, Alarm::Slow, until),
                    None => {}
                }
            }
            Alarm::Linger => self.close(conn),
            Alarm::Relay => {
                let Self { now, limits, sessions, relays, ledger, .. } = self;
                relays.go_on(&mut Desk { now: *now, limits, sessions, ledger }, conn);
            }
        }
    }

    /// Asks a silent connection whether it lives, and ends one that did not answer.
    fn check_silence(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let due = match session.pinged_at {
            Some(pinged) => pinged.after(self.limits.keep_alive_answer),
            None => session.heard_at.after(self.limits.keep_alive),
        };
        if self.now.mono < due {
            self.sessions.arm(conn, Alarm::Silence, due);
        } else if session.pinged_at.is_some() {
            self.end(conn, Ending::Gone);
        } else {
            self.ping(conn);
            self.sessions.arm(conn, Alarm::Silence, self.now.mono.after(self.limits.keep_alive_answer));
        }
    }

    fn ping(&mut self, conn: ConnId) {
        let frame = ServerFrame::Ping.encode();
        self.sessions.send_now(conn, frame, Lane::Direct, self.now.mono, &self.limits);
        if let Some(session) = self.sessions.get_mut(conn) {
            // Whoever has not answered an earlier one does not get more time by being asked again.
            session.pinged_at.get_or_insert(self.now.mono);
        }
    }

    fn check_inactivity(&mut self, conn: ConnId) {
        let Some(limit) = self.limits.inactivity else { return };
        let Some(due) = self.sessions.get(conn).map(|session| session.command_at.after(limit)) else {
            return;
        };
        if self.now.mono < due {
            self.sessions.arm(conn, Alarm::Inactivity, due);
        } else {
            let text = format!("You were logged out after {} s without a command.", limit.as_secs());
            self.end(conn, Ending::Goodbye(GoodbyeReason::Timeout, text));
        }
    }

    /// Goes on with a proof whose keys may be there now.
    fn judge(&mut self, conn: ConnId) {
        let Self { now, limits, accounts, guesses, sessions, ledger, .. } = self;
        let mut desk = Desk { now: *now, limits, sessions, ledger };
        match login::judge(&mut desk, (accounts, guesses), conn) {
            Verdict::Open => {}
            Verdict::Refused { code, retry_after } => self.refuse_login(conn, code, retry_after),
            Verdict::Malformed(error) => {
                if let Some(held_back) = self.failures.admit(self.now.mono) {
                    log::warn!("log-in from {} failed: {error}{held_back}", self.peer(conn));
                }
                let tampered = error == protocol::scram::server::ServerError::BindingMismatch;
                let reason = if tampered { GoodbyeReason::Tampered } else { GoodbyeReason::Protocol };
                self.end(conn, Ending::Goodbye(reason, error.to_string()));
            }
            Verdict::Right { user, server_final } => match self.presence.conn(&user) {
                None => self.seat(conn, &user, &server_final),
                Some(incumbent) => self.challenge_incumbent(conn, incumbent, server_final),
            },
        }
    }

    fn refuse_login(&mut self, conn: ConnId, code: LoginRefusal, retry_after: Duration) {
        if self.sessions.get(conn).is_none_or(|session| session.user().is_some()) {
            return;
        }
        let text = refusal::login_text(code, retry_after);
        let retry_after_s = refusal::seconds(retry_after);
        if let Some(held_back) = self.refusals.admit(self.now.mono) {
            let (peer, word) = (self.peer(conn), Word::word(code));
            match self.sessions.get(conn).and_then(|session| session.claimed_name.as_deref()) {
                Some(name) => {
                    let name = Excerpt { text: name, chars_max: 64 };
                    log::info!("log-in as {name} from {peer} refused: {word}{held_back}");
                }
                None => log::info!("log-in from {peer} refused: {word}{held_back}"),
            }
        }
        let frame = ServerFrame::LoginRefused { code, retry_after_s, text: &text };
        self.sessions.tell(conn, &frame, self.now.mono, &self.limits);
        self.end(conn, Ending::Goodbye(GoodbyeReason::Login, text));
    }

    /// The user has a connection already: has it show that it lives, or lose its place.
    fn challenge_incumbent(&mut self, conn: ConnId, incumbent: ConnId, server_final: String) {
        let Some(first) = self.sessions.get_mut(incumbent) else { return };
        if first.challenger.is_some() {
            return self.refuse_login(conn, LoginRefusal::AlreadyOnline, Duration::ZERO);
        }
        first.challenger = Some(conn);
        self.ping(incumbent);
        if let Some(session) = self.sessions.get_mut(conn) {
            session.stage = Stage::Login(LoginStep::Probing { server_final, incumbent });
        }
        self.sessions.arm(conn, Alarm::Probe, self.now.mono.after(self.limits.probe_answer));
    }

    /// The first connection did not show that it lives.
    fn replace_incumbent(&mut self, conn: ConnId) {
        let Some(Stage::Login(LoginStep::Probing { incumbent, .. })) =
            self.sessions.get(conn).map(|s| &s.stage)
        else {
            return;
        };
        let text = "You logged in again elsewhere while this connection seemed dead.".to_owned();
        self.end(*incumbent, Ending::Goodbye(GoodbyeReason::Replaced, text));
    }

    /// The user is online from here on.
    fn seat(&mut self, conn: ConnId, user: &Username, server_final: &str) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.stage = Stage::Chat(user.clone());
        session.command_at = self.now.mono;
        let (peer, heard_at) = (session.peer, session.heard_at);
        self.sessions.login_over(peer);
        self.sessions.disarm(conn, Alarm::Login);
        self.sessions.disarm(conn, Alarm::Probe);
        self.sessions.arm(conn, Alarm::Silence, heard_at.after(self.limits.keep_alive));
        if let Some(limit) = self.limits.inactivity {
            self.sessions.arm(conn, Alarm::Inactivity, self.now.mono.after(limit));
        }
        log::info!("{user} logged in from {peer}");
        let frame = ServerFrame::Welcome { user: user.clone(), server_final };
        self.sessions.tell(conn, &frame, self.now.mono, &self.limits);
        self.presence.came(user, conn);
        self.ledger.note(StoreOperation::LastSeen { user: user.clone(), at: self.now.wall, online: true });
        let (mut desk, post) = self.desk_and_post();
        post.begin(&mut desk, user, conn);
    }

    fn end(&mut self, conn: ConnId, ending: Ending) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let user = session.user().cloned();
        let stage = std::mem::replace(&mut session.stage, Stage::Closing { ended: false, user });
        let (peer, challenger) = (session.peer, session.challenger.take());
        match stage {
            Stage::Closing { ended, user } => {
                session.stage = Stage::Closing { ended, user };
                if matches!(ending, Ending::Gone) {
                    self.close(conn);
                }
                return;
            }
            Stage::Chat(user) => self.left(conn, user, &ending, challenger),
            Stage::Login(step) => {
                self.sessions.login_over(peer);
                if let LoginStep::Probing { incumbent, .. } = step
                    && let Some(first) = self.sessions.get_mut(incumbent)
                {
                    first.challenger = None;
                }
            }
            Stage::Greeting => self.sessions.login_over(peer),
        }
        match ending {
            Ending::Gone => self.close(conn),
            Ending::Goodbye(reason, text) => {
                for alarm in Alarm::WHILE_OPEN {
                    self.sessions.disarm(conn, alarm);
                }
                if reason == GoodbyeReason::TooSlow {
                    self.sessions.discard_waiting(conn);
                }
                self.sessions.release(conn, self.now.mono, &self.limits);
                let goodbye = ServerFrame::Goodbye { reason, text: &text };
                self.sessions.send_now(conn, goodbye.encode(), Lane::Direct, self.now.mono, &self.limits);
                // Reading goes on, so that the other side's closing is seen.
                self.sessions.set_reading(conn, true);
                self.sessions.arm(conn, Alarm::Linger, self.now.mono.after(self.limits.linger));
            }
        }
    }

    /// Nothing more can come from this connection.
    fn close(&mut self, conn: ConnId) {
        if let Some(Stage::Closing { user: Some(user), .. }) = self.sessions.get(conn).map(|s| &s.stage) {
            self.post.last_words_over(user, conn);
        }
        self.sessions.close(conn);
    }

    /// A user's connection has ended; his second one may be waiting for that.
    fn left(&mut self, conn: ConnId, user: Username, ending: &Ending, challenger: Option<ConnId>) {
        if self.presence.conn(&user) != Some(conn) {
            return;
        }
        let (mut desk, post) = self.desk_and_post();
        post.ended(&mut desk, &user);
        self.drop_unanswered(conn, &user);
        let change = match ending {
            Ending::Goodbye(GoodbyeReason::Timeout, _) => PresenceChange::Timeout,
            Ending::Gone | Ending::Goodbye(GoodbyeReason::TooSlow | GoodbyeReason::Protocol, _) => {
                PresenceChange::Lost
            }
            Ending::Goodbye(..) => PresenceChange::Logout,
        };
        match ending {
            Ending::Goodbye(reason, _) => log::info!("{user} left: {}", Word::word(*reason)),
            Ending::Gone => log::info!("{user} left: {}", Word::word(change)),
        }
        if let Some(next) = challenger
            && let Some(session) = self.sessions.get_mut(next)
            && let Stage::Login(LoginStep::Probing { server_final, .. }) = &mut session.stage
        {
            // He was here all along, for everyone else.
            let server_final = std::mem::take(server_final);
            if self.accounts.exists(&user) {
                return self.seat(next, &user, &server_final);
            }
            self.refuse_login(next, LoginRefusal::BadCredentials, Duration::ZERO);
        }
        self.presence.left(&user, change, self.now.mono);
        self.ledger.note(StoreOperation::LastSeen { user, at: self.now.wall, online: false });
    }

    fn committed(&mut self, batch: u64, durable: bool) {
        for promise in self.ledger.settle(batch, durable) {
            let Self { now, limits, sessions, blocks, post, files, ledger, .. } = self;
            let desk = &mut Desk { now: *now, limits, sessions, ledger };
            match promise {
                Promise::Kept { to, sequence, from, id, text_len } => {
                    post.kept(desk, durable, &to, (&from, id, sequence), text_len);
                }
                Promise::Dropped { to, sequence } => post.dropped(&to, sequence),
                Promise::Blocked { conn, request, by, user, is_repeated } => {
                    blocks.settle(&by, &user, true, durable);
                    let repeated = is_repeated.then_some(ErrorCode::AlreadyBlocked);
                    chat::settle_block(desk, durable, Waiter { conn, request }, repeated);
                }
                Promise::Unblocked { conn, request, by, user, is_repeated } => {
                    blocks.settle(&by, &user, false, durable);
                    let repeated = is_repeated.then_some(ErrorCode::NotBlocked);
                    chat::settle_block(desk, durable, Waiter { conn, request }, repeated);
                }
                promise @ (Promise::Registered { .. } | Promise::Unregistered { .. }) => {
                    files.settle(desk, durable, &promise);
                }
            }
        }
    }

    fn replace_accounts(&mut self, credentials: BTreeMap<Username, Credential>) {
        let Replaced { gone, waiting } = self.accounts.replace(credentials);
        self.derive_ahead();
        for conn in waiting {
            self.judge(conn);
        }
        for user in gone {
            let (who, record) = (Tried::Account(user.clone()), TriesRecord::default());
            self.ledger.note(StoreOperation::Tries { who, record });
            if let Some(conn) = self.presence.conn(&user) {
                let text = "Your account was removed.".to_owned();
                self.end(conn, Ending::Goodbye(GoodbyeReason::Removed, text));
            }
        }
    }

    fn derive_ahead(&mut self) {
        if let Some(effect) = self.accounts.derive_ahead() {
            self.sessions.push_effect(effect);
        }
    }

    fn shut_down(&mut self) {
        if self.stopping != Stopping::No {
            return;
        }
        self.stopping = Stopping::Asked;
        self.ledger.retry();
        for conn in self.sessions.ids() {
            let text = "The server is stopping.".to_owned();
            self.end(conn, Ending::Goodbye(GoodbyeReason::Shutdown, text));
        }
    }

    /// Tells everyone who came and went since the last turn. Whether there was anything to tell.
    fn spread_presence(&mut self) -> bool {
        let frames = self.presence.take_frames();
        for (frame, about) in &frames {
            for (user, conn) in self.presence.online() {
                if about.as_ref() != Some(user) {
                    self.sessions.send(conn, frame.clone(), Lane::Bulk, self.now.mono, &self.limits);
                }
            }
        }
        !frames.is_empty()
    }

    fn user(&self, conn: ConnId) -> Option<Username> {
        self.sessions.get(conn)?.user().cloned()
    }

    fn peer(&self, conn: ConnId) -> String {
        self.sessions.get(conn).map_or_else(|| "nowhere".to_owned(), |session| session.peer.to_string())
    }

    fn desk(&mut self) -> Desk<'_> {
        self.desk_and_post().0
    }

    fn desk_and_post(&mut self) -> (Desk<'_>, &mut PostOffice) {
        let Self { now, limits, sessions, ledger, post, .. } = self;
        (Desk { now: *now, limits, sessions, ledger }, post)
    }
}
