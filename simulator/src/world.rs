//! One history: unrest, rest, everyone leaves, everyone comes back, the server stops.
//!
//! Owns who runs and which fault comes when. The checks at quiet times are made from here.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;

use crate::{
    Sabotage, Summary,
    dice::Dice,
    hostile::Hostile,
    judge::Judge,
    net::{Actor, Net, Side},
    people::{self, Person},
    plan::Plan,
    rig::{Ending, Habits, Rig, Room, Wish},
    server::{Errand, Server},
    store::Moods,
    trace::Trace,
};

/// More than any history needs.
const STEPS_MAX: u64 = 2_000_000;
/// Between two looks of the director.
const TICK_MS: u64 = 500;
/// For every dead connection to be found on both sides, whatever its clocks' speed.
const REST_MS: u64 = 130_000;
/// The longest that a command may wait for its answer.
const COMMAND_MAX_MS: u64 = 200_000;

pub(crate) struct World {
    plan: Plan,
    pub(crate) net: Net,
    server: Server,
    pub(crate) judge: Judge,
    people: Vec<Person>,
    rigs: BTreeMap<u32, Rig>,
    hostiles: BTreeMap<u32, Hostile>,
    hostiles_to_come: Vec<u32>,
    last_id: u32,
    logins: u64,
    phase: Phase,
    chaos_done: usize,
    account_missing: bool,
    sabotage: Option<Sabotage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Chaos {
        until_ms: u64,
    },
    /// Nothing new happens; then everybody asks who is there.
    Resting {
        until_ms: u64,
    },
    RestAsked {
        until_ms: u64,
    },
    Leaving {
        until_ms: u64,
    },
    /// Everyone logs in again and gets what waited.
    Back {
        until_ms: u64,
    },
    BackAsked {
        until_ms: u64,
    },
    /// Some leave, and the others notice.
    Parting {
        until_ms: u64,
        asked: bool,
    },
    Stopping {
        until_ms: u64,
    },
    Over,
}

