//! The server's machine: the hub, and a shell around it that does what the real one does, on cables.
//!
//! Owns slots, generations and turns, and the checks that can be made from here. Must not know clients.

mod restart;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use core::net::IpAddr;
use protocol::{
    Username,
    scram::{Iterations, Verifier},
    time::{MonoMs, Now},
};
use server::hub::{ConnId, Credential, Effect, Hub, Input, Lane, Limits, Password};

use crate::{
    Sabotage,
    hostile::TEXT_LEN_MAX as HOSTILE_TEXT_LEN_MAX,
    judge::Judge,
    machine::Machine,
    net::{Actor, CableId, Net, Read, Side, Written},
    plan::Plan,
    store::{Answer, Job, Store},
    tap::{LockOuts, Tap},
};

/// Turns in a row, without the clock moving on or anything happening, after which the hub is said to spin.
const IDLE_TURNS_MAX: u32 = 1_000;
/// What a connection's death may be noticed late, beyond the limits: turns are not taken to the millisecond.
const LATENESS_MS: u64 = 500;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one server")]
pub(crate) struct Server {
    hub: Hub,
    credentials: BTreeMap<Username, Credential>,
    /// So many more writes to connections, and it crashes.
    crash_in: Option<u64>,
    /// It has crashed, and starts again then.
    down_until_ms: Option<u64>,
    pub(crate) crashes: u64,
    /// Of the last turn.
    turned_at: Now,
    /// Every commit has worked so far.
    never_failed: bool,
    /// Everything was durable when it crashed.
    written_at_crash: bool,
    limits: Limits,
    /// The longest frame of this history.
    frame_len_max: usize,
    pub(crate) machine: Machine,
    pub(crate) store: Store,
    slots: Vec<Slot>,
    /// Connections on their way in.
    accepting: VecDeque<(u64, CableId, IpAddr)>,
    /// Connections that take no more for now.
    full: BTreeSet<ConnId>,
    /// Connections that have more after a turn's budget.
    unfinished: BTreeSet<ConnId>,
    taps: BTreeMap<ConnId, Tap>,
    lock_outs: LockOuts,
    /// Whose log-ins are not judged in the order in which they come.
    unjudged: Vec<String>,
    jobs: VecDeque<(u64, Derivation)>,
    inputs: VecDeque<Errand>,
    /// When the machine's clocks last jumped.
    jumped_at: MonoMs,
    idle_turns: u32,
    last_turn_ms: u64,
    progress: bool,
    pub(crate) stopped: bool,
    pub(crate) peak_waiting_len: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    cable: Option<CableId>,
    reading: bool,
    closed: bool,
    /// It may have been dead before: it waited to be accepted.
    opened_at: MonoMs,
}

#[derive(Debug)]
struct Derivation {
    name: Arc<str>,
    job: u64,
    password: Password,
    salt: Vec<u8>,
    iterations: Iterations,
}

/// What the operator wants.
#[derive(Debug)]
pub(crate) enum Errand {
    Accounts(BTreeMap<Username, Credential>, Username),
    Shutdown,
}

impl Server {
    pub(crate) fn new(
        plan: &Plan,
        net: &mut Net,
        credentials: BTreeMap<Username, Credential>,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let machine = Machine::new(&mut net.dice, plan.drifting_clocks);
        let now = machine.now(0);
        let with_plain = |(name, credential): (&Username, &Credential)| {
            matches!(credential, Credential::Plain(_)).then(|| name.to_string())
        };
        let mut limits = plan.limits.clone();
        if sabotage == Some(Sabotage::TimersSleep) {
            limits.timers_per_turn_max = 0;
        }
        let store = Store::new(plan.moods, sabotage, net.dice.seed());
        let recovered = store.recovered(now.wall);
        Self {
            unjudged: credentials.iter().filter_map(with_plain).collect(),
            hub: Hub::recover(limits.clone(), credentials.clone(), recovered, net.dice.seed(), now),
            credentials,
            crash_in: None,
            down_until_ms: None,
            crashes: 0,
            turned_at: now,
            never_failed: true,
            written_at_crash: false,
            limits,
            frame_len_max: plan.text_len_max.max(HOSTILE_TEXT_LEN_MAX) + 512,
            machine,
            store,
            slots: Vec::new(),
            accepting: VecDeque::new(),
            full: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            taps: BTreeMap::new(),
            lock_outs: LockOuts::default(),
            jobs: VecDeque::new(),
            inputs: VecDeque::new(),
            jumped_at: MonoMs(0),
            idle_turns: 0,
            last_turn_ms: 0,
            progress: false,
            stopped: false,
            peak_waiting_len: 0,
        }
    }

