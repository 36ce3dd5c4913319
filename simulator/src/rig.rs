//! A client's machine: the core, a shell around it, and a person who types.
//!
//! Owns one client from its start to its exit, also by a crash. Must not know the hub.

use client::core::{Core, Effect, Event, Input, Line, Seen, Setup};
use protocol::Username;

use crate::{
    Sabotage,
    diary::{Diary, News},
    judge::{Judge, Memory, Shown},
    machine::Machine,
    net::{Actor, CableId, Net, Read, Side, Written},
    people::{self, Person},
    script::{self, Author},
};

/// How often a core may ask for its time-out without the clock moving on.
const IDLE_TIMEOUTS_MAX: u32 = 100;
/// How long what waits may take to leave after the exit, like a lingering socket.
const LAST_WORDS_MS: u64 = 3_000;

#[derive(Debug)]
pub(crate) struct Rig {
    id: u32,
    pub(crate) person: usize,
    core: Core,
    pub(crate) machine: Machine,
    memory: Memory,
    pub(crate) diary: Diary,
    pub(crate) cable: Option<CableId>,
    hanging_up: bool,
    /// What a dial will come to, and when.
    dial: Option<(u64, Dialled)>,
    habits: Habits,
    /// What it is given before the commands.
    credentials: Vec<Line>,
    next_line_at_ms: u64,
    commands_left: u64,
    exited_at_ms: Option<u64>,
    crashed: bool,
    idle_timeouts: (u64, u32),
    /// When it was told of a wrong password that another try may follow.
    refused_at_step: Option<u64>,
    shown: Vec<(Username, protocol::MessageId)>,
}

#[derive(Debug)]
enum Dialled {
    Connected,
    Refused,
}

/// What kind of person sits in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habits {
    /// Types this and that, up to some end.
    Restless { pause_max_ms: u64, ending: Ending },
    /// Asks now and then who is there, so as not to be logged out.
    Quiet { pause_ms: u64 },
    /// Types nothing.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Logout,
    EndOfInput,
    Interrupt,
    /// Sits there.
    Idle,
}

/// What a person does with the keyboard.
#[derive(Debug)]
enum Typing {
    Line(Line),
    /// No more lines come.
    End,
}

/// What a turn of a rig asks of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    None,
    /// A new cable to the server is there.
    Connected(CableId),
    /// It is over.
    Gone,
}

/// What a rig touches around it.
pub(crate) struct Room<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) judge: &'a mut Judge,
    pub(crate) people: &'a mut [Person],
    pub(crate) text_len_max: usize,
    /// Of a thousand dials so many fail.
    pub(crate) refusals: u64,
    /// Nobody types by habit.
    pub(crate) is_calm: bool,
    pub(crate) sabotage: Option<Sabotage>,
}

impl Rig {
    pub(crate) fn start(
        (id, person): (u32, usize),
        room: &mut Room<'_>,
        drifting: bool,
        habits: Habits,
        wrong_passwords: u64,
    ) -> Option<Self> {
        let Room { net, people, .. } = room;
        let owner = people.get_mut(person)?;
        owner.rigs += 1;
        let machine = Machine::new(&mut net.dice, drifting);
        let (user, password) = (owner.name.to_string(), people::password(&owner.name));
        let mut setup = Setup::for_key(protocol::Fingerprint([1; 32]));
        // Taken from the end.
        let mut credentials = vec![Line::Text(password.clone())];
        credentials.extend((0..wrong_passwords).map(|n| Line::Text(format!("guess {n}"))));
        match net.dice.below(3) {
            0 if wrong_passwords == 0 => {
                setup = Setup { user: Some(user), password: Some(password), ..setup };
                credentials.clear();
            }
            1 => setup.user = Some(user),
            _ => credentials.push(Line::Text(user)),
        }
        let core = Core::new(setup, net.dice.seed(), machine.now(net.now_ms));
        net.note(format_args!("client {id}: starts for {}", owner.name));
        net.wake(net.now_ms, Actor::Rig(id));
        // A few leave at once; a log-in costs far more than a command, so most stay.
        let commands_left = if net.dice.chance(150) { net.dice.below(3) } else { net.dice.between(10, 150) };
        Some(Self {
            id,
            person,
            core,
            machine,
            memory: Memory::of(owner),
            diary: Diary::default(),
            cable: None,
            hanging_up: false,
            dial: None,
            habits,
            credentials,
            next_line_at_ms: net.now_ms,
            commands_left,
            exited_at_ms: None,
            crashed: false,
            idle_timeouts: (0, 0),
            refused_at_step: None,
            shown: Vec::new(),
        })
    }

