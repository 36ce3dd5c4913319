//! A world of fake sources in virtual time: with speeds, delays, lies, drips and departures, drawn from a seed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    sync::Arc,
};

use protocol::{
    ChunkIndex, ChunkSet, FileHash, Layout, Manifest, NoBlockReason, Username, limits::BLOCK_LEN_MAX,
    random::RandomStream, time::MonoMs,
};

use super::super::{LinkId, Status, Swarm, SwarmOutput, plan::IN_FLIGHT_MAX};

pub(super) const MIB: u64 = 1024 * 1024;
/// In microseconds, as all times of the world.
const SECOND: u64 = 1_000_000;

/// What a source does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Honest,
    /// One block in so many is wrong.
    Lies(u64),
    /// A block each so many seconds.
    Drips(u64),
    /// Answers so many blocks and no more.
    Stalls(u64),
    /// Wrong lengths, wrong places, things nobody asked for.
    Garbles,
    /// Busy for one request in so many.
    Busy(u64),
    /// Has not what it says, one request in so many.
    Lacks(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) way: Way,
    /// Bytes a second.
    pub(super) speed: u64,
    /// Microseconds to there or back.
    pub(super) delay: u64,
    pub(super) held: ChunkSet,
    pub(super) link: Option<LinkId>,
    queue: VecDeque<(u32, u64, u32)>,
    is_serving: bool,
    served: u64,
    pub(super) expelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asked { peer: usize, link: LinkId, chunk: u32, offset: u64, len: u32 },
    Cancelled { peer: usize, link: LinkId, chunk: u32, offset: u64 },
    Served { peer: usize, link: LinkId },
    Block { link: LinkId, chunk: u32, offset: u64, len: usize, right: bool },
    NoBlock { link: LinkId, chunk: u32, offset: u64, busy: bool },
    Wrote { len: usize },
    Verified { chunk: u32 },
    Join { peer: usize },
    Leave { peer: usize },
    Gains { peer: usize, chunk: u32 },
}

pub(super) struct World {
    pub(super) swarm: Swarm,
    pub(super) layout: Layout,
    pub(super) peers: Vec<Peer>,
    pub(super) now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    links: u64,
    out: BTreeMap<LinkId, BTreeMap<(u32, u64), u32>>,
    unwritten: u64,
    disk: BTreeMap<u32, BTreeMap<u64, (usize, bool)>>,
    disk_free_at: u64,
    /// Bytes a second.
    pub(super) disk_speed: u64,
    told: BTreeSet<u32>,
    pub(super) in_flight_most: u64,
    pub(super) asked: u64,
    state: u64,
    right: Vec<u8>,
    wrong: Vec<u8>,
}

pub(super) fn manifest(size: u64, chunks: u64) -> Arc<Manifest> {
    let layout = Layout::new(size, chunks).unwrap();
    let hashes = vec![FileHash([0; 32]); layout.chunks() as usize];
    Arc::new(Manifest::new(layout, FileHash([0; 32]), hashes).unwrap())
}

pub(super) fn stream(seed: u64) -> RandomStream {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    RandomStream::from_seed(bytes)
}

impl World {
    pub(super) fn new(size: u64, chunks: u64, seed: u64) -> Self {
        let manifest = manifest(size, chunks);
        let layout = manifest.layout();
        let (none, all) = (ChunkSet::empty(layout.chunks()), ChunkSet::full(layout.chunks()));
        Self {
            swarm: Swarm::new(manifest, none, all, stream(seed)),
            layout,
            peers: Vec::new(),
            now: 0,
            events: BinaryHeap::new(),
            count: 0,
            links: 0,
            out: BTreeMap::new(),
            unwritten: 0,
            disk: BTreeMap::new(),
            disk_free_at: 0,
            disk_speed: 1 << 40,
            told: BTreeSet::new(),
            in_flight_most: 0,
            asked: 0,
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            right: vec![1; BLOCK_LEN_MAX + 1],
            wrong: vec![0; BLOCK_LEN_MAX + 1],
        }
    }

