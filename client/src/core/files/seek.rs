//! When a download asks the server again who has what, and when it gives up.
//!
//! Owns the bounds that let no download hang for ever: without any useful byte it ends after [`STILL_MAX`], and
//! when nobody in reach has what is missing, after one fresh search and one fresh try of everybody the server
//! names. Must not know links or chunks.

use core::time::Duration;

use protocol::{ChunkSet, ErrorCode, FileName, time::MonoMs};

/// Between two searches of one download.
const SEARCH_PAUSE: Duration = Duration::from_secs(3);
/// The same while nothing can be had.
const SEARCH_PAUSE_STARVED: Duration = Duration::from_secs(1);
/// How long a download goes on without a useful byte: longer than any queue for a slot that moves at all.
const STILL_MAX: Duration = Duration::from_secs(300);
/// Those in reach may be about to get what is missing: how long to wait after one of them got something.
const GROWING: Duration = Duration::from_secs(10);
/// How long the server may be away while nothing can be had.
const SERVER_AWAY_MAX: Duration = Duration::from_secs(30);
/// Ranges of chunks named one by one in a text.
const RANGES_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Seek {
    /// When the last search was asked, and whether its answer is still to come.
    asked_at: MonoMs,
    is_asked: bool,
    /// When the last search was asked that was answered.
    answered_of: MonoMs,
    starved_since: Option<MonoMs>,
    moved_at: MonoMs,
    grew_at: Option<MonoMs>,
}

impl Seek {
    /// As after a search that was answered just now.
    pub(super) fn new(now: MonoMs) -> Self {
        Self {
            asked_at: now,
            is_asked: false,
            answered_of: now,
            starved_since: None,
            moved_at: now,
            grew_at: None,
        }
    }

    /// Whether to search now; if so it counts as done.
    pub(super) fn search(&mut self, now: MonoMs) -> bool {
        let pause = if self.starved_since.is_some() { SEARCH_PAUSE_STARVED } else { SEARCH_PAUSE };
        if self.is_asked || now.since(self.asked_at) < pause {
            return false;
        }
        self.is_asked = true;
        self.asked_at = now;
        true
    }

    pub(super) fn answered(&mut self) {
        self.is_asked = false;
        self.answered_of = self.asked_at;
    }

    /// The server did not answer, for want of a connection.
    pub(super) fn lost(&mut self) {
        self.is_asked = false;
    }

    /// Whatever was learnt is old: the next chance is used to search.
    pub(super) fn hurry(&mut self) {
        self.asked_at = MonoMs::default();
    }

    pub(super) fn moved(&mut self, now: MonoMs) {
        self.moved_at = now;
    }

    /// A source has more than before.
    pub(super) fn grew(&mut self, now: MonoMs) {
        self.grew_at = Some(now);
    }

    pub(super) fn is_fed(&mut self) {
        self.starved_since = None;
    }

    /// Nobody in reach has what is missing; whether that is still so by a search made since.
    pub(super) fn is_starved_for_sure(&mut self, now: MonoMs) -> bool {
        let since = *self.starved_since.get_or_insert(now);
        self.answered_of >= since
    }

    pub(super) fn is_growing(&self, now: MonoMs) -> bool {
        self.grew_at.is_some_and(|at| now.since(at) < GROWING)
    }

    pub(super) fn is_server_away(&self, now: MonoMs) -> bool {
        self.starved_since
            .is_some_and(|since| now.since(since) >= SERVER_AWAY_MAX && self.answered_of < since)
    }

    pub(super) fn is_still(&self, now: MonoMs) -> bool {
        now.since(self.moved_at) >= STILL_MAX
    }
}

/// What a download says when these chunks cannot be had.
pub(super) fn not_available(name: &FileName, missing: &ChunkSet) -> (ErrorCode, String) {
    let chunks = if missing.len() == 1 { "chunk" } else { "chunks" };
    let text = format!(
        "Nobody who can be reached has {chunks} {} of '{name}'. What you have is kept; try again later.",
        ranges(missing)
    );
    (ErrorCode::NotAvailable, text)
}

/// `0-3, 5, 9-12`.
fn ranges(chunks: &ChunkSet) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for chunk in chunks.iter() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == chunk.0 => *last = chunk.0,
            _ => ranges.push((chunk.0, chunk.0)),
        }
    }
    let word = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let words: Vec<String> = ranges.iter().take(RANGES_MAX).map(word).collect();
    let more = if ranges.len() > RANGES_MAX { " and more" } else { "" };
    format!("{}{more}", words.join(", "))
}
