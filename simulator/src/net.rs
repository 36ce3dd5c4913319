//! The network: for each connection two streams of bytes that are cut, delayed, stalled, lost and broken, and
//! the agenda of who must look again when.
//!
//! Owns time, chance and the cables. Must not know what bytes mean. It never reorders or repeats a byte: TCP
//! does not either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{dice::Dice, trace::Trace};

/// Who does something when its time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    Server,
    /// A running client.
    Rig(u32),
    Hostile(u32),
    /// A person who may start a client.
    Person(usize),
    Faults,
    Director,
}

pub(crate) type CableId = u32;

/// An end of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

#[derive(Debug)]
pub(crate) enum Read {
    Bytes(Vec<u8>),
    Nothing,
    /// The other side closed, or the connection broke.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Took(usize),
    /// The writer is woken when there is room again.
    Full,
    Broken,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) delay_max_ms: u64,
    /// Bytes that a direction holds before its writer must wait.
    pub(crate) capacity: usize,
    /// How often a read or a write is cut short, in a thousand.
    pub(crate) cut: u64,
    /// The longest piece that a cut leaves.
    pub(crate) piece_len_max: usize,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now_ms: u64,
    pub(crate) step: u64,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) weather: Weather,
    agenda: BTreeSet<(u64, Actor)>,
    cables: BTreeMap<CableId, Cable>,
    last_cable: CableId,
}

#[derive(Debug)]
struct Cable {
    client: Actor,
    up: Pipe,
    down: Pipe,
    /// Since when nothing gets through any more, and nobody is told.
    hole_since_ms: Option<u64>,
    client_end: End,
    server_end: End,
}

#[derive(Debug, Default)]
struct End {
    closed: bool,
    /// From then on it is told that the connection broke.
    gone_at_ms: Option<u64>,
}

#[derive(Debug, Default)]
struct Pipe {
    /// With the time at which they arrive.
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// How much of the first piece was read.
    front_read_len: usize,
    len: usize,
    last_arrival_ms: u64,
    /// When the writer's "no more comes" arrives, behind everything else.
    fin_at_ms: Option<u64>,
    stalled_until_ms: u64,
    writer_waits: bool,
}

impl Net {
    pub(crate) fn new(dice: Dice, trace: Trace, weather: Weather) -> Self {
        Self {
            now_ms: 0,
            step: 0,
            dice,
            trace,
            weather,
            agenda: BTreeSet::new(),
            cables: BTreeMap::new(),
            last_cable: 0,
        }
    }

    /// Moves time on to the next entry of the agenda.
    pub(crate) fn next(&mut self) -> Option<Actor> {
        let (at_ms, actor) = self.agenda.pop_first()?;
        self.now_ms = self.now_ms.max(at_ms);
        self.step += 1;
        Some(actor)
    }

    pub(crate) fn wake(&mut self, at_ms: u64, actor: Actor) {
        self.agenda.insert((at_ms.max(self.now_ms), actor));
    }

    pub(crate) fn note(&mut self, what: core::fmt::Arguments<'_>) {
        self.trace.line(self.step, self.now_ms, what);
    }

    pub(crate) fn delay_ms(&mut self) -> u64 {
        self.dice.skewed(0, self.weather.delay_max_ms)
    }

    pub(crate) fn connect(&mut self, client: Actor) -> CableId {
        self.last_cable += 1;
        let cable = Cable {
            client,
            up: Pipe::default(),
            down: Pipe::default(),
            hole_since_ms: None,
            client_end: End::default(),
            server_end: End::default(),
        };
        self.cables.insert(self.last_cable, cable);
        self.last_cable
    }