    pub(crate) fn is_online(&self) -> bool {
        self.diary.online && self.exited_at_ms.is_none()
    }

    pub(crate) fn set_habits(&mut self, net: &mut Net, habits: Habits) {
        self.habits = habits;
        self.next_line_at_ms = net.now_ms;
        net.wake(net.now_ms, Actor::Rig(self.id));
    }

    pub(crate) fn turn(&mut self, room: &mut Room<'_>) -> Wish {
        let mut wish = Wish::None;
        let now = self.machine.now(room.net.now_ms);
        self.drain(room);
        if let Some((_, dialled)) = self.dial.take_if(|(at_ms, _)| *at_ms <= room.net.now_ms) {
            match dialled {
                Dialled::Connected => {
                    let cable = room.net.connect(Actor::Rig(self.id));
                    self.cable = Some(cable);
                    wish = Wish::Connected(cable);
                    self.core.handle_input(now, Input::Connected(None));
                }
                Dialled::Refused => self.core.handle_input(now, Input::DialFailed("refused")),
            }
            self.drain(room);
        }
        self.read(room);
        if self.core.poll_timeout().is_some_and(|deadline| deadline <= now.mono) {
            let (at_ms, count) = &mut self.idle_timeouts;
            *count = if *at_ms == room.net.now_ms { *count + 1 } else { 0 };
            *at_ms = room.net.now_ms;
            if *count > IDLE_TIMEOUTS_MAX {
                room.judge.fail(format!("client {} spins", self.id));
                return Wish::Gone;
            }
            self.core.handle_timeout(now);
            self.drain(room);
        }
        self.type_lines(room);
        self.write(room);
        if self.exited_at_ms.is_some() && self.cable.is_none() {
            self.leave(room);
            return Wish::Gone;
        }
        self.plan_next_turn(room.net);
        wish
    }

    /// Ends the program on the spot. `cleanly`: its machine lives and closes its connections.
    pub(crate) fn crash(&mut self, room: &mut Room<'_>, cleanly: bool) {
        room.net.note(format_args!("client {}: crashes, cleanly: {cleanly}", self.id));
        if let Some(cable) = self.cable.take() {
            if !cleanly {
                room.net.swallow(cable);
            }
            room.net.close(cable, Side::Client);
        }
        self.crashed = true;
        self.leave(room);
    }

    fn leave(&mut self, room: &mut Room<'_>) {
        room.net.note(format_args!("client {}: is gone", self.id));
        if let Some(person) = room.people.get_mut(self.person) {
            person.rigs = person.rigs.saturating_sub(1);
            let mut seen = person.seen.clone();
            if self.shown.iter().any(|(from, id)| seen.insert(from, *id)) {
                room.judge.fail(format!("client {} did not write down what it has shown", self.id));
            }
        }
        if !self.crashed
            && let Err(wrong) = self.diary.check_end()
        {
            room.judge.fail(format!("client {}: {wrong}", self.id));
        }
    }

    fn drain(&mut self, room: &mut Room<'_>) {
        while let Some(effect) = self.core.poll_output() {
            if self.exited_at_ms.is_some() {
                room.judge.fail(format!("client {} goes on after its exit: {effect:?}", self.id));
                return;
            }
            match effect {
                // Without TLS there is no key to remember, and these clients do not meet.
                Effect::Remember(_) | Effect::Peer(_) | Effect::Disk(_) => {}
                Effect::Dial => self.start_dialling(room),
                Effect::HangUp => {
                    self.dial = None;
                    self.hanging_up = true;
                }
                Effect::Show(event) => self.show(room, &event),
                Effect::Recall { .. } => self.recall(room),
                Effect::Exit { code, complaint } => {
                    room.net.note(format_args!("client {}: exit {code} {complaint:?}", self.id));
                    if self.refused_at_step == Some(room.net.step) && code == 1 {
                        room.judge
                            .fail(format!("client {} gave up after a try that was not the last", self.id));
                    }
                    self.exited_at_ms = Some(room.net.now_ms);
                    self.hanging_up = true;
                }
            }
        }
    }

    /// Tells the core what this user's clients have written down.
    fn recall(&mut self, room: &mut Room<'_>) {
        let Some(person) = room.people.get(self.person) else { return };
        let seen = match room.sabotage {
            Some(Sabotage::SeenForgotten) => Seen::default(),
            _ => person.seen.clone(),
        };
        self.memory.recall(person);
        self.core.handle_input(self.machine.now(room.net.now_ms), Input::Recalled(seen));
    }

