//! A link over which chunks come: what was asked there, how quickly it answers, when it rests.
//!
//! Owns the length of its pipeline. Must not know what others were asked.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{ChunkSet, Username, random::RandomStream, time::MonoMs};

use super::picker::Queue;

/// Requests out to a source that was not measured yet.
const WINDOW_FIRST: usize = 4;
/// Fewer would leave the link empty between two blocks.
const WINDOW_MIN: usize = 2;
/// 8 MiB of whole blocks.
const WINDOW_MAX: usize = 64;
/// A block that took less lets the pipeline grow, and one that took more than twice as long lets it shrink. So
/// about half a second of the source's rate is out.
const LATENCY_AIM: Duration = Duration::from_millis(400);
/// Taken for a source that has sent no block yet.
const LATENCY_FIRST: Duration = Duration::from_millis(500);
const PACE_FIRST: Duration = Duration::from_millis(125);
/// How long a source may take for a block.
const STALL: Duration = Duration::from_secs(20);
/// How long a busy source is left alone: twice as long each time that it still is.
const BUSY_REST: Duration = Duration::from_secs(2);
const BUSY_REST_MAX: Duration = Duration::from_secs(8);
/// A source that was nothing but busy for so long is not waited for, though it is still asked.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// Requests taken back whose blocks may still come; a source that sends older ones is taken for a bad one.
const CANCELLED_MAX: usize = 256;

/// A request that is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) len: u64,
    at: MonoMs,
    /// How many were out with it.
    depth: u32,
}

/// What a block is an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// A request of that length.
    Asked { len: u64 },
    /// One that was taken back.
    Late,
    /// Nothing.
    Unasked,
}

/// A link to somebody who has chunks.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) user: Username,
    pub(super) held: ChunkSet,
    pub(super) queue: Queue,
    /// The chunks that it fetches alone and of which not all is asked for yet: seldom more than one.
    pub(super) current: BTreeSet<u32>,
    /// It has room, and there was nothing to ask it for.
    pub(super) is_idle: bool,
    /// The link is no more: requests need not be taken back there.
    pub(super) is_gone: bool,
    /// It was busy for so long that its chunks do not count as to be had.
    pub(super) is_hopeless: bool,
    asks: BTreeMap<(u32, u64), Ask>,
    asked_len: u64,
    window: usize,
    latency: Option<Duration>,
    /// Time between two blocks.
    pace: Duration,
    progress_at: MonoMs,
    rests_until: Option<MonoMs>,
    busy_rest: Duration,
    busy_since: Option<MonoMs>,
    cancelled: VecDeque<(u32, u64)>,
}

impl Source {
    pub(super) fn new(user: Username, chunks: u32, random: &mut RandomStream) -> Self {
        Self {
            user,
            held: ChunkSet::empty(chunks),
            queue: Queue::new(random),
            current: BTreeSet::new(),
            is_idle: false,
            is_gone: false,
            is_hopeless: false,
            asks: BTreeMap::new(),
            asked_len: 0,
            window: WINDOW_FIRST,
            latency: None,
            pace: PACE_FIRST,
            progress_at: MonoMs::default(),
            rests_until: None,
            busy_rest: BUSY_REST,
            busy_since: None,
            cancelled: VecDeque::new(),
        }
    }

    /// Whether another request may go out, if it may have `share` bytes out.
    pub(super) fn has_room(&self, share: u64) -> bool {
        self.rests_until.is_none() && self.asks.len() < self.window && self.asked_len < share
    }

    pub(super) fn rests(&self) -> bool {
        self.rests_until.is_some()
    }

    pub(super) fn has_asks(&self) -> bool {
        !self.asks.is_empty()
    }

    /// What is out, of one chunk or of all.
    pub(super) fn asked(&self, chunk: Option<u32>) -> Vec<(u32, u64)> {
        let (from, to) = chunk.map_or((0, u32::MAX), |chunk| (chunk, chunk));
        self.asks.range((from, 0)..=(to, u64::MAX)).map(|(&key, _)| key).collect()
    }

    pub(super) fn ask(&mut self, chunk: u32, block: u64, len: u64, now: MonoMs) {
        if self.asks.is_empty() {
            self.progress_at = now;
        }
        let depth = u32::try_from(self.asks.len() + 1).unwrap_or(u32::MAX);
        self.asks.insert((chunk, block), Ask { len, at: now, depth });
        self.asked_len += len;
        self.is_idle = false;
    }

