//! Which chunk to begin next: the rarest that a source holds, at random among equals.
//!
//! Owns the chunks that nobody works at and how many sources hold each. Every source has a short queue of its
//! next chunks in an order of its own; it is filled again when it runs out, and once a second because rarity
//! changes. So a pick costs no walk over all chunks. Must not know links.

use core::time::Duration;

use protocol::{ChunkIndex, ChunkSet, random::RandomStream, time::MonoMs};

/// Chunks in a queue: 65,536 chunks are looked through 64 times, and a thousand sources take 8 MiB.
const QUEUE_LEN_MAX: usize = 1_024;
/// How old an order by rarity may be.
const ORDER_AGE_MAX: Duration = Duration::from_secs(1);

/// Chunks to begin.
#[derive(Debug)]
pub(super) struct Picker {
    /// Wanted, not held, and nobody works at them.
    todo: ChunkSet,
    /// How many sources hold each.
    copies: Vec<u16>,
}

/// The next chunks for one source.
#[derive(Debug)]
pub(super) struct Queue {
    /// Copies, salted hash and number in one, so that they sort in one step; the best is the last.
    keys: Vec<u64>,
    filled_at: MonoMs,
    /// There may be chunks that are not in it.
    lacks: bool,
    salt: (u64, u64),
}

impl Queue {
    pub(super) fn new(random: &mut RandomStream) -> Self {
        let mut draw = || u64::from_le_bytes(random.bytes());
        // An odd factor loses no bits.
        let salt = (draw() | 1, draw());
        Self { keys: Vec::new(), filled_at: MonoMs::default(), lacks: true, salt }
    }

    /// The source has more chunks, or more of them are wanted.
    pub(super) fn extend(&mut self) {
        self.lacks = true;
    }

    /// A chunk of that source is free again: it was wanted most before, so it comes next.
    pub(super) fn push(&mut self, chunk: ChunkIndex) {
        if self.keys.len() < 2 * QUEUE_LEN_MAX {
            self.keys.push(u64::from(chunk.0));
        } else {
            self.lacks = true;
        }
    }
}

impl Picker {
    pub(super) fn new(chunks: u32) -> Self {
        Self { todo: ChunkSet::empty(chunks), copies: vec![0; chunks as usize] }
    }

    pub(super) fn insert(&mut self, chunk: ChunkIndex) {
        self.todo.insert(chunk);
    }

    pub(super) fn remove(&mut self, chunk: ChunkIndex) {
        self.todo.remove(chunk);
    }

    pub(super) fn todo_len(&self) -> u32 {
        self.todo.len()
    }

    pub(super) fn contains(&self, chunk: ChunkIndex) -> bool {
        self.todo.contains(chunk)
    }

    /// How many sources hold it.
    pub(super) fn copies(&self, chunk: ChunkIndex) -> u16 {
        self.copies.get(chunk.0 as usize).copied().unwrap_or_default()
    }

    /// Whether some source holds something that nobody works at.
    pub(super) fn has_some(&self) -> bool {
        self.todo.iter().any(|chunk| self.copies(chunk) > 0)
    }

    /// One source more holds these.
    pub(super) fn gained(&mut self, chunks: impl Iterator<Item = ChunkIndex>) {
        for chunk in chunks {
            if let Some(copies) = self.copies.get_mut(chunk.0 as usize) {
                *copies = copies.saturating_add(1);
            }
        }
    }

    /// One source less holds these.
    pub(super) fn lost(&mut self, chunks: impl Iterator<Item = ChunkIndex>) {
        for chunk in chunks {
            if let Some(copies) = self.copies.get_mut(chunk.0 as usize) {
                *copies = copies.saturating_sub(1);
            }
        }
    }

    /// The next chunk for the source that has this queue and holds these.
    pub(super) fn pick(&self, queue: &mut Queue, held: &ChunkSet, now: MonoMs) -> Option<ChunkIndex> {
        let is_old = !queue.keys.is_empty() && now.since(queue.filled_at) >= ORDER_AGE_MAX;
        if is_old {
            self.fill(queue, held, now);
        }
        loop {
            while let Some(key) = queue.keys.pop() {
                let chunk = chunk_of(key);
                if self.todo.contains(chunk) && held.contains(chunk) {
                    return Some(chunk);
                }
            }
            if !queue.lacks {
                return None;
            }
            self.fill(queue, held, now);
        }
    }

    fn fill(&self, queue: &mut Queue, held: &ChunkSet, now: MonoMs) {
        let (few, many) = if held.len() < self.todo.len() { (held, &self.todo) } else { (&self.todo, held) };
        let (factor, shift) = queue.salt;
        let key = |chunk: ChunkIndex| {
            let hash = u64::from(chunk.0).wrapping_mul(factor).wrapping_add(shift) >> 32;
            u64::from(self.copies(chunk)) << 48 | hash << 16 | u64::from(chunk.0)
        };
        queue.keys.clear();
        queue.keys.extend(few.iter().filter(|&chunk| many.contains(chunk)).map(key));
        queue.lacks = queue.keys.len() > QUEUE_LEN_MAX;
        if queue.lacks {
            queue.keys.select_nth_unstable(QUEUE_LEN_MAX);
            queue.keys.truncate(QUEUE_LEN_MAX);
            queue.keys.shrink_to_fit();
        }
        queue.keys.sort_unstable_by(|a, b| b.cmp(a));
        queue.filled_at = now;
    }
}

/// A file has at most 65,536 chunks, so its number is the key's last two bytes.
fn chunk_of(key: u64) -> ChunkIndex {
    let [.., high, low] = key.to_be_bytes();
    ChunkIndex(u32::from(u16::from_be_bytes([high, low])))
}