impl World {
    pub(crate) fn new(seed: u64, print: bool, sabotage: Option<Sabotage>) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw(&mut dice);
        let mut net = Net::new(dice, Trace::new(print), plan.weather);
        net.note(format_args!("{plan:?}"));
        let people = people::people(plan.people);
        let credentials = people::credentials(&people, plan.plain_password, None);
        let mut server = Server::new(&plan, &mut net, credentials, sabotage);
        if let Some(last) = people.last().filter(|_| plan.removal) {
            server.do_not_judge(&last.name);
        }
        let mut world = Self {
            judge: Judge::new(&people),
            server,
            people,
            rigs: BTreeMap::new(),
            hostiles: BTreeMap::new(),
            hostiles_to_come: Vec::new(),
            last_id: 0,
            logins: 0,
            phase: Phase::Over,
            chaos_done: 0,
            account_missing: false,
            sabotage,
            net,
            plan,
        };
        world.start_chaos();
        world
    }

    /// Lives through it.
    pub(crate) fn run(&mut self) {
        while self.phase != Phase::Over && self.judge.failure().is_none() {
            let Some(actor) = self.net.next() else {
                return self.judge.fail("nobody has anything to do any more".to_owned());
            };
            if self.net.step > STEPS_MAX {
                return self.judge.fail("the history has no end".to_owned());
            }
            match actor {
                Actor::Server => self.server.turn(&mut self.net, &mut self.judge),
                Actor::Rig(id) => self.turn_rig(id),
                Actor::Hostile(id) => self.turn_hostile(id),
                Actor::Person(index) => self.turn_person(index),
                Actor::Faults => self.turn_faults(),
                Actor::Director => self.direct(),
            }
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            hash: self.net.trace.hash(),
            steps: self.net.step,
            virtual_ms: self.net.now_ms,
            clients: self.logins,
            shown: self.judge.shown_count,
            confirmed: self.judge.confirmed_count,
            crashes: self.server.crashes,
            peak_waiting_len: self.server.peak_waiting_len,
        }
    }

    fn is_calm(&self) -> bool {
        !matches!(self.phase, Phase::Chaos { .. })
    }

    fn turn_rig(&mut self, id: u32) {
        match self.with_rig(id, Rig::turn) {
            Some(Wish::Connected(cable)) => {
                let person = self.rigs.get(&id).map_or(0, |rig| rig.person);
                let at_ms = self.net.now_ms + self.net.delay_ms();
                let peer = self.address(person);
                self.server.expect(&mut self.net, at_ms, cable, peer);
            }
            Some(Wish::Gone) => self.bury(id),
            Some(Wish::None) | None => {}
        }
    }

    fn bury(&mut self, id: u32) {
        if let Some(rig) = self.rigs.remove(&id) {
            let pause_ms = self.net.dice.between(0, 6_000);
            self.net.wake(self.net.now_ms + pause_ms, Actor::Person(rig.person));
        }
    }

    fn with_rig<T>(&mut self, id: u32, act: impl FnOnce(&mut Rig, &mut Room<'_>) -> T) -> Option<T> {
        let is_calm = self.is_calm();
        let Self { net, judge, people, plan, rigs, sabotage, .. } = self;
        let refusals = if is_calm { 0 } else { 60 };
        let mut room = Room {
            net,
            judge,
            people,
            text_len_max: plan.text_len_max,
            refusals,
            is_calm,
            sabotage: *sabotage,
        };
        Some(act(rigs.get_mut(&id)?, &mut room))
    }

    fn each_rig(&mut self, mut act: impl FnMut(&mut Rig, &mut Room<'_>)) {
        for id in self.rigs.keys().copied().collect::<Vec<_>>() {
            self.with_rig(id, &mut act);
        }
    }

    fn start_rig(&mut self, person: usize, habits: Habits, wrong_passwords: u64) {
        self.last_id += 1;
        self.logins += 1;
        let id = self.last_id;
        let is_calm = self.is_calm();
        let Self { net, judge, people, plan, rigs, sabotage, .. } = self;
        let text_len_max = plan.text_len_max;
        let mut room = Room { net, judge, people, text_len_max, refusals: 0, is_calm, sabotage: *sabotage };
        if let Some(rig) = Rig::start((id, person), &mut room, plan.drifting_clocks, habits, wrong_passwords)
        {
            rigs.insert(id, rig);
        }
    }

    fn start_restless(&mut self, person: usize) {
        let ending = match self.net.dice.below(6) {
            0 | 1 => Ending::Logout,
            2 | 3 => Ending::EndOfInput,
            4 => Ending::Interrupt,
            _ => Ending::Idle,
        };
        let wrong = if self.net.dice.chance(150) { self.net.dice.below(4) } else { 0 };
        self.start_rig(person, Habits::Restless { pause_max_ms: self.plan.pause_max_ms, ending }, wrong);
    }

    fn address(&self, person: usize) -> IpAddr {
        let host = if self.plan.crowded { 1 } else { u8::try_from(person).unwrap_or(0) };
        if self.plan.loopback { Ipv4Addr::LOCALHOST.into() } else { Ipv4Addr::new(10, 0, 0, host).into() }
    }

    fn turn_person(&mut self, index: usize) {
        if self.people.get(index).is_none_or(|person| person.rigs > 0) {
            return;
        }
        match self.phase {
            Phase::Chaos { .. } => self.start_restless(index),
            Phase::Back { .. } => {
                self.start_rig(index, Habits::Quiet { pause_ms: 3_000 }, 0);
            }
            _ => {}
        }
    }

    fn turn_hostile(&mut self, id: u32) {
        let is_calm = self.is_calm();
        let victims: Vec<_> = self.people.iter().map(|person| person.name.clone()).collect();
        if let Some(at) = self.hostiles_to_come.iter().position(|&coming| coming == id) {
            if is_calm {
                return;
            }
            self.hostiles_to_come.swap_remove(at);
            let (hostile, cable) = Hostile::start(id, &mut self.net, &victims);
            self.hostiles.insert(id, hostile);
            // It may sit next to one of the people.
            let person = self.net.dice.size(0, self.plan.people);
            let at_ms = self.net.now_ms + self.net.delay_ms();
            let peer = self.address(person);
            self.server.expect(&mut self.net, at_ms, cable, peer);
        } else if let Some(hostile) = self.hostiles.get_mut(&id)
            && !hostile.turn(&mut self.net, &victims, is_calm)
        {
            self.hostiles.remove(&id);
        }
    }

    fn turn_faults(&mut self) {
        let Some(pause_max_ms) = self.plan.fault_pause_max_ms.filter(|_| !self.is_calm()) else { return };
        let next_ms = self.net.now_ms + self.net.dice.between(10, pause_max_ms);
        self.net.wake(next_ms, Actor::Faults);
        let cables = self.net.cable_ids();
        let cable = self.net.dice.pick(&cables).copied().unwrap_or_default();
        let rigs: Vec<u32> = self.rigs.keys().copied().collect();
        let rig = self.net.dice.pick(&rigs).copied().unwrap_or_default();
        match self.net.dice.below(22) {
            0..6 => {
                let reader = if self.net.dice.chance(500) { Side::Client } else { Side::Server };
                let span_ms = self.net.dice.skewed(100, 20_000);
                self.net
                    .note(format_args!("fault: cable {cable} stalls towards {reader:?} for {span_ms} ms"));
                self.net.stall(cable, reader, span_ms);
            }
            6 | 7 => {
                self.net.note(format_args!("fault: cable {cable} swallows everything"));
                self.net.swallow(cable);
            }
            8 | 9 => {
                self.net.note(format_args!("fault: cable {cable} breaks"));
                self.net.cut_through(cable);
            }
            10 => {
                let jump_ms = self.net.dice.skewed(0, 1 << 41);
                let sign = if self.net.dice.chance(500) { 1 } else { -1 };
                let jump_ms = i64::try_from(jump_ms).unwrap_or(0) * sign;
                self.net.note(format_args!("fault: wall clocks jump by {jump_ms} ms"));
                self.server.machine.set_wall(jump_ms);
                self.with_rig(rig, |rig, _| rig.machine.set_wall(-jump_ms));
            }
            11 => {
                let span_ms = self.net.dice.skewed(100, 3_600_000);
                self.net.note(format_args!("fault: the server sleeps for {span_ms} ms"));
                self.server.suspend(&mut self.net, span_ms);
            }
            12 => {
                let span_ms = self.net.dice.skewed(100, 3_600_000);
                self.net.note(format_args!("fault: client {rig} sleeps for {span_ms} ms"));
                self.with_rig(rig, |rig, _| rig.machine.suspend(span_ms));
                self.net.wake(self.net.now_ms, Actor::Rig(rig));
            }
            13..16 => {
                let cleanly = self.net.dice.chance(400);
                if self.with_rig(rig, |rig, room| rig.crash(room, cleanly)).is_some() {
                    self.bury(rig);
                }
            }
            16..18 => {
                let person = self.net.dice.size(0, self.plan.people - 1);
                if self.people.get(person).is_some_and(|person| (1..3).contains(&person.rigs)) {
                    self.start_restless(person);
                }
            }
            18 => {
                self.with_rig(rig, Rig::interrupt);
            }
            19 | 20 => self.server.crash_soon(&mut self.net),
            _ => self.change_accounts(!self.account_missing),
        }
    }

    /// The last person loses his account, or gets it back.
    fn change_accounts(&mut self, missing: bool) {
        let Some(last) = self.people.last().map(|person| person.name.clone()) else { return };
        if self.plan.removal && missing != self.account_missing {
            self.account_missing = missing;
            let without = Some(&last).filter(|_| missing);
            let credentials = people::credentials(&self.people, self.plan.plain_password, without);
            self.server.run_errand(&mut self.net, Errand::Accounts(credentials, last));
        }
    }

    fn start_chaos(&mut self) {
        let Some(&span_ms) = self.plan.chaos_ms.get(self.chaos_done) else { return };
        self.chaos_done += 1;
        self.set_phase(Phase::Chaos { until_ms: self.net.now_ms + span_ms });
        self.net.weather = self.plan.weather;
        self.server.store.moods = self.plan.moods;
        for index in 0..self.people.len() {
            let at_ms = self.net.now_ms + self.net.dice.skewed(0, 5_000);
            self.net.wake(at_ms, Actor::Person(index));
        }
        for _ in 0..self.plan.hostiles {
            self.last_id += 1;
            self.hostiles_to_come.push(self.last_id);
            let at_ms = self.net.now_ms + self.net.dice.below(span_ms);
            self.net.wake(at_ms, Actor::Hostile(self.last_id));
        }
        let habits = Habits::Restless { pause_max_ms: self.plan.pause_max_ms, ending: Ending::Logout };
        self.each_rig(|rig, room| rig.set_habits(room.net, habits));
        self.net.wake(self.net.now_ms + 500, Actor::Faults);
        self.net.wake(self.net.now_ms, Actor::Director);
    }

    /// Every fault stops. What is broken stays broken until it is found.
    fn calm_down(&mut self) {
        self.net.weather.delay_max_ms = self.net.weather.delay_max_ms.min(20);
        self.net.weather.capacity = 64 * 1024;
        self.server.store.moods = Moods { delay_max_ms: 10, commit_fails: 0, load_fails: 0 };
        self.server.calm_down();
        self.net.heal();
        for id in self.hostiles.keys().copied().collect::<Vec<_>>() {
            self.net.wake(self.net.now_ms, Actor::Hostile(id));
        }
        self.change_accounts(false);
    }

    fn set_phase(&mut self, phase: Phase) {
        self.net.note(format_args!("director: {phase:?}"));
        self.phase = phase;
    }

    fn direct(&mut self) {
        let now_ms = self.net.now_ms;
        self.net.wake(now_ms + TICK_MS, Actor::Director);
        if let Some((id, _)) =
            self.rigs.iter().find(|(_, rig)| rig.diary.is_overdue(now_ms.saturating_sub(COMMAND_MAX_MS)))
        {
            self.judge.fail(format!("a command of client {id} does not end"));
        }
        match self.phase {
            Phase::Chaos { until_ms } if until_ms <= now_ms => {
                if self.plan.sudden_stop {
                    self.stop();
                } else if self.chaos_done < self.plan.chaos_ms.len() {
                    self.set_phase(Phase::Resting { until_ms: now_ms + REST_MS });
                    self.calm_down();
                } else {
                    self.set_phase(Phase::Leaving { until_ms: now_ms + 2 * REST_MS });
                    self.calm_down();
                    self.each_rig(Rig::end_input);
                }
            }
            Phase::Resting { until_ms } if until_ms <= now_ms => {
                self.set_phase(Phase::RestAsked { until_ms: now_ms + 10_000 });
                self.ask_all();
            }
            Phase::RestAsked { until_ms } if until_ms <= now_ms => {
                self.check_views();
                self.start_chaos();
            }
            Phase::Leaving { until_ms } => self.see_leaving(until_ms <= now_ms),
            Phase::Back { until_ms } => self.see_back(until_ms <= now_ms),
            Phase::BackAsked { until_ms } if until_ms <= now_ms => {
                self.check_views();
                self.set_phase(Phase::Parting { until_ms: now_ms + 5_000, asked: false });
                self.each_rig(|rig, room| {
                    if rig.person % 2 == 0 {
                        rig.end_input(room);
                    }
                });
            }
            Phase::Parting { until_ms, asked: false } if until_ms <= now_ms => {
                self.set_phase(Phase::Parting { until_ms: now_ms + 5_000, asked: true });
                self.ask_all();
            }
            Phase::Parting { until_ms, asked: true } if until_ms <= now_ms => {
                self.check_views();
                self.stop();
            }
            Phase::Stopping { until_ms } => self.see_stopping(until_ms <= now_ms),
            _ => {}
        }
    }

    fn see_leaving(&mut self, too_late: bool) {
        let connections = self.server.connections_count();
        if self.rigs.is_empty() && self.hostiles.is_empty() && connections == 0 && self.server.store.is_idle()
        {
            if self.server.waiting_len() > 0 || self.server.online_count() > 0 {
                self.judge
                    .fail("everyone has left, but something still waits or somebody is online".to_owned());
            }
            self.set_phase(Phase::Back { until_ms: self.net.now_ms + 2 * REST_MS });
            for index in 0..self.people.len() {
                let at_ms = self.net.now_ms + self.net.dice.skewed(0, 5_000);
                self.net.wake(at_ms, Actor::Person(index));
            }
        } else if too_late {
            let clients = self.rigs.len();
            self.judge.fail(format!("{clients} clients and {connections} connections do not go away"));
        }
    }

    fn see_back(&mut self, too_late: bool) {
        let online = self.rigs.values().filter(|rig| rig.is_online()).count();
        let settled = online == self.people.len()
            && self.server.store.is_idle()
            && self.server.waiting_len() == 0
            && self.server.store.messages_count() == 0
            && self.judge.find_lost(None).is_none();
        if settled || too_late {
            if online < self.people.len() {
                self.judge.fail(format!("only {online} of {} could log in again", self.people.len()));
            }
            self.judge.check_confirmed(None);
            if self.plan.moods.commit_fails == 0 && self.server.store.messages_count() > 0 {
                self.judge.fail("messages stay in the store although everybody was there".to_owned());
            }
            self.set_phase(Phase::BackAsked { until_ms: self.net.now_ms + 5_000 });
            self.ask_all();
        }
    }

    fn stop(&mut self) {
        if !self.plan.sudden_stop || self.net.dice.chance(500) {
            self.calm_down();
        }
        self.set_phase(Phase::Stopping { until_ms: self.net.now_ms + 60_000 });
        self.server.run_errand(&mut self.net, Errand::Shutdown);
    }

    fn see_stopping(&mut self, too_late: bool) {
        if !self.server.stopped {
            if too_late {
                self.judge.fail("the server does not stop".to_owned());
            }
            return;
        }
        if self.server.waiting_len() > 0 {
            self.judge.fail("the hub has stopped, but something still waits".to_owned());
        }
        self.calm_down();
        self.net.wake(self.net.now_ms, Actor::Server);
        if self.rigs.is_empty() {
            self.judge.check_confirmed(Some(&self.server.store));
            self.set_phase(Phase::Over);
        } else {
            self.each_rig(Rig::end_input);
        }
    }

    fn ask_all(&mut self) {
        self.each_rig(|rig, room| {
            rig.diary.blocklist = None;
            rig.ask(room, &["whoelse", "blocklist"]);
        });
    }

    /// At a quiet time: what clients believe is what the server knows, and what is in force is what is durable.
    fn check_views(&mut self) {
        for (id, rig) in self.rigs.iter().filter(|(_, rig)| rig.is_online()) {
            if let Err(wrong) = rig.diary.check_presence() {
                self.judge.fail(format!("client {id}: {wrong}"));
            }
            let Some(person) = self.people.get(rig.person) else { continue };
            let durable = self.server.store.blocklist(&person.name);
            if let Some(list) = rig.diary.blocklist.as_ref().filter(|list| **list != durable) {
                self.judge
                    .fail(format!("client {id}: {} blocks {list:?}, but durably {durable:?}", person.name));
            }
        }
    }
}
