//! How a download goes on by itself, as far as what is known allows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::{ChunkSet, ErrorCode, Manifest, PeerFrame, Username, random::RandomStream};

use super::{
    Base, Question,
    disk::DiskJob,
    download::{Download, Fetch, Step},
    out::{NOT_CONNECTED, Owner},
    seek::not_available,
    sources::Changes,
    swarm::{ExpelReason, Status, Swarm, SwarmOutput},
};
use crate::core::{Event, Outcome, peers::LinkId};

impl Download {
    /// Goes as far as it can; whether it is over.
    pub(super) fn advance(&mut self, base: &mut Base) -> bool {
        self.pump(base);
        if std::mem::take(&mut self.is_stirred) {
            self.answer(base);
            if self.waiters.is_empty() {
                self.stop(base);
            }
            match self.step {
                Step::Describing(_) => self.describe(base),
                Step::Fetching(_) => self.fetch(base),
                Step::Beginning(_) | Step::Finishing(_) | Step::Over => {}
            }
            self.pump(base);
        }
        matches!(self.step, Step::Over)
    }

    /// The manifest is known.
    pub(super) fn begin(&mut self, manifest: Arc<Manifest>, base: &mut Base) {
        let name = self.name.clone();
        base.out.job(Owner::Download(self.file), |job| DiskJob::Begin {
            job,
            name,
            manifest: manifest.clone(),
        });
        self.step = Step::Beginning(manifest);
    }

    /// There is room on the disk, and these chunks are there.
    pub(super) fn begun(&mut self, manifest: Arc<Manifest>, held: &ChunkSet, path: PathBuf, base: &mut Base) {
        base.shares.offer(&self.name, self.file, &manifest, held, false, &mut base.out);
        let now = base.out.now;
        let random = RandomStream::from_seed(base.random.bytes());
        let mut swarm = Swarm::new(manifest, held.clone(), self.wanted.clone(), random);
        if base.is_limited {
            swarm.allow(0, now);
        }
        self.waiters.iter_mut().for_each(|waiter| waiter.begins(&swarm));
        self.step = Step::Fetching(Box::new(Fetch { swarm, path }));
        for (link, user, held) in self.sources.joined() {
            self.use_source(link, user, held, base);
        }
        self.seek.moved(now);
        self.is_stirred = true;
    }

    /// The file stands under its own name.
    pub(super) fn finished(&mut self, path: &Path, base: &mut Base) {
        base.shares.completed(self.file);
        if let Step::Finishing(fetch) = &self.step {
            base.shares.announce(self.file, &mut base.out);
            for waiter in self.waiters.drain(..) {
                let done = waiter.downloaded(&self.name, &fetch.swarm, path.to_path_buf());
                base.out
                    .show(Event::Ok { number: waiter.number, outcome: Outcome::Download(Box::new(done)) });
            }
        }
        self.step = Step::Over;
    }

    /// All commands that wait end like that, and so does the download.
    pub(super) fn fail_all(&mut self, code: ErrorCode, text: &str, base: &mut Base) {
        base.shares.announce(self.file, &mut base.out);
        for waiter in self.waiters.drain(..) {
            base.out.fail(waiter.number, "download", code, text);
        }
        self.stop(base);
    }

    /// Something happened after which more may be possible.
    pub(super) fn stir(&mut self, base: &mut Base) {
        self.is_stirred = true;
        let missing = self.missing();
        let changes = self.sources.link_up(&missing, base);
        self.take_over(changes, base);
    }

    pub(super) fn moved(&mut self, base: &mut Base) {
        self.seek.moved(base.out.now);
        self.sources.moved();
    }

    /// That link is no source any more.
    pub(super) fn lose(&mut self, link: LinkId, base: &mut Base) {
        base.asked.drop_all(link, self.file);
        match &mut self.step {
            Step::Describing(pieces) => pieces.failed(link),
            Step::Fetching(fetch) => fetch.swarm.source_left(link, base.out.now),
            _ => {}
        }
        self.is_stirred = true;
    }

    pub(super) fn expel(&mut self, user: &Username, what: &str, base: &mut Base) {
        self.sources.expel(user);
        let text =
            format!("{user} {what} while you fetched '{}', and is asked for no more of it.", self.name);
        base.out.show(Event::Notice { text });
    }

    /// Carries out what the swarm wants.
    fn pump(&mut self, base: &mut Base) {
        let file = self.file;
        let Step::Fetching(fetch) = &mut self.step else { return };
        let mut expelled = Vec::new();
        while let Some(output) = fetch.swarm.poll_output() {
            match output {
                SwarmOutput::Request { link, chunk, offset, len } => {
                    base.asked.ask((link, file, chunk.0, offset));
                    base.out.send(link, &PeerFrame::Request { file, chunk: chunk.0, offset, len });
                }
                SwarmOutput::Cancel { link, chunk, offset } => {
                    base.asked.take_back((link, file, chunk.0, offset));
                    base.out.send(link, &PeerFrame::Cancel { file, chunk: chunk.0, offset });
                }
                SwarmOutput::Write { chunk, offset, bytes } => {
                    base.out.disk(DiskJob::Write { file, chunk, offset, bytes });
                }
                SwarmOutput::Verify { chunk } => base.out.disk(DiskJob::Verify { file, chunk }),
                SwarmOutput::Held { chunk } => {
                    self.waiters.iter_mut().for_each(|waiter| waiter.held(chunk));
                    self.is_stirred = true;
                }
                SwarmOutput::Expel { user, reason, .. } => expelled.push((user, reason)),
            }
        }
        for (user, reason) in expelled {
            self.is_stirred = true;
            match reason {
                ExpelReason::WrongChunks | ExpelReason::BadBlocks => {
                    self.expel(&user, &reason.to_string(), base);
                }
                // A bad line is nothing to tell.
                ExpelReason::Stalled | ExpelReason::LetDown => self.sources.expel(&user),
            }
        }
    }