    fn start_dialling(&mut self, room: &mut Room<'_>) {
        if let Some(cable) = self.cable.take() {
            room.net.close(cable, Side::Client);
        }
        self.hanging_up = false;
        let at_ms = room.net.now_ms + room.net.delay_ms();
        self.dial = if room.net.dice.chance(room.refusals) {
            // Some dials end in nothing at all.
            room.net.dice.chance(700).then_some((at_ms, Dialled::Refused))
        } else {
            Some((at_ms, Dialled::Connected))
        };
    }

    fn show(&mut self, room: &mut Room<'_>, event: &Event) {
        let Room { net, judge, people, sabotage, .. } = room;
        net.note(format_args!("client {}: {}", self.id, Brief(event)));
        let Some(person) = people.get_mut(self.person) else { return };
        match event {
            Event::Message { id, from, text, .. } | Event::Broadcast { id, from, text, .. } => {
                let is_broadcast = matches!(event, Event::Broadcast { .. });
                person.seen.insert(from, *id);
                self.shown.push((from.clone(), *id));
                if *sabotage != Some(Sabotage::ScreenDark) {
                    let shown = Shown { id: *id, from, text, is_broadcast };
                    judge.shown(person, &mut self.memory, &shown);
                }
            }
            Event::LoginFailed { is_final: false, .. } => self.refused_at_step = Some(net.step),
            _ => {}
        }
        match self.diary.shown(event) {
            Err(wrong) => judge.fail(format!("client {}: {wrong}", self.id)),
            Ok(News::None) => {}
            Ok(News::Letter(token, outcome, id)) => judge.ended(token, outcome, id),
            Ok(News::Blocked(user, step)) => judge.blocked(&person.name, &user, step),
            Ok(News::UnblockAnswered(user)) => judge.unblock_answered(&person.name, &user, net.step),
        }
    }

    fn read(&mut self, room: &mut Room<'_>) {
        for _ in 0..room.net.dice.between(1, 4) {
            let Some(cable) = self.cable else { return };
            let now = self.machine.now(room.net.now_ms);
            match room.net.read(cable, Side::Client, 64 * 1024) {
                Read::Nothing => return,
                Read::Bytes(bytes) => self.core.handle_input(now, Input::Received(&bytes)),
                Read::Ended => {
                    // Like the real one, the shell gets rid of the socket and then tells the core.
                    room.net.close(cable, Side::Client);
                    self.cable = None;
                    self.core.handle_input(now, Input::Closed);
                }
            }
            self.drain(room);
        }
    }

    fn write(&mut self, room: &mut Room<'_>) {
        let Some(cable) = self.cable else { return };
        while !self.core.waiting().is_empty() {
            match room.net.write(cable, Side::Client, self.core.waiting()) {
                Written::Took(len) => self.core.sent(len),
                Written::Full => break,
                Written::Broken => {
                    room.net.close(cable, Side::Client);
                    self.cable = None;
                    self.core.handle_input(self.machine.now(room.net.now_ms), Input::Closed);
                    return self.drain(room);
                }
            }
        }
        let patience_over =
            self.exited_at_ms.is_some_and(|exited_ms| exited_ms + LAST_WORDS_MS <= room.net.now_ms);
        if self.hanging_up && (self.core.waiting().is_empty() || patience_over) {
            room.net.close(cable, Side::Client);
            self.cable = None;
            self.hanging_up = false;
        }
    }

    fn type_lines(&mut self, room: &mut Room<'_>) {
        while self.exited_at_ms.is_none()
            && self.core.wants_input()
            && self.next_line_at_ms <= room.net.now_ms
        {
            let Some(typing) = self.next_line(room) else { return };
            let input = match typing {
                Typing::Line(line) => Input::Line(line),
                Typing::End => Input::EndOfInput,
            };
            self.core.handle_input(self.machine.now(room.net.now_ms), input);
            self.drain(room);
        }
    }

