//! The world: clients, the links between them, and the order in which things happen.
//!
//! Whatever a test does, this watches: every command is answered once, no chunk is announced or passed on that is
//! not right, and no client asks to be woken without end.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{ErrorCode, FileId, Frame, PeerFrame, State, Username, random::RandomStream, time::MonoMs};

use super::{disk::Disk, server::Server};
use crate::core::{
    Downloaded, Event, Outcome,
    command::{self, Command},
    files::{AskId, Files, FilesOutput, Misbehaved, Rates, ServerAnswer, disk::DiskReply},
    peers::LinkId,
};

/// One way to another client, in milliseconds, and to the server and back.
const LATENCY: u64 = 10;
const SERVER_TIME: u64 = 20;
const LINK_TIME: u64 = 60;
const NO_LINK_TIME: u64 = 2_000;
/// Bytes a millisecond that a client can send.
const LINE: u64 = 20_000;

pub(super) type Tamper = Box<dyn FnMut(&PeerFrame<'_>, u64) -> Fate>;

/// What becomes of a frame that a hostile client sends.
pub(super) enum Fate {
    Sent,
    Lost,
    Instead(Frame),
}

pub(super) struct Node {
    pub(super) files: Files,
    pub(super) disk: Disk,
    pub(super) events: Vec<Event>,
    pub(super) rates: Rates,
    /// Bytes a millisecond that it can send.
    pub(super) line: u64,
    pub(super) tamper: Option<Tamper>,
    /// When the server was told of activity, and of chunks held.
    pub(super) actives: Vec<u64>,
    pub(super) haves: Vec<(u64, FileId, u32)>,
    user: Username,
    is_up: bool,
    /// A client that was started anew gets no answer that was meant for the one before.
    life: u64,
    line_free_at: u64,
    commands: u64,
    open: BTreeSet<u64>,
}

/// One end of a link.
#[derive(Clone)]
struct End {
    owner: String,
    other: LinkId,
    waiting_len: usize,
    /// Whether the other side reads.
    is_read: bool,
}

enum What {
    Answer { life: u64, ask: AskId, answer: ServerAnswer },
    Disk { life: u64, reply: DiskReply },
    Linked { life: u64, to: Username },
    NoLink { life: u64, to: Username },
    Left { link: LinkId, len: usize },
    Frame { link: LinkId, frame: Frame },
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) server: Server,
    pub(super) nodes: BTreeMap<String, Node>,
    /// Pairs between which there is no way.
    pub(super) walls: BTreeSet<(String, String)>,
    /// Ends of links that broke the protocol, by whose fault.
    pub(super) misbehaved: Vec<(String, Misbehaved)>,
    /// Blocks and their bytes, by sender and receiver.
    pub(super) passed: BTreeMap<(String, String), u64>,
    seed: u8,
    queue: BTreeMap<(u64, u64), (String, What)>,
    sequence: u64,
    ends: BTreeMap<LinkId, End>,
    last_link: u64,
}

/// Bytes that are the same for the same seed, and for no other.
pub(super) fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut random = RandomStream::from_seed([u8::try_from(seed & 0xff).unwrap(); 32]);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

impl World {
    /// These users, logged in.
    pub(super) fn new(seed: u8, names: &[&str]) -> Self {
        let mut world = Self {
            now: 1_000,
            server: Server::default(),
            nodes: BTreeMap::new(),
            walls: BTreeSet::new(),
            misbehaved: Vec::new(),
            passed: BTreeMap::new(),
            seed,
            queue: BTreeMap::new(),
            sequence: 0,
            ends: BTreeMap::new(),
            last_link: 0,
        };
        for name in names {
            world.add(name, Rates::default());
        }
        world
    }

    pub(super) fn add(&mut self, name: &str, rates: Rates) {
        let node = Node {
            files: Files::new(RandomStream::from_seed([self.seed; 32]), rates),
            disk: Disk::default(),
            events: Vec::new(),
            rates,
            line: LINE,
            tamper: None,
            actives: Vec::new(),
            haves: Vec::new(),
            user: name.parse().unwrap(),
            is_up: false,
            life: 0,
            line_free_at: 0,
            commands: 0,
            open: BTreeSet::new(),
        };
        self.nodes.insert(name.to_owned(), node);
        self.start(name);
    }