    /// Some number under `bound`.
    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        // Xorshift is enough to mix histories.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % bound
    }

    pub(super) fn all(&self) -> ChunkSet {
        ChunkSet::full(self.layout.chunks())
    }

    /// Adds somebody who joins after `at_ms`.
    pub(super) fn peer(&mut self, way: Way, speed: u64, delay: u64, held: ChunkSet, at_ms: u64) -> usize {
        let peer = self.peers.len();
        self.peers.push(Peer {
            name: format!("user{peer}"),
            way,
            speed,
            delay,
            held,
            link: None,
            queue: VecDeque::new(),
            is_serving: false,
            served: 0,
            expelled: false,
        });
        self.join(peer, at_ms);
        peer
    }

    pub(super) fn join(&mut self, peer: usize, at_ms: u64) {
        self.at(at_ms * 1_000, Event::Join { peer });
    }

    pub(super) fn leave(&mut self, peer: usize, at_ms: u64) {
        self.at(at_ms * 1_000, Event::Leave { peer });
    }

    pub(super) fn gains(&mut self, peer: usize, chunk: u32, at_ms: u64) {
        self.at(at_ms * 1_000, Event::Gains { peer, chunk });
    }

    pub(super) fn user(&self, peer: usize) -> Username {
        self.peers[peer].name.parse().unwrap()
    }

    pub(super) fn seconds(&self) -> u64 {
        self.now / SECOND
    }

    /// Plays until the download is over. Panics if it is not within that time, or if an invariant breaks.
    pub(super) fn run(&mut self, seconds_max: u64) {
        self.drain();
        loop {
            let timeout = self.swarm.poll_timeout().map(|at| at.0 * 1_000);
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let has_arrivals = self.events.iter().any(|Reverse((.., event))| {
                matches!(event, Event::Join { .. } | Event::Gains { .. } | Event::Leave { .. })
            });
            match self.swarm.status() {
                Status::Done => return,
                Status::Starved { missing } if !has_arrivals => {
                    assert!(!missing.is_empty());
                    return;
                }
                _ => {}
            }
            let Some(next) = timeout.into_iter().chain(event).min() else {
                panic!("nothing will ever happen: {:?}", self.swarm.status());
            };
            self.now = self.now.max(next);
            assert!(self.now < seconds_max * SECOND, "it takes for ever: {:?}", self.swarm.figures());
            if event.is_some_and(|at| at <= self.now) {
                let Some(Reverse((_, _, event))) = self.events.pop() else { unreachable!() };
                self.happen(event);
            }
            let now = self.mono();
            if self.swarm.poll_timeout().is_some_and(|at| at <= now) {
                self.swarm.handle_timeout(now);
            }
            self.drain();
        }
    }

    fn mono(&self) -> MonoMs {
        MonoMs(self.now / 1_000)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn after(&mut self, span: u64, event: Event) {
        self.at(self.now + span, event);
    }

    fn peer_of(&self, link: LinkId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.link == Some(link))
    }

    fn happen(&mut self, event: Event) {
        let now = self.mono();
        match event {
            Event::Asked { peer, link, chunk, offset, len } => {
                if self.peers[peer].link == Some(link) {
                    self.asked_of(peer, link, chunk, offset, len);
                }
            }
            Event::Cancelled { peer, link, chunk, offset } => {
                if self.peers[peer].link == Some(link) {
                    self.peers[peer].queue.retain(|&(c, o, _)| (c, o) != (chunk, offset));
                }
            }
            Event::Served { peer, link } => {
                if self.peers[peer].link == Some(link) {
                    self.served(peer, link);
                }
            }
            Event::Block { link, chunk, offset, len, right } => {
                if self.peer_of(link).is_some() {
                    self.answered(link, chunk, offset);
                    let bytes = if right { &self.right[..len] } else { &self.wrong[..len] };
                    self.swarm.block(link, chunk, offset, bytes, now);
                }
            }
            Event::NoBlock { link, chunk, offset, busy } => {
                if self.peer_of(link).is_some() {
                    self.answered(link, chunk, offset);
                    let reason = if busy { NoBlockReason::Busy } else { NoBlockReason::Gone };
                    self.swarm.no_block(link, chunk, offset, reason, now);
                }
            }
            Event::Wrote { len } => {
                self.unwritten -= len as u64;
                self.swarm.wrote(len, now);
            }
            Event::Verified { chunk } => {
                let right = self.is_right(chunk);
                self.swarm.verified(ChunkIndex(chunk), right, now);
            }
            Event::Join { peer } => {
                if self.peers[peer].link.is_none() {
                    self.links += 1;
                    let link = LinkId(self.links);
                    self.peers[peer].link = Some(link);
                    let (user, held) = (self.user(peer), self.peers[peer].held.clone());
                    self.swarm.source_joined(link, user, now);
                    self.swarm.holds(link, held, now);
                }
            }
            Event::Leave { peer } => {
                let peer = &mut self.peers[peer];
                peer.queue.clear();
                peer.is_serving = false;
                if let Some(link) = peer.link.take() {
                    self.out.remove(&link);
                    self.swarm.source_left(link, now);
                }
            }
            Event::Gains { peer, chunk } => {
                self.peers[peer].held.insert(ChunkIndex(chunk));
                if let Some(link) = self.peers[peer].link {
                    self.swarm.holds(link, self.peers[peer].held.clone(), now);
                }
            }
        }
    }

    fn answered(&mut self, link: LinkId, chunk: u32, offset: u64) {
        if let Some(out) = self.out.get_mut(&link) {
            out.remove(&(chunk, offset));
        }
    }

    fn asked_of(&mut self, peer: usize, link: LinkId, chunk: u32, offset: u64, len: u32) {
        let refuses = match self.peers[peer].way {
            Way::Busy(one_in) => (self.draw(one_in) == 0).then_some(true),
            Way::Lacks(one_in) => (self.draw(one_in) == 0).then_some(false),
            _ => None,
        };
        if let Some(busy) = refuses {
            let delay = self.peers[peer].delay;
            return self.after(delay, Event::NoBlock { link, chunk, offset, busy });
        }
        self.peers[peer].queue.push_back((chunk, offset, len));
        self.serve(peer, link);
    }

    fn serve(&mut self, peer: usize, link: LinkId) {
        let it = &mut self.peers[peer];
        if it.is_serving || matches!(it.way, Way::Stalls(after) if it.served >= after) {
            return;
        }
        let Some(&(_, _, len)) = it.queue.front() else { return };
        it.is_serving = true;
        let span = match it.way {
            Way::Drips(seconds) => seconds * SECOND,
            _ => u64::from(len) * SECOND / it.speed,
        };
        self.after(span, Event::Served { peer, link });
    }

    fn served(&mut self, peer: usize, link: LinkId) {
        self.peers[peer].is_serving = false;
        let Some((chunk, offset, len)) = self.peers[peer].queue.pop_front() else { return };
        self.peers[peer].served += 1;
        let (mut offset, mut len, mut right) = (offset, len as usize, true);
        match self.peers[peer].way {
            Way::Lies(one_in) => right = self.draw(one_in) != 0,
            Way::Garbles => match self.draw(8) {
                0 => len += 1,
                1 => len -= 1,
                2 => offset += 1,
                3 => offset += u64::MAX / 2,
                _ => {}
            },
            _ => {}
        }
        let delay = self.peers[peer].delay;
        self.after(delay, Event::Block { link, chunk, offset, len, right });
        self.serve(peer, link);
    }

    fn is_right(&self, chunk: u32) -> bool {
        let Some(blocks) = self.disk.get(&chunk) else { return false };
        let mut end = 0;
        for (&offset, &(len, right)) in blocks {
            if offset != end || !right {
                return false;
            }
            end += len as u64;
        }
        end == self.layout.len(ChunkIndex(chunk))
    }

    fn drain(&mut self) {
        while let Some(output) = self.swarm.poll_output() {
            match output {
                SwarmOutput::Request { link, chunk, offset, len } => {
                    let Some(peer) = self.peer_of(link) else { panic!("asked over a link that is gone") };
                    assert!(!self.peers[peer].expelled, "asked of somebody who was expelled");
                    let chunk_len = self.layout.len(chunk);
                    assert!(len > 0 && len as usize <= BLOCK_LEN_MAX && offset + u64::from(len) <= chunk_len);
                    assert!(!self.swarm.held().contains(chunk), "asked for a chunk that is held");
                    let out = self.out.entry(link).or_default();
                    assert!(out.insert((chunk.0, offset), len).is_none(), "asked twice of one source");
                    assert!(out.len() <= 64);
                    self.asked += u64::from(len);
                    let (delay, chunk) = (self.peers[peer].delay, chunk.0);
                    self.after(delay, Event::Asked { peer, link, chunk, offset, len });
                }
                SwarmOutput::Cancel { link, chunk, offset } => {
                    let Some(peer) = self.peer_of(link) else { panic!("cancelled over a link that is gone") };
                    let out = self.out.get_mut(&link).and_then(|out| out.remove(&(chunk.0, offset)));
                    assert!(out.is_some(), "cancelled what was not out");
                    let delay = self.peers[peer].delay;
                    self.after(delay, Event::Cancelled { peer, link, chunk: chunk.0, offset });
                }
                SwarmOutput::Write { chunk, offset, bytes } => {
                    self.unwritten += bytes.len() as u64;
                    let right = bytes.first() == Some(&1);
                    self.disk.entry(chunk.0).or_default().insert(offset, (bytes.len(), right));
                    let span = bytes.len() as u64 * SECOND / self.disk_speed;
                    self.disk_free_at = self.disk_free_at.max(self.now) + span;
                    self.at(self.disk_free_at, Event::Wrote { len: bytes.len() });
                }
                SwarmOutput::Verify { chunk } => {
                    let span = self.layout.len(chunk) * SECOND / (1 << 30);
                    self.disk_free_at = self.disk_free_at.max(self.now) + span;
                    self.at(self.disk_free_at, Event::Verified { chunk: chunk.0 });
                }
                SwarmOutput::Held { chunk } => {
                    assert!(self.is_right(chunk.0), "a wrong chunk counts");
                    assert!(self.swarm.held().contains(chunk));
                    assert!(self.told.insert(chunk.0), "held twice");
                }
                SwarmOutput::Expel { link, user, .. } => {
                    let peer = self.peer_of(link).unwrap();
                    assert_eq!(self.user(peer), user);
                    self.peers[peer].expelled = true;
                    self.out.remove(&link);
                }
            }
        }
        let out: u64 = self.out.values().flat_map(|out| out.values()).map(|&len| u64::from(len)).sum();
        self.in_flight_most = self.in_flight_most.max(out + self.unwritten);
        assert!(out + self.unwritten <= IN_FLIGHT_MAX, "too much is on its way");
        assert_eq!(self.swarm.held().len() as usize, self.told.len());
        let figures = self.swarm.figures();
        let held: u64 = self.swarm.held().iter().map(|chunk| self.layout.len(chunk)).sum();
        assert_eq!(figures.useful, held);
        assert_eq!(figures.by_user.values().sum::<u64>(), held);
    }
}