    /// Whose account comes and goes: what is counted for him then is not checked.
    pub(crate) fn do_not_judge(&mut self, name: &Username) {
        self.unjudged.push(name.to_string());
    }

    /// A connection arrives at that time.
    pub(crate) fn expect(&mut self, net: &mut Net, at_ms: u64, cable: CableId, peer: IpAddr) {
        self.accepting.push_back((at_ms, cable, peer));
        net.wake(at_ms, Actor::Server);
    }

    pub(crate) fn run_errand(&mut self, net: &mut Net, errand: Errand) {
        self.inputs.push_back(errand);
        net.wake(net.now_ms, Actor::Server);
    }

    /// The machine slept for a time, and all that was due meanwhile is due at once.
    pub(crate) fn suspend(&mut self, net: &mut Net, span_ms: u64) {
        self.machine.suspend(span_ms);
        self.jumped_at = self.machine.now(net.now_ms).mono;
        net.wake(net.now_ms, Actor::Server);
    }

    pub(crate) fn online_count(&self) -> usize {
        if self.down_until_ms.is_some() { 0 } else { self.hub.online_count() }
    }

    pub(crate) fn waiting_len(&self) -> usize {
        if self.down_until_ms.is_some() { 0 } else { self.hub.waiting_len() }
    }

    pub(crate) fn connections_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.cable.is_some()).count() + self.accepting.len()
    }

    /// One turn of the loop.
    pub(crate) fn turn(&mut self, net: &mut Net, judge: &mut Judge) {
        if self.stopped {
            return self.refuse_all(net);
        }
        let now = self.machine.now(net.now_ms);
        if let Some(until_ms) = self.down_until_ms {
            if net.now_ms < until_ms {
                net.wake(until_ms, Actor::Server);
                return self.refuse_all(net);
            }
            self.restart(net, judge, now);
        }
        self.progress = false;
        self.take_errands(net, now);
        self.accept(net, now);
        self.read(net, judge, now);
        self.take_answers(net, judge, now);
        self.hub.handle_timeout(now);
        self.look_for_verdicts(judge, now);
        self.carry_out(net, judge);
        self.look_for_verdicts(judge, now);
        self.check_memory(judge);
        self.write(net, judge, now);
        self.turned_at = now;
        if self.crash_in == Some(0) && !self.stopped {
            return self.crash(net, judge);
        }
        self.free();
        self.check_connections(net, judge, now);
        self.check_memory(judge);
        self.plan_next_turn(net, judge, now);
    }

    fn take_errands(&mut self, net: &mut Net, now: Now) {
        while let Some(errand) = self.inputs.pop_front() {
            self.progress = true;
            match errand {
                Errand::Accounts(credentials, changed) => {
                    net.note(format_args!("server: accounts read again, {changed} changed"));
                    self.lock_outs.forget(&changed);
                    self.credentials.clone_from(&credentials);
                    self.hub.handle_input(now, Input::Accounts(credentials));
                }
                Errand::Shutdown => {
                    net.note(format_args!("server: shutdown"));
                    self.crash_in = None;
                    self.hub.handle_input(now, Input::Shutdown);
                }
            }
        }
    }

    fn accept(&mut self, net: &mut Net, now: Now) {
        let due = |&(at_ms, _, _): &(u64, CableId, IpAddr)| at_ms <= net.now_ms;
        let (arrived, coming): (Vec<_>, Vec<_>) = self.accepting.drain(..).partition(due);
        self.accepting = coming.into();
        for (_, cable, peer) in arrived {
            // A freed slot is used again at once, so that whatever was meant for its last user would hit the next.
            let index = match self.slots.iter().position(|slot| slot.cable.is_none()) {
                Some(index) => index,
                None => self.slots.len(),
            };
            if index == self.slots.len() {
                self.slots.push(Slot::default());
            }
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let generation = slot.generation;
            *slot =
                Slot { generation, cable: Some(cable), reading: true, closed: false, opened_at: now.mono };
            let conn = ConnId { index: u32::try_from(index).unwrap_or(u32::MAX), generation };
            net.note(format_args!("server: accepts cable {cable} as {}.{}", conn.index, conn.generation));
            self.taps.insert(conn, Tap::new());
            self.progress = true;
            self.hub.handle_input(now, Input::Opened { conn, peer });
        }
    }

    fn read(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get(index).filter(|slot| slot.reading && !slot.closed) else {
                continue;
            };
            let Some(cable) = slot.cable else { continue };
            let conn =
                ConnId { index: u32::try_from(index).unwrap_or(u32::MAX), generation: slot.generation };
            match net.read(cable, Side::Server, 64 * 1024) {
                Read::Nothing => {}
                Read::Bytes(bytes) => {
                    self.progress = true;
                    net.note(format_args!(
                        "server: {}.{} brings {} bytes",
                        conn.index,
                        conn.generation,
                        bytes.len()
                    ));
                    if let Some(tap) = self.taps.get_mut(&conn) {
                        tap.received(&bytes);
                    }
                    self.hub.handle_input(now, Input::Received { conn, bytes: &bytes });
                    self.look_for_verdict(judge, now, conn);
                }
                Read::Ended => {
                    self.progress = true;
                    net.note(format_args!("server: {}.{} is gone", conn.index, conn.generation));
                    self.hub.handle_input(now, Input::Closed { conn });
                }
            }
            if conn.generation > 0 && net.dice.chance(20) {
                self.disturb(conn, now);
            }
        }
    }

    /// Events for the last user of a slot, which must hit nobody.
    fn disturb(&mut self, conn: ConnId, now: Now) {
        let stale = ConnId { generation: conn.generation - 1, ..conn };
        self.hub.handle_input(now, Input::Received { conn: stale, bytes: b"\0\0\0\x04ping" });
        self.hub.handle_input(now, Input::Sent { conn: stale, len: 7 });
        self.hub.handle_input(now, Input::Loaded { conn: stale, page: None });
        self.hub.handle_input(now, Input::Closed { conn: stale });
    }

    fn take_answers(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        while let Some(answer) = self.store.finished(net.now_ms, &mut net.dice) {
            self.progress = true;
            match answer {
                Answer::Committed { batch, durable } => {
                    net.note(format_args!("store: batch {batch} durable: {durable}"));
                    self.never_failed &= durable;
                    self.hub.handle_input(now, Input::Committed { batch, durable });
                }
                Answer::Loaded { conn, user, page } => {
                    let count = page.as_ref().map(|page| (page.messages.len(), page.more));
                    net.note(format_args!("store: loaded for {user}: {count:?}"));
                    if page.is_none() {
                        judge.load_failed(&user);
                    }
                    self.hub.handle_input(now, Input::Loaded { conn, page });
                }
            }
        }
        while self.jobs.front().is_some_and(|&(at_ms, _)| at_ms <= net.now_ms) {
            let Some((_, job)) = self.jobs.pop_front() else { return };
            self.progress = true;
            let verifier = Verifier::derive(job.password.expose(), &job.salt, job.iterations);
            self.hub.handle_input(now, Input::Derived { name: job.name, job: job.job, verifier });
        }
    }

    fn carry_out(&mut self, net: &mut Net, judge: &mut Judge) {
        while let Some(effect) = self.hub.poll_output() {
            self.progress = true;
            match effect {
                Effect::Read { conn, wanted } => {
                    if let Some(slot) = self.slot_mut(conn) {
                        slot.reading = wanted;
                    }
                }
                Effect::EndWriting { conn } => {
                    if let Some(cable) = self.slot_mut(conn).and_then(|slot| slot.cable) {
                        net.end_writing(cable, Side::Server);
                    }
                }
                Effect::Close { conn } => {
                    net.note(format_args!("hub: closes {}.{}", conn.index, conn.generation));
                    if let Some(slot) = self.slot_mut(conn) {
                        slot.closed = true;
                        if let Some(cable) = slot.cable {
                            net.close(cable, Side::Server);
                        }
                    }
                    self.taps.remove(&conn);
                }
                Effect::Derive { name, job, password, salt, iterations } => {
                    let done_ms = net.now_ms + net.dice.between(20, 300);
                    self.jobs.push_back((done_ms, Derivation { name, job, password, salt, iterations }));
                    net.wake(done_ms, Actor::Server);
                }
                Effect::Commit { batch, operations } => {
                    net.note(format_args!("hub: commits batch {batch}: {operations:?}"));
                    self.start(net, Job::Commit { batch, operations });
                }
                Effect::Load { conn, user, after, len_max } => {
                    net.note(format_args!("hub: loads for {user} behind {}", after.0));
                    self.start(net, Job::Load { conn, user, after, len_max });
                }
                Effect::Stopped => {
                    net.note(format_args!("hub: stopped"));
                    if self.stopped {
                        judge.fail("the hub stopped twice".to_owned());
                    }
                    self.stopped = true;
                    net.wake(net.now_ms, Actor::Server);
                }
            }
        }
    }

    fn start(&mut self, net: &mut Net, job: Job) {
        let done_ms = self.store.start(net.now_ms, &mut net.dice, job);
        net.wake(done_ms, Actor::Server);
    }

    /// First those that were full, then answers, then a slice of what is for everyone, then answers again.
    fn write(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        let mut again = std::mem::take(&mut self.unfinished);
        again.append(&mut self.full);
        for conn in again {
            self.flush(net, judge, now, conn);
        }
        self.flush_direct(net, judge, now);
        for _ in 0..net.dice.skewed(1, 64) {
            let Some(conn) = self.hub.next_dirty(Lane::Bulk) else { break };
            self.flush(net, judge, now, conn);
        }
        self.flush_direct(net, judge, now);
    }

    fn flush_direct(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        loop {
            self.carry_out(net, judge);
            let Some(mut conn) = self.hub.next_dirty(Lane::Direct) else { return };
            loop {
                self.flush(net, judge, now, conn);
                match self.hub.next_dirty(Lane::Direct) {
                    Some(another) => conn = another,
                    None => break,
                }
            }
        }
    }

    fn flush(&mut self, net: &mut Net, judge: &mut Judge, now: Now, conn: ConnId) {
        let Some(cable) = self.slot_mut(conn).and_then(|slot| slot.cable) else { return };
        let gather_len_max = net.dice.skewed_size(1, 64 * 1024);
        for _ in 0..4 {
            let mut bytes = Vec::new();
            self.hub.gather(conn, &mut bytes, gather_len_max);
            // A process that is dead writes no more, though its turn goes on for us.
            if bytes.is_empty() || self.crash_in == Some(0) {
                return;
            }
            match net.write(cable, Side::Server, &bytes) {
                Written::Took(len) => {
                    self.progress = true;
                    self.crash_in = self.crash_in.map(|writes| writes.saturating_sub(1));
                    let taken = bytes.get(..len).unwrap_or_default();
                    if let Some(Err(wrong)) = self.taps.get_mut(&conn).map(|tap| tap.sent(taken)) {
                        judge.fail(format!("on {}.{}: {wrong}", conn.index, conn.generation));
                    }
                    self.hub.handle_input(now, Input::Sent { conn, len });
                }
                Written::Full => {
                    self.full.insert(conn);
                    return;
                }
                Written::Broken => {
                    self.progress = true;
                    self.hub.handle_input(now, Input::Closed { conn });
                    return;
                }
            }
        }
        self.unfinished.insert(conn);
    }

    fn free(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.closed) {
            *slot = Slot { generation: slot.generation + 1, ..Slot::default() };
        }
    }

    fn plan_next_turn(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        let moved_on = self.last_turn_ms != net.now_ms;
        self.idle_turns = if self.progress || moved_on { 0 } else { self.idle_turns + 1 };
        self.last_turn_ms = net.now_ms;
        if self.idle_turns > IDLE_TURNS_MAX {
            let timer = self.hub.poll_timeout();
            judge.fail(format!("the hub spins: at {:?} its next timer is {timer:?}", now.mono));
            return;
        }
        let readable = self
            .slots
            .iter()
            .any(|slot| slot.reading && slot.cable.is_some_and(|cable| net.is_readable(cable, Side::Server)));
        if readable || self.hub.is_dirty() || !self.unfinished.is_empty() {
            // Time passes even for a busy server, or nobody else would ever get a turn.
            let pause_ms = u64::from(net.dice.chance(100));
            net.wake(net.now_ms + pause_ms, Actor::Server);
        }
        if let Some(deadline) = self.hub.poll_timeout() {
            let lateness_ms = if net.dice.chance(100) { net.dice.below(50) } else { 0 };
            net.wake(self.machine.world_ms(deadline).max(net.now_ms) + lateness_ms, Actor::Server);
        }
    }

    fn look_for_verdicts(&mut self, judge: &mut Judge, now: Now) {
        let open: Vec<ConnId> =
            self.taps.iter().filter(|(_, tap)| tap.awaits_verdict()).map(|(&conn, _)| conn).collect();
        // In which order the hub judged those it had put off cannot be told.
        let proven = self.taps.values().filter(|tap| tap.is_proven()).filter_map(Tap::name);
        let mut names = BTreeSet::new();
        let several: Vec<String> = proven.filter(|&name| !names.insert(name)).map(str::to_owned).collect();
        self.unjudged.extend(several);
        for conn in open {
            self.look_for_verdict(judge, now, conn);
        }
    }

    fn look_for_verdict(&mut self, judge: &mut Judge, now: Now, conn: ConnId) {
        let Some(tap) = self.taps.get_mut(&conn).filter(|tap| tap.awaits_verdict()) else { return };
        let name = tap.name().unwrap_or_default();
        // What of a name without an account survived a crash cannot be told from its tag.
        let is_ghost = !judge.is_known(name) && (self.limits.ghosts_max < 100 || self.crashes > 0);
        if is_ghost || self.unjudged.iter().any(|unjudged| unjudged == name) {
            return;
        }
        let mut waiting = Vec::new();
        self.hub.gather(conn, &mut waiting, usize::MAX);
        let may_be_put_off = self.hub.poll_timeout().is_some_and(|due| due <= now.mono);
        if may_be_put_off && tap.is_proven() && tap.is_silent(&waiting) {
            return;
        }
        if let Err(wrong) = self.lock_outs.look(now.mono, self.limits.lock_out, tap, &waiting) {
            judge.fail(wrong);
        }
    }

    /// The limits hold, but for the one frame with which they are found to be passed, and goodbyes.
    fn check_memory(&mut self, judge: &mut Judge) {
        let mut total = 0;
        for &conn in self.taps.keys() {
            let len = self.hub.waiting_len_of(conn);
            total += len;
            if len > self.limits.outbox_len_hard + self.frame_len_max {
                judge.fail(format!("{len} bytes wait for {}.{}", conn.index, conn.generation));
            }
        }
        if total != self.hub.waiting_len() {
            judge.fail(format!("{total} bytes wait, but the hub counts {}", self.hub.waiting_len()));
        }
        if total > self.limits.outboxes_len_max + self.frame_len_max {
            judge.fail(format!("{total} bytes wait for all together"));
        }
        self.peak_waiting_len = self.peak_waiting_len.max(total);
    }

    /// A connection from which nothing can come any more is found and closed in time.
    fn check_connections(&self, net: &Net, judge: &mut Judge, now: Now) {
        let Limits { keep_alive, keep_alive_answer, login_deadline, linger, probe_answer, .. } = self.limits;
        let patience = (keep_alive + keep_alive_answer).max(login_deadline + probe_answer) + linger;
        for (conn, slot) in (0..).zip(&self.slots) {
            let Some(since_ms) = slot.cable.and_then(|cable| net.hole_since_ms(cable)) else { continue };
            let since = self.machine.now(since_ms).mono.max(self.jumped_at).max(slot.opened_at);
            let late_at = since.after(patience).0 + LATENESS_MS;
            if now.mono.0 > late_at && self.jumped_at != now.mono {
                judge.fail(format!("connection {conn}.{} is dead and not found", slot.generation));
            }
        }
    }

    /// Nobody listens any more.
    fn refuse_all(&mut self, net: &mut Net) {
        for (_, cable, _) in std::mem::take(&mut self.accepting) {
            net.close(cable, Side::Server);
        }
    }

    fn slot_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::try_from(conn.index).ok()?)?;
        (slot.generation == conn.generation && slot.cable.is_some() && !slot.closed).then_some(slot)
    }
}