    /// A block came, whole or not.
    pub(super) fn answered(&mut self, chunk: u32, block: u64, len: u64, now: MonoMs) -> Answered {
        if let Some(ask) = self.asks.remove(&(chunk, block)) {
            self.asked_len -= ask.len;
            if ask.len == len {
                self.measure(ask, now);
            }
            return Answered::Asked { len: ask.len };
        }
        let Some(place) = self.cancelled.iter().position(|&key| key == (chunk, block)) else {
            return Answered::Unasked;
        };
        self.cancelled.remove(place);
        self.progress_at = now;
        Answered::Late
    }

    /// A block will not come; the request's length, if there was one.
    pub(super) fn refused(&mut self, chunk: u32, block: u64, now: MonoMs) -> Option<u64> {
        let ask = self.asks.remove(&(chunk, block))?;
        self.asked_len -= ask.len;
        self.progress_at = now;
        Some(ask.len)
    }

    /// Takes a request back; its length.
    pub(super) fn cancel(&mut self, chunk: u32, block: u64) -> Option<u64> {
        let ask = self.asks.remove(&(chunk, block))?;
        self.asked_len -= ask.len;
        if self.cancelled.len() >= CANCELLED_MAX {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back((chunk, block));
        Some(ask.len)
    }

    /// Lets it alone for a while. Whether it was busy for too long.
    pub(super) fn busy(&mut self, now: MonoMs) -> bool {
        if self.rests_until.is_none() {
            self.rest(self.busy_rest, now);
            self.busy_rest = (self.busy_rest * 2).min(BUSY_REST_MAX);
        }
        now.since(*self.busy_since.get_or_insert(now)) >= BUSY_MAX
    }

    pub(super) fn rest(&mut self, span: Duration, now: MonoMs) {
        self.rests_until = Some(now.after(span));
        self.window = WINDOW_FIRST;
        self.is_idle = false;
    }

    /// Whether a rest is over just now.
    pub(super) fn wakes(&mut self, now: MonoMs) -> bool {
        self.rests_until.take_if(|until| *until <= now).is_some()
    }

    pub(super) fn stalls(&self, now: MonoMs) -> bool {
        self.has_asks() && now.since(self.progress_at) >= STALL
    }

    /// When it is to be looked at again, if nothing comes.
    pub(super) fn due(&self) -> Option<MonoMs> {
        let stall = self.has_asks().then(|| self.progress_at.after(STALL));
        [stall, self.rests_until].into_iter().flatten().min()
    }

    /// How long a block takes from the request on.
    pub(super) fn latency(&self) -> Duration {
        self.latency.unwrap_or(LATENCY_FIRST)
    }

    /// How long a block takes when several are out.
    pub(super) fn pace(&self) -> Duration {
        self.pace
    }

    /// How long that block may still take: as long as its source has shown nothing for, if it is overdue.
    pub(super) fn expects(&self, chunk: u32, block: u64, now: MonoMs) -> Duration {
        let Some(ask) = self.asks.get(&(chunk, block)) else { return Duration::ZERO };
        let due = ask.at.after(self.latency.unwrap_or_default());
        due.since(now).max(now.since(self.progress_at.max(ask.at)))
    }

    fn measure(&mut self, ask: Ask, now: MonoMs) {
        let took = now.since(ask.at);
        let was_full = self.asks.len() + 1 >= self.window;
        if took < LATENCY_AIM && was_full {
            self.window = (self.window + 1).min(WINDOW_MAX);
        } else if took > LATENCY_AIM * 2 {
            self.window = (self.window - 1).max(WINDOW_MIN);
        }
        // The first of several also waited for the way there and back.
        if ask.depth > 1 || self.latency.is_none() {
            let gap = now.since(self.progress_at.max(ask.at));
            self.pace = if self.latency.is_some() { (self.pace * 7 + gap) / 8 } else { gap };
        }
        self.latency = Some(self.latency.map_or(took, |latency| (latency * 3 + took) / 4));
        self.progress_at = now;
        self.busy_rest = BUSY_REST;
        self.busy_since = None;
    }
}