    pub(super) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).unwrap()
    }

    /// A client of that user comes, with the disk as the last one left it.
    pub(super) fn start(&mut self, name: &str) {
        self.seed = self.seed.wrapping_add(101);
        let (seed, now) = (self.seed, MonoMs(self.now));
        let node = self.node(name);
        node.files = Files::new(RandomStream::from_seed([seed; 32]), node.rates);
        node.life += 1;
        node.is_up = true;
        let user = node.user.clone();
        self.server.logged_in(&user);
        self.at(name, |files| files.logged_in(&user, now));
    }

    /// The client is killed.
    pub(super) fn kill(&mut self, name: &str) {
        let node = self.node(name);
        node.is_up = false;
        node.open.clear();
        node.disk.busy_until = 0;
        let user = node.user.clone();
        self.server.left(&user);
        let links: Vec<LinkId> =
            self.ends.iter().filter(|(_, end)| end.owner == name).map(|(&link, _)| link).collect();
        for link in links {
            self.cut(link);
        }
    }

    /// Registers a file of that content; its bytes.
    pub(super) fn share(&mut self, name: &str, file: &str, len: usize, chunks: u64) -> Vec<u8> {
        let name_sum: u64 = file.bytes().map(u64::from).sum();
        let bytes = content(len as u64 + chunks + name_sum, len);
        self.node(name).disk.files.insert(file.to_owned(), bytes.clone());
        self.ok(name, &format!("register {file} {chunks}"));
        bytes
    }

    /// Types a line; the command's number.
    pub(super) fn run(&mut self, name: &str, line: &str) -> u64 {
        let Ok(Command::File(command)) = command::parse(line) else { panic!("{line}") };
        let now = MonoMs(self.now);
        let node = self.node(name);
        node.commands += 1;
        let number = node.commands;
        node.open.insert(number);
        self.at(name, |files| files.run(number, command, now));
        number
    }

    /// Types a line and waits for its answer.
    pub(super) fn answer(&mut self, name: &str, line: &str) -> Event {
        let number = self.run(name, line);
        self.wait(name, number)
    }

    pub(super) fn ok(&mut self, name: &str, line: &str) -> Outcome {
        match self.answer(name, line) {
            Event::Ok { outcome, .. } => outcome,
            other => panic!("{name}: {line}: {other:?}"),
        }
    }

    /// The code and text with which a line fails.
    pub(super) fn error(&mut self, name: &str, line: &str) -> (ErrorCode, String) {
        code(self.answer(name, line))
    }

    pub(super) fn download(&mut self, name: &str, line: &str) -> Downloaded {
        match self.ok(name, line) {
            Outcome::Download(done) => *done,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass until that command is answered.
    pub(super) fn wait(&mut self, name: &str, number: u64) -> Event {
        let end = self.now + 3_600_000;
        loop {
            if let Some(event) = self.answered(name, number) {
                return event;
            }
            assert!(self.now < end && self.step(end), "{name}: command {number} hangs");
        }
    }

    pub(super) fn answered(&self, name: &str, number: u64) -> Option<Event> {
        let is_it = |event: &&Event| match event {
            Event::Ok { number: of, .. } | Event::Error { number: of, .. } => *of == number,
            _ => false,
        };
        self.nodes[name].events.iter().find(is_it).cloned()
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until that is so.
    pub(super) fn until(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.now + 3_600_000;
        while !is_so(self) {
            assert!(self.step(end), "it never comes to that");
        }
    }

    /// The server's connections break, or are back.
    pub(super) fn server_away(&mut self, is_away: bool) {
        self.server.is_away = is_away;
        if is_away {
            for (_, what) in self.queue.values_mut() {
                if let What::Answer { answer, .. } = what {
                    *answer = ServerAnswer::Lost;
                }
            }
            return;
        }
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let (user, now) = (self.node(&name).user.clone(), MonoMs(self.now));
            self.at(&name, |files| files.logged_in(&user, now));
        }
    }

    /// `name` blocks `other`.
    pub(super) fn block(&mut self, name: &str, other: &str) {
        self.wall(name, other);
        let other: Username = other.parse().unwrap();
        self.at(name, |files| files.blocked(&other));
    }

    /// No link can be made between these any more; those that stand do.
    pub(super) fn wall(&mut self, one: &str, other: &str) {
        self.walls.insert((one.to_owned(), other.to_owned()));
        self.walls.insert((other.to_owned(), one.to_owned()));
    }

    /// The link between these breaks.
    pub(super) fn break_link(&mut self, one: &str, other: &str) {
        if let Some(link) = self.link(one, other) {
            self.cut(link);
        }
    }

    /// Opens a link, as if one of them had asked for it.
    pub(super) fn connect(&mut self, one: &str, other: &str) -> LinkId {
        if let Some(link) = self.link(one, other) {
            return link;
        }
        let (mine, theirs) = (LinkId(self.last_link + 1), LinkId(self.last_link + 2));
        self.last_link += 2;
        for (owner, link, peer) in [(one, mine, theirs), (other, theirs, mine)] {
            let end = End { owner: owner.to_owned(), other: peer, waiting_len: 0, is_read: true };
            self.ends.insert(link, end);
        }
        let now = MonoMs(self.now);
        for (owner, link, peer) in [(one, mine, other), (other, theirs, one)] {
            let user = peer.parse().unwrap();
            self.at(owner, |files| files.link_opened(link, user, now));
        }
        mine
    }

    /// What comes to `one` over its link to `other` piles up there from now on.
    pub(super) fn stop_reading(&mut self, one: &str, other: &str) {
        let link = self.link(other, one).unwrap();
        self.ends.get_mut(&link).unwrap().is_read = false;
    }

    /// A frame that `one` never meant to send arrives at `other`.
    pub(super) fn forge(&mut self, one: &str, other: &str, frame: &PeerFrame<'_>) {
        let link = self.link(other, one).expect("a link");
        self.arrive(link, &frame.encode());
    }

    /// The end of `one` of a link to `other`.
    pub(super) fn link(&self, one: &str, other: &str) -> Option<LinkId> {
        let is_it =
            |end: &End| end.owner == one && self.ends.get(&end.other).is_some_and(|end| end.owner == other);
        self.ends.iter().find(|(_, end)| is_it(end)).map(|(&link, _)| link)
    }

    pub(super) fn waiting_len(&self, one: &str, other: &str) -> usize {
        self.link(one, other).map_or(0, |link| self.ends[&link].waiting_len)
    }

    /// The next thing that happens; `false` if nothing does before `end`.
    fn step(&mut self, end: u64) -> bool {
        let event = self.queue.keys().next().map(|(at, _)| *at);
        let up = self.nodes.iter().filter(|(_, node)| node.is_up);
        let timeout = up.filter_map(|(name, node)| Some((node.files.poll_timeout()?.0, name.clone()))).min();
        let timeout = timeout.filter(|(at, _)| event.is_none_or(|event| *at < event));
        if let Some((at, name)) = timeout {
            if at > end {
                return false;
            }
            self.now = self.now.max(at);
            let now = MonoMs(self.now);
            self.at(&name, |files| files.handle_timeout(now));
            let due = self.node(&name).files.poll_timeout();
            assert!(due.is_none_or(|due| due > now), "{name} asks to be woken without end, at {due:?}");
            return true;
        }
        if event.is_none_or(|at| at > end) {
            return false;
        }
        let Some(((at, _), (name, what))) = self.queue.pop_first() else { return false };
        self.now = self.now.max(at);
        self.happen(&name, what);
        true
    }

    fn happen(&mut self, name: &str, what: What) {
        let now = MonoMs(self.now);
        let life = self.node(name).life;
        let is_up = self.node(name).is_up;
        match what {
            What::Answer { life: of, ask, answer } if of == life && is_up => {
                self.at(name, |files| files.answered(ask, answer, now));
            }
            What::Disk { life: of, reply }
                if of == life && is_up && self.node(name).disk.is_wanted(&reply) =>
            {
                self.at(name, |files| files.disk(reply, now));
            }
            What::Linked { life: of, to } if of == life && is_up => {
                if self.nodes[to.as_str()].is_up {
                    self.connect(name, to.as_str());
                } else {
                    self.at(name, |files| files.link_failed(&to, now));
                }
            }
            What::NoLink { life: of, to } if of == life && is_up => {
                self.at(name, |files| files.link_failed(&to, now));
            }
            What::Left { link, len } => {
                let Some(end) = self.ends.get_mut(&link) else { return };
                end.waiting_len -= len;
                let waiting_len = end.waiting_len;
                self.at(name, |files| files.drained(link, waiting_len, now));
            }
            What::Frame { link, frame } => self.arrive(link, &frame),
            _ => {}
        }
    }

    fn arrive(&mut self, link: LinkId, frame: &Frame) {
        let Some(end) = self.ends.get(&link) else { return };
        let (name, from) = (end.owner.clone(), self.ends.get(&end.other).map(|end| end.owner.clone()));
        let decoded = PeerFrame::decode(frame.body(), State::Met).expect("a frame");
        if let (PeerFrame::Block { bytes, .. }, Some(from)) = (&decoded, &from) {
            *self.passed.entry((from.clone(), name.clone())).or_default() += bytes.len() as u64;
        }
        let now = MonoMs(self.now);
        let mut outcome = Ok(());
        self.at(&name, |files| outcome = files.frame(link, decoded, now));
        if let Err(misbehaved) = outcome {
            self.misbehaved.push((from.unwrap_or_default(), misbehaved));
            self.cut(link);
        }
    }

    /// A link is gone, for both sides.
    fn cut(&mut self, link: LinkId) {
        let Some(end) = self.ends.remove(&link) else { return };
        let other = self.ends.remove(&end.other);
        let now = MonoMs(self.now);
        let closed = [Some((end.owner, link)), other.map(|other| (other.owner, end.other))];
        for (name, link) in closed.into_iter().flatten() {
            if self.node(&name).is_up {
                self.at(&name, |files| files.link_closed(link, now));
            }
        }
    }

    /// Something happens to a client, and what it wants is carried out.
    fn at(&mut self, name: &str, happens: impl FnOnce(&mut Files)) {
        happens(&mut self.node(name).files);
        while let Some(output) = self.node(name).files.poll_output() {
            self.carry_out(name, output);
        }
    }

    fn carry_out(&mut self, name: &str, output: FilesOutput) {
        let now = self.now;
        let (user, life) = (self.node(name).user.clone(), self.node(name).life);
        match output {
            FilesOutput::Ask { ask, question } => {
                let answer = self.server.answer(&user, question);
                self.later(now + SERVER_TIME, name, What::Answer { life, ask, answer });
            }
            FilesOutput::Have { file, held } => {
                let node = self.node(name);
                for chunk in held.iter() {
                    assert!(
                        node.disk.is_right(file, chunk),
                        "{name} has told of {chunk:?}, which is not right"
                    );
                }
                node.haves.push((now, file, held.len()));
                if !self.server.is_away {
                    self.server.have(&user, file, held);
                }
            }
            FilesOutput::Link { user: to } => {
                let is_walled = self.walls.contains(&(name.to_owned(), to.to_string()));
                if is_walled || !self.nodes[to.as_str()].is_up {
                    self.later(now + NO_LINK_TIME, name, What::NoLink { life, to });
                } else {
                    self.later(now + LINK_TIME, name, What::Linked { life, to });
                }
            }
            FilesOutput::Send { link, frame } => self.send(name, link, frame),
            FilesOutput::Disk(job) => {
                for (at, reply) in self.node(name).disk.job(now, job) {
                    self.later(at.max(now + 1), name, What::Disk { life, reply });
                }
            }
            FilesOutput::Show(event) => {
                let node = self.node(name);
                match &event {
                    Event::Ok { number, .. } | Event::Error { number, .. } => {
                        assert!(node.open.remove(number), "{name}: a second answer: {event:?}");
                    }
                    Event::Progress { number, progress } => {
                        assert!(node.open.contains(number), "{name}: progress after the answer");
                        assert!(progress.have <= progress.total && progress.bytes <= progress.bytes_total);
                    }
                    _ => {}
                }
                node.events.push(event);
            }
            FilesOutput::Active => self.node(name).actives.push(now),
            FilesOutput::CloseLink { link } => self.cut(link),
        }
    }

    fn send(&mut self, name: &str, link: LinkId, frame: Frame) {
        let now = self.now;
        assert!(self.ends.contains_key(&link), "{name} sends over a link that is gone");
        let node = self.nodes.get_mut(name).unwrap();
        let decoded = PeerFrame::decode(frame.body(), State::Met).expect("a frame");
        let fate = node.tamper.as_mut().map_or(Fate::Sent, |tamper| tamper(&decoded, now));
        let frame = match fate {
            Fate::Sent => frame,
            Fate::Instead(other) => other,
            Fate::Lost => {
                // For the client it has left.
                let len = frame.len();
                self.ends.get_mut(&link).unwrap().waiting_len += len;
                return self.later(now + 1, name, What::Left { link, len });
            }
        };
        let len = frame.len();
        node.line_free_at = node.line_free_at.max(now) + (len as u64).div_ceil(node.line);
        let left_at = node.line_free_at;
        let end = self.ends.get_mut(&link).unwrap();
        end.waiting_len += len;
        let (other, is_read) = (end.other, end.is_read);
        if is_read {
            let to = self.ends[&other].owner.clone();
            self.later(left_at, name, What::Left { link, len });
            self.later(left_at + LATENCY, &to, What::Frame { link: other, frame });
        }
    }

    fn later(&mut self, at: u64, name: &str, what: What) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (name.to_owned(), what));
    }
}

/// An error's code and text.
pub(super) fn code(event: Event) -> (ErrorCode, String) {
    match event {
        Event::Error { code, text, .. } => (code, text),
        other => panic!("{other:?}"),
    }
}