    /// Takes some of the bytes.
    pub(crate) fn write(&mut self, id: CableId, side: Side, bytes: &[u8]) -> Written {
        let arrival_ms = self.now_ms + self.delay_ms();
        let now_ms = self.now_ms;
        let Some(cable) = self.cables.get_mut(&id) else { return Written::Broken };
        if cable.end(side).is_gone(now_ms) || cable.outgoing(side).fin_at_ms.is_some() {
            return Written::Broken;
        }
        if cable.end(side.other()).closed && cable.hole_since_ms.is_none() {
            // Nobody is there: it is taken, and answered by a reset.
            cable.end(side).break_at(arrival_ms);
            let actor = cable.actor(side);
            self.wake(arrival_ms, actor);
            return Written::Took(bytes.len());
        }
        let room = self.weather.capacity.saturating_sub(cable.outgoing(side).len);
        if room == 0 {
            cable.outgoing(side).writer_waits = true;
            return Written::Full;
        }
        let len = cut(&mut self.dice, &self.weather, bytes.len().min(room));
        let Some(taken) = bytes.get(..len) else { return Written::Full };
        let pipe = cable.outgoing(side);
        pipe.last_arrival_ms = pipe.last_arrival_ms.max(arrival_ms);
        let at_ms = pipe.last_arrival_ms;
        pipe.pieces.push_back((at_ms, taken.to_vec()));
        pipe.len += len;
        let reader = cable.actor(side.other());
        self.trace.bytes(taken);
        self.wake(at_ms, reader);
        Written::Took(len)
    }

    /// Gives some of the bytes that have arrived.
    pub(crate) fn read(&mut self, id: CableId, side: Side, len_max: usize) -> Read {
        let now_ms = self.now_ms;
        let Some(cable) = self.cables.get_mut(&id) else { return Read::Ended };
        if cable.end(side).is_gone(now_ms) {
            return Read::Ended;
        }
        if cable.hole_since_ms.is_some() {
            return Read::Nothing;
        }
        let (reader, writer) = (cable.actor(side), cable.actor(side.other()));
        let pipe = cable.outgoing(side.other());
        if pipe.stalled_until_ms > now_ms {
            let at_ms = pipe.stalled_until_ms;
            self.wake(at_ms, reader);
            return Read::Nothing;
        }
        let Some((_, piece)) = pipe.pieces.front().filter(|&&(at_ms, _)| at_ms <= now_ms) else {
            let fin = pipe.fin_at_ms.filter(|_| pipe.pieces.is_empty());
            return if fin.is_some_and(|at_ms| at_ms <= now_ms) { Read::Ended } else { Read::Nothing };
        };
        let rest = piece.get(pipe.front_read_len..).unwrap_or_default();
        let len = cut(&mut self.dice, &self.weather, rest.len().min(len_max));
        let bytes = rest.get(..len).unwrap_or_default().to_vec();
        if len == rest.len() {
            pipe.pieces.pop_front();
            pipe.front_read_len = 0;
        } else {
            pipe.front_read_len += len;
        }
        pipe.len -= len;
        if std::mem::take(&mut pipe.writer_waits) {
            self.wake(now_ms, writer);
        }
        Read::Bytes(bytes)
    }

    /// Whether [`Net::read`] has more to give at this moment.
    pub(crate) fn is_readable(&self, id: CableId, side: Side) -> bool {
        let Some(cable) = self.cables.get(&id) else { return false };
        let (end, pipe) = match side {
            Side::Client => (&cable.client_end, &cable.down),
            Side::Server => (&cable.server_end, &cable.up),
        };
        let ended = pipe.pieces.is_empty() && pipe.fin_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
        let arrived = pipe.pieces.front().is_some_and(|&(at_ms, _)| at_ms <= self.now_ms);
        end.is_gone(self.now_ms)
            || (cable.hole_since_ms.is_none() && pipe.stalled_until_ms <= self.now_ms && (ended || arrived))
    }

    /// Tells the other side that no more comes.
    pub(crate) fn end_writing(&mut self, id: CableId, side: Side) {
        let arrival_ms = self.now_ms + self.delay_ms();
        let Some(cable) = self.cables.get_mut(&id) else { return };
        let pipe = cable.outgoing(side);
        if pipe.fin_at_ms.is_none() {
            let at_ms = pipe.last_arrival_ms.max(arrival_ms);
            pipe.fin_at_ms = Some(at_ms);
            let reader = cable.actor(side.other());
            self.wake(at_ms, reader);
        }
    }