    /// What comes next from the person, if anything does.
    fn next_line(&mut self, room: &mut Room<'_>) -> Option<Typing> {
        let now_ms = room.net.now_ms;
        if let Some(line) = self.credentials.pop() {
            let thinks = room.net.dice.chance(200);
            self.next_line_at_ms = now_ms + if thinks { room.net.dice.skewed(0, 15_000) } else { 0 };
            return Some(Typing::Line(line));
        }
        match self.habits {
            Habits::Restless { pause_max_ms, ending } if !room.is_calm => {
                let burst = room.net.dice.chance(300);
                self.next_line_at_ms = now_ms + if burst { 0 } else { room.net.dice.skewed(0, pause_max_ms) };
                if self.commands_left == 0 {
                    self.habits = Habits::Silent;
                    return self.end(room, ending);
                }
                self.commands_left -= 1;
                let names: Vec<Username> = room.people.iter().map(|person| person.name.clone()).collect();
                let me = names.get(self.person)?;
                let author = Author {
                    me,
                    rig: self.id,
                    names: &names,
                    text_len_max: room.text_len_max,
                    now_ms,
                    step: room.net.step,
                };
                Some(Typing::Line(script::any_line(&author, &mut room.net.dice, room.judge, &mut self.diary)))
            }
            Habits::Quiet { pause_ms } => {
                self.next_line_at_ms = now_ms + pause_ms;
                Some(Typing::Line(script::simple("whoelse", now_ms, &mut self.diary)))
            }
            Habits::Restless { .. } | Habits::Silent => {
                self.next_line_at_ms = u64::MAX;
                None
            }
        }
    }

    fn end(&mut self, room: &mut Room<'_>, ending: Ending) -> Option<Typing> {
        match ending {
            Ending::Logout => Some(Typing::Line(script::simple("logout", room.net.now_ms, &mut self.diary))),
            Ending::EndOfInput => Some(Typing::End),
            Ending::Interrupt => {
                self.interrupt(room);
                None
            }
            Ending::Idle => None,
        }
    }

    /// The interrupt key.
    pub(crate) fn interrupt(&mut self, room: &mut Room<'_>) {
        room.net.note(format_args!("client {}: interrupt", self.id));
        self.diary.interrupted = true;
        let now = self.machine.now(room.net.now_ms);
        self.core.handle_input(now, Input::Interrupt);
        self.drain(room);
        room.net.wake(room.net.now_ms, Actor::Rig(self.id));
    }

    /// Gives it commands now, if it can take them.
    pub(crate) fn ask(&mut self, room: &mut Room<'_>, words: &[&str]) {
        for word in words {
            if self.is_online() && self.core.wants_input() {
                let line = script::simple(word, room.net.now_ms, &mut self.diary);
                self.core.handle_input(self.machine.now(room.net.now_ms), Input::Line(line));
                self.drain(room);
            }
        }
        room.net.wake(room.net.now_ms, Actor::Rig(self.id));
    }

    /// No more lines come.
    pub(crate) fn end_input(&mut self, room: &mut Room<'_>) {
        self.habits = Habits::Silent;
        self.core.handle_input(self.machine.now(room.net.now_ms), Input::EndOfInput);
        self.drain(room);
        room.net.wake(room.net.now_ms, Actor::Rig(self.id));
    }

    fn plan_next_turn(&mut self, net: &mut Net) {
        let me = Actor::Rig(self.id);
        let line =
            (self.exited_at_ms.is_none() && self.next_line_at_ms != u64::MAX && self.core.wants_input())
                .then_some(self.next_line_at_ms);
        let timeout = self.core.poll_timeout().map(|deadline| self.machine.world_ms(deadline));
        let dial = self.dial.as_ref().map(|&(at_ms, _)| at_ms);
        let last_words = self.exited_at_ms.map(|at_ms| at_ms + LAST_WORDS_MS);
        let readable = self.cable.filter(|&cable| net.is_readable(cable, Side::Client)).map(|_| net.now_ms);
        for at_ms in [line, timeout, dial, last_words, readable].into_iter().flatten() {
            net.wake(at_ms, me);
        }
    }
}

/// An event without its long texts.
struct Brief<'a>(&'a Event);

impl core::fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Event::Message { from, text, offline, .. } => {
                let number = text.split(' ').next().unwrap_or_default();
                write!(f, "shows {number} from {from}, offline: {offline}")
            }
            Event::Broadcast { from, text, .. } => {
                write!(f, "shows {} from {from} to all", text.split(' ').next().unwrap_or_default())
            }
            Event::Ok { number, outcome } => match outcome {
                client::core::Outcome::Message { to, state, .. } => {
                    write!(f, "ok {number}: to {to}: {state:?}")
                }
                client::core::Outcome::Help { .. } => write!(f, "ok {number}: help"),
                other => write!(f, "ok {number}: {other:?}"),
            },
            Event::Error { number, command, code, .. } => write!(f, "error {number}: {command}: {code:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}
