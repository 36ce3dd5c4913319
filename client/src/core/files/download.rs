//! One download: from the holders that the server names to a file under its own name.
//!
//! Owns the order of its steps and the commands that wait for it. Must not know how blocks are chosen (`swarm`),
//! whom to ask (`sources`) or when to give up (`seek`).

use std::{path::PathBuf, sync::Arc};

use protocol::{
    ChunkIndex, ChunkSet, ErrorCode, FileId, FileName, Layout, Manifest, NoBlockReason, Username,
    time::MonoMs,
};

use super::{
    Base, Misbehaved, PROGRESS_PAUSE, ServerAnswer,
    disk::{DiskError, DiskReply},
    out::{Out, disk_failure},
    piecewise::{Piece, Piecewise},
    seek::Seek,
    sources::Sources,
    start::cancelled,
    swarm::{Figures, Swarm},
    waiter::Waiter,
};
use crate::core::{Direction, Event, Transfer, peers::LinkId};

#[derive(Debug)]
pub(super) struct Download {
    pub(super) name: FileName,
    pub(super) file: FileId,
    pub(super) layout: Layout,
    pub(super) wanted: ChunkSet,
    pub(super) waiters: Vec<Waiter>,
    pub(super) sources: Sources,
    pub(super) seek: Seek,
    pub(super) step: Step,
    /// Whether something happened after which the next step may be possible.
    pub(super) is_stirred: bool,
    due: MonoMs,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The manifest is fetched.
    Describing(Piecewise),
    /// The disk makes room.
    Beginning(Arc<Manifest>),
    Fetching(Box<Fetch>),
    /// The file gets its name.
    Finishing(Box<Fetch>),
    Over,
}

#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) swarm: Swarm,
    /// Where the bytes lie meanwhile.
    pub(super) path: PathBuf,
}

impl Download {
    pub(super) fn new(name: FileName, file: FileId, layout: Layout, base: &mut Base) -> Self {
        let now = base.out.now;
        let mut download = Self {
            name,
            file,
            layout,
            wanted: ChunkSet::empty(layout.chunks()),
            waiters: Vec::new(),
            sources: Sources::default(),
            seek: Seek::new(now),
            step: Step::Describing(Piecewise::new(file, layout)),
            is_stirred: true,
            due: now.after(PROGRESS_PAUSE),
        };
        if let Some(manifest) = base.shares.get(file).map(|share| share.manifest.clone()) {
            download.begin(manifest, base);
        }
        download
    }

    pub(super) fn name(&self) -> &FileName {
        &self.name
    }

    /// One more command waits for it.
    pub(super) fn join(
        &mut self,
        number: u64,
        asked: ChunkSet,
        holders: Vec<(Username, ChunkSet)>,
        base: &mut Base,
    ) {
        asked.iter().for_each(|chunk| _ = self.wanted.insert(chunk));
        self.sources.found(holders, base);
        let mut waiter = Waiter::new(number, asked, self.layout, base.out.now);
        if let Step::Fetching(fetch) | Step::Finishing(fetch) = &mut self.step {
            fetch.swarm.want(&self.wanted);
            waiter.begins(&fetch.swarm);
        }
        self.waiters.push(waiter);
        self.stir(base);
    }

    /// The server has answered a search.
    pub(super) fn search_answered(&mut self, answer: ServerAnswer, base: &mut Base) {
        match answer {
            ServerAnswer::Found { file, holders, .. } if file == self.file => {
                self.seek.answered();
                self.sources.found(holders, base);
            }
            // The name was taken back, or given to another file: those who hold this one may be there still.
            ServerAnswer::Found { .. } | ServerAnswer::Refused { .. } => self.seek.answered(),
            _ => self.seek.lost(),
        }
        self.stir(base);
    }

    /// There is a new connection to the server.
    pub(super) fn search_again(&mut self, base: &mut Base) {
        self.seek.hurry();
        self.stir(base);
    }

    /// Links came, or will not come.
    pub(super) fn sources_changed(&mut self, base: &mut Base) {
        self.stir(base);
    }

    pub(super) fn link_closed(&mut self, link: LinkId, base: &mut Base) {
        if self.sources.leave(link) {
            self.lose(link, base);
            self.stir(base);
        }
    }

    pub(super) fn manifest_piece(&mut self, link: LinkId, offset: u32, bytes: &[u8], base: &mut Base) {
        let Step::Describing(pieces) = &mut self.step else { return };
        match pieces.piece(link, offset, bytes, &mut base.out) {
            Piece::Unasked => {}
            Piece::Taken => self.moved(base),
            Piece::Whole(manifest) => {
                self.moved(base);
                self.begin(Arc::new(manifest), base);
            }
            Piece::Wrong => {
                if let Some(user) = self.sources.user(link).cloned() {
                    self.expel(&user, "sent a wrong manifest", base);
                }
                self.stir(base);
            }
            Piece::OtherLayout => {
                let text = format!("'{}' is not what it was registered as; nobody can fetch it.", self.name);
                self.fail_all(ErrorCode::NotAvailable, &text, base);
            }
        }
    }

    pub(super) fn holds(&mut self, link: LinkId, held: &[u8], base: &mut Base) -> Result<(), Misbehaved> {
        if self.sources.user(link).is_none() {
            return Ok(());
        }
        let held = ChunkSet::decode(held, self.layout.chunks())
            .map_err(|_| Misbehaved("says it holds chunks that cannot be"))?;
        if self.sources.holds(link, held.len()) {
            self.seek.grew(base.out.now);
        }
        if let Step::Fetching(fetch) = &mut self.step {
            fetch.swarm.holds(link, held, base.out.now);
        }
        self.is_stirred = true;
        Ok(())
    }