    /// Answers those who have what they asked for; a whole file gets its name first.
    fn answer(&mut self, base: &mut Base) {
        let Step::Fetching(fetch) = &mut self.step else { return };
        if fetch.swarm.held().is_full() {
            let file = self.file;
            base.out.job(Owner::Download(file), |job| DiskJob::Finish { job, file });
            if let Step::Fetching(fetch) = std::mem::replace(&mut self.step, Step::Over) {
                self.step = Step::Finishing(fetch);
            }
            return;
        }
        if self.waiters.iter().any(super::waiter::Waiter::has_all) {
            base.shares.announce(self.file, &mut base.out);
        }
        self.waiters.retain(|waiter| {
            if waiter.has_all() {
                let done = waiter.downloaded(&self.name, &fetch.swarm, fetch.path.clone());
                base.out
                    .show(Event::Ok { number: waiter.number, outcome: Outcome::Download(Box::new(done)) });
            }
            !waiter.has_all()
        });
    }

    /// Nobody waits for it: what is held stays, and is offered.
    fn stop(&mut self, base: &mut Base) {
        match &mut self.step {
            Step::Describing(_) => self.step = Step::Over,
            Step::Fetching(fetch) => {
                for link in self.sources.links() {
                    base.asked.drop_all(link, self.file);
                    fetch.swarm.source_left(link, base.out.now);
                }
                self.pump(base);
                base.out.disk(DiskJob::Pause { file: self.file });
                self.step = Step::Over;
            }
            // It ends when the disk has answered.
            Step::Beginning(_) | Step::Finishing(_) | Step::Over => {}
        }
    }

    fn describe(&mut self, base: &mut Base) {
        let links: Vec<LinkId> = self.sources.links().collect();
        let Step::Describing(pieces) = &mut self.step else { return };
        if pieces.ask(links.into_iter(), &mut base.out) {
            self.seek.is_fed();
            self.search(base);
        } else {
            let wanted = self.wanted.clone();
            self.starved(&wanted, base);
        }
    }

    fn fetch(&mut self, base: &mut Base) {
        let Step::Fetching(fetch) = &self.step else { return };
        match fetch.swarm.status() {
            Status::Starved { missing } => self.starved(&missing, base),
            Status::Working | Status::Done => {
                self.seek.is_fed();
                self.search(base);
            }
        }
    }

    fn search(&mut self, base: &mut Base) {
        if self.seek.is_still(base.out.now) {
            let (code, text) = not_available(&self.name, &self.missing());
            return self.fail_all(code, &text, base);
        }
        if self.seek.search(base.out.now) {
            let name = self.name.clone();
            base.out.ask(Owner::Download(self.file), Question::Search { name });
        }
    }

    /// Nobody in reach has what is missing: gives up when that is certain.
    fn starved(&mut self, missing: &ChunkSet, base: &mut Base) {
        let now = base.out.now;
        let is_sure = self.seek.is_starved_for_sure(now);
        self.search(base);
        if matches!(self.step, Step::Over) {
            return;
        }
        if self.seek.is_server_away(now) {
            return self.fail_all(ErrorCode::NotConnected, NOT_CONNECTED, base);
        }
        if !is_sure || self.sources.try_all(missing, base) || self.seek.is_growing(now) {
            return;
        }
        if let Step::Describing(pieces) = &mut self.step
            && pieces.forgive()
        {
            self.is_stirred = true;
            return;
        }
        let (code, text) = not_available(&self.name, missing);
        self.fail_all(code, &text, base);
    }

    fn missing(&self) -> ChunkSet {
        let mut missing = self.wanted.clone();
        if let Step::Fetching(fetch) | Step::Finishing(fetch) = &self.step {
            fetch.swarm.held().iter().for_each(|chunk| _ = missing.remove(chunk));
        }
        missing
    }

    fn take_over(&mut self, changes: Changes, base: &mut Base) {
        for link in changes.left {
            self.lose(link, base);
        }
        for (link, user, held) in changes.joined {
            self.use_source(link, user, held, base);
        }
    }

    /// What the server says of a source saves waiting for what it says itself.
    fn use_source(&mut self, link: LinkId, user: Username, held: ChunkSet, base: &mut Base) {
        if let Step::Fetching(fetch) = &mut self.step {
            fetch.swarm.source_joined(link, user, base.out.now);
            fetch.swarm.holds(link, held, base.out.now);
            base.out.send(link, &PeerFrame::WantHolds { file: self.file });
        }
    }
}