    /// Closes one end. If unread bytes are thrown away by that, the other side may lose what is on its way.
    pub(crate) fn close(&mut self, id: CableId, side: Side) {
        self.end_writing(id, side);
        let reset = self.dice.chance(500);
        let at_ms = self.now_ms + self.delay_ms();
        let Some(cable) = self.cables.get_mut(&id) else { return };
        cable.end(side).closed = true;
        let unread = cable.outgoing(side.other()).len > 0;
        if unread && reset && cable.hole_since_ms.is_none() {
            cable.end(side.other()).break_at(at_ms);
        }
        let other = cable.actor(side.other());
        if cable.client_end.closed && cable.server_end.closed {
            self.cables.remove(&id);
        } else {
            self.wake(at_ms, other);
        }
    }

    /// Breaks a connection: what is on its way is lost, and the two sides learn of it at different times.
    pub(crate) fn cut_through(&mut self, id: CableId) {
        let client_at_ms = self.now_ms + self.dice.skewed(0, 5_000);
        let server_at_ms = self.now_ms + self.dice.skewed(0, 5_000);
        let Some(cable) = self.cables.get_mut(&id) else { return };
        cable.hole_since_ms.get_or_insert(self.now_ms);
        cable.client_end.break_at(client_at_ms);
        cable.server_end.break_at(server_at_ms);
        let client = cable.client;
        self.wake(client_at_ms, client);
        self.wake(server_at_ms, Actor::Server);
    }

    /// From now on nothing gets through, and neither side is told.
    pub(crate) fn swallow(&mut self, id: CableId) {
        let now_ms = self.now_ms;
        if let Some(cable) = self.cables.get_mut(&id) {
            cable.hole_since_ms.get_or_insert(now_ms);
        }
    }

    /// One direction stands still for a time.
    pub(crate) fn stall(&mut self, id: CableId, reader: Side, span_ms: u64) {
        let until_ms = self.now_ms + span_ms;
        let Some(cable) = self.cables.get_mut(&id) else { return };
        let actor = cable.actor(reader);
        cable.outgoing(reader.other()).stalled_until_ms = until_ms;
        self.wake(until_ms, actor);
    }

    /// Since when nothing from the client can have reached the server.
    pub(crate) fn hole_since_ms(&self, id: CableId) -> Option<u64> {
        self.cables.get(&id)?.hole_since_ms
    }

    pub(crate) fn cable_ids(&self) -> Vec<CableId> {
        self.cables.keys().copied().collect()
    }

    /// Ends every stall.
    pub(crate) fn heal(&mut self) {
        let now_ms = self.now_ms;
        let mut actors = Vec::new();
        for cable in self.cables.values_mut() {
            cable.up.stalled_until_ms = now_ms;
            cable.down.stalled_until_ms = now_ms;
            actors.push(cable.client);
        }
        for actor in actors {
            self.wake(now_ms, actor);
        }
        self.wake(now_ms, Actor::Server);
    }
}

fn cut(dice: &mut Dice, weather: &Weather, len: usize) -> usize {
    if len > 1 && dice.chance(weather.cut) {
        dice.skewed_size(1, weather.piece_len_max.min(len))
    } else {
        len
    }
}

impl Cable {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client_end,
            Side::Server => &mut self.server_end,
        }
    }

    /// What this side writes into.
    fn outgoing(&mut self, side: Side) -> &mut Pipe {
        match side {
            Side::Client => &mut self.up,
            Side::Server => &mut self.down,
        }
    }

    fn actor(&self, side: Side) -> Actor {
        match side {
            Side::Client => self.client,
            Side::Server => Actor::Server,
        }
    }
}

impl End {
    fn is_gone(&self, now_ms: u64) -> bool {
        self.gone_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    fn break_at(&mut self, at_ms: u64) {
        self.gone_at_ms = Some(self.gone_at_ms.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