    pub(super) fn no_file(&mut self, link: LinkId, base: &mut Base) {
        self.sources.declined(link, base.out.now);
        self.lose(link, base);
        self.stir(base);
    }

    pub(super) fn block(&mut self, link: LinkId, chunk: u32, offset: u64, bytes: &[u8], base: &mut Base) {
        if base.asked.is_late((link, self.file, chunk, offset)) {
            return;
        }
        let Step::Fetching(fetch) = &mut self.step else { return };
        if self.sources.user(link).is_some() {
            fetch.swarm.block(link, chunk, offset, bytes, base.out.now);
            base.out.active();
            self.moved(base);
        }
    }

    pub(super) fn no_block(
        &mut self,
        link: LinkId,
        (chunk, offset): (u32, u64),
        reason: NoBlockReason,
        base: &mut Base,
    ) {
        if base.asked.is_late((link, self.file, chunk, offset)) {
            return;
        }
        let Step::Fetching(fetch) = &mut self.step else { return };
        fetch.swarm.no_block(link, chunk, offset, reason, base.out.now);
        self.is_stirred = true;
    }

    /// The disk has answered a job of this download's.
    pub(super) fn disk(&mut self, reply: DiskReply, base: &mut Base) {
        match (&mut self.step, reply) {
            (Step::Beginning(manifest), DiskReply::Begun { held, path, .. }) => {
                let manifest = manifest.clone();
                self.begun(manifest, &held, path, base);
            }
            (Step::Finishing(_), DiskReply::Finished { path, .. }) => self.finished(&path, base),
            (Step::Beginning(_) | Step::Finishing(_), DiskReply::Failed { error, .. }) => {
                self.broken(&error, base);
                self.step = Step::Over;
            }
            _ => {}
        }
    }

    pub(super) fn wrote(&mut self, len: usize, base: &mut Base) {
        if let Step::Fetching(fetch) = &mut self.step {
            fetch.swarm.wrote(len, base.out.now);
        }
    }

    pub(super) fn verified(&mut self, chunk: ChunkIndex, right: bool, base: &mut Base) {
        if let Step::Fetching(fetch) = &mut self.step {
            fetch.swarm.verified(chunk, right, base.out.now);
            self.is_stirred = true;
        }
    }

    /// The disk cannot go on.
    pub(super) fn broken(&mut self, error: &DiskError, base: &mut Base) {
        let (code, text) = disk_failure(self.name.as_str(), error);
        self.fail_all(code, &text, base);
    }

    /// Somebody else has changed what was there of it.
    pub(super) fn changed(&mut self, base: &mut Base) {
        self.broken(&DiskError::Changed, base);
    }

    /// So many bytes more may be asked for.
    pub(super) fn allow(&mut self, bytes: u64, base: &mut Base) {
        if let Step::Fetching(fetch) = &mut self.step {
            fetch.swarm.allow(bytes, base.out.now);
        }
    }

    pub(super) fn is_fetching(&self) -> bool {
        matches!(self.step, Step::Fetching(_))
    }

    /// Ends the commands that wait, if it has that name; whether there were any.
    pub(super) fn cancel(&mut self, name: &str, base: &mut Base) -> bool {
        if self.name.as_str() != name || self.waiters.is_empty() || matches!(self.step, Step::Finishing(_)) {
            return false;
        }
        let (code, text) = cancelled(name);
        self.fail_all(code, &text, base);
        true
    }

    pub(super) fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// The commands that will not be answered.
    pub(super) fn abandon(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.waiters).into_iter().map(|waiter| waiter.number).collect()
    }

    pub(super) fn uses(&self, link: LinkId) -> bool {
        self.sources.user(link).is_some()
    }

    pub(super) fn transfer(&self, out: &Out) -> Transfer {
        let mut whole = Waiter::new(0, self.wanted.clone(), self.layout, out.now);
        let mut figures = Figures::default();
        if let Step::Fetching(fetch) | Step::Finishing(fetch) = &self.step {
            whole.begins(&fetch.swarm);
            figures = fetch.swarm.figures();
        }
        let users = self.sources.links().filter_map(|link| self.sources.user(link).cloned()).collect();
        Transfer { direction: Direction::Download, progress: whole.progress(&self.name, &figures), users }
    }

    pub(super) fn handle_timeout(&mut self, base: &mut Base) {
        let now = base.out.now;
        match &mut self.step {
            Step::Describing(pieces) => {
                self.is_stirred |= pieces.poll_timeout().is_some_and(|due| due <= now);
            }
            Step::Fetching(fetch) if fetch.swarm.poll_timeout().is_some_and(|due| due <= now) => {
                fetch.swarm.handle_timeout(now);
                self.is_stirred = true;
            }
            _ => {}
        }
        if self.due > now {
            return;
        }
        self.due = now.after(PROGRESS_PAUSE);
        self.is_stirred = true;
        if let Step::Fetching(fetch) = &self.step {
            let figures = fetch.swarm.figures();
            for waiter in &mut self.waiters {
                if waiter.is_due(now) {
                    let (number, progress) = (waiter.number, waiter.progress(&self.name, &figures));
                    base.out.show(Event::Progress { number, progress });
                }
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoMs> {
        let step = match &self.step {
            Step::Describing(pieces) => pieces.poll_timeout(),
            Step::Fetching(fetch) => fetch.swarm.poll_timeout(),
            _ => return None,
        };
        step.into_iter().chain([self.due]).min()
    }
}
