//! A `download` command that waits for its chunks.
//!
//! Owns what it still needs and what it has cost. Must not know where chunks come from.

use std::path::PathBuf;

use protocol::{ChunkIndex, ChunkSet, FileName, Layout, Username, time::MonoMs};

use super::{
    PROGRESS_PAUSE,
    swarm::{Figures, Swarm},
};
use crate::core::{Downloaded, Progress};

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) number: u64,
    asked: ChunkSet,
    layout: Layout,
    /// How many of them are held, and their bytes.
    have: u32,
    have_len: u64,
    asked_len: u64,
    /// As the figures stood when it came.
    before: Figures,
    shown_at: MonoMs,
}

impl Waiter {
    pub(super) fn new(number: u64, asked: ChunkSet, layout: Layout, now: MonoMs) -> Self {
        let asked_len =
            if asked.is_full() { layout.size() } else { asked.iter().map(|chunk| layout.len(chunk)).sum() };
        let before = Figures::default();
        Self { number, asked, layout, have: 0, have_len: 0, asked_len, before, shown_at: now }
    }

    /// What is held already counts; what it has cost does not.
    pub(super) fn begins(&mut self, swarm: &Swarm) {
        swarm.held().iter().for_each(|chunk| self.held(chunk));
        self.before = swarm.figures();
    }

    /// That chunk is held now.
    pub(super) fn held(&mut self, chunk: ChunkIndex) {
        if self.asked.contains(chunk) {
            self.have += 1;
            self.have_len += self.layout.len(chunk);
        }
    }

    pub(super) fn has_all(&self) -> bool {
        self.have == self.asked.len()
    }

    /// Whether its progress should be shown; if so it counts as shown.
    pub(super) fn is_due(&mut self, now: MonoMs) -> bool {
        let is_due = now.since(self.shown_at) >= PROGRESS_PAUSE;
        if is_due {
            self.shown_at = now;
        }
        is_due
    }

    pub(super) fn progress(&self, name: &FileName, figures: &Figures) -> Progress {
        Progress {
            file: name.clone(),
            have: self.have,
            total: self.asked.len(),
            bytes: self.asked_len.min(self.have_len + figures.unverified),
            bytes_total: self.asked_len,
            rate: figures.rate,
        }
    }

    pub(super) fn downloaded(&self, name: &FileName, swarm: &Swarm, path: PathBuf) -> Downloaded {
        let figures = swarm.figures();
        let gave = |user: &Username| self.before.by_user.get(user).copied().unwrap_or_default();
        let sources = figures.by_user.iter().filter(|(user, bytes)| **bytes > gave(user));
        Downloaded {
            file: name.clone(),
            held: swarm.held().clone(),
            bytes: figures.useful.saturating_sub(self.before.useful),
            wasted: figures.wasted.saturating_sub(self.before.wasted),
            path,
            sources: sources.map(|(user, _)| user.clone()).collect(),
        }
    }
}
