//! What others fetch from this client: their requests, whose turn it is, and how fast.
//!
//! Owns the slots, the queues and the reads in the air, all bounded. Must not know downloads. What is held it is
//! told with each request.

use core::{ops::Bound, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use protocol::{
    ChunkIndex, FileId, FileName, Manifest, NoBlockReason, PeerFrame, Username, limits::BLOCK_LEN_MAX,
    time::MonoMs,
};

use super::{
    Misbehaved,
    disk::{DiskError, DiskJob, JobId},
    out::{OpenLink, Out, Owner},
    pace::{Bucket, Meter},
    shares::Share,
};
use crate::core::{Direction, Progress, Transfer, peers::LinkId};

/// Peers that are served at a time: enough to fill any line, few enough that each gets on.
pub(super) const SLOTS: usize = 8;
/// A peer that has asked for nothing in this time makes room for another.
const SLOT_IDLE: Duration = Duration::from_secs(2);
/// A peer that takes nothing of what waits for him in this time makes room too.
const SLOT_STALL: Duration = Duration::from_secs(20);
/// Requests of one link that wait for their turn.
pub(super) const QUEUE_MAX: usize = 64;
/// Bytes read and not yet taken by a link: enough to keep a fast one busy.
const READY_LEN_MAX: usize = 1024 * 1024;

/// What a read counts for at least, so that tiny ones do not pile up at the disk.
const READ_LEN_MIN: usize = 16 * 1024;

/// What a peer wants read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Piece { file: FileId, offset: u32 },
    Block { file: FileId, chunk: ChunkIndex, offset: u64, len: u32 },
}

#[derive(Debug)]
struct Reading {
    link: LinkId,
    wish: Wish,
    /// The answer is not wanted any more, but its bytes still count until it comes.
    is_cancelled: bool,
}

#[derive(Debug, Default)]
struct Peer {
    queue: VecDeque<Wish>,
    reading_len: usize,
    /// While he is served: when he last asked.
    slot: Option<MonoMs>,
    /// What he got while he had this slot.
    passed: BTreeMap<FileId, (FileName, Meter)>,
}

#[derive(Debug)]
pub(super) struct Uploads {
    peers: BTreeMap<LinkId, Peer>,
    reads: BTreeMap<JobId, Reading>,
    limit: Option<Bucket>,
    /// Who was served last.
    turn: Option<LinkId>,
}

impl Uploads {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { peers: BTreeMap::new(), reads: BTreeMap::new(), limit: limit.map(Bucket::new), turn: None }
    }

    pub(super) fn want_manifest(
        &mut self,
        link: LinkId,
        file: FileId,
        offset: u32,
        share: Option<&Share>,
        out: &mut Out,
    ) -> Result<(), Misbehaved> {
        let Some(share) = share else {
            out.send(link, &PeerFrame::NoFile { file });
            return Ok(());
        };
        if offset as usize >= Manifest::encoded_len(&share.manifest.layout()) {
            return Err(Misbehaved("asked for a part behind the end of a manifest"));
        }
        let peer = self.peers.entry(link).or_default();
        if peer.queued(|wish| matches!(wish, Wish::Piece { .. })) >= QUEUE_MAX {
            return Err(Misbehaved("asked for too many parts of manifests at once"));
        }
        peer.queue.push_back(Wish::Piece { file, offset });
        self.serve(out);
        Ok(())
    }

    pub(super) fn request(
        &mut self,
        link: LinkId,
        (file, chunk, offset, len): (FileId, u32, u64, u32),
        share: Option<&Share>,
        out: &mut Out,
    ) -> Result<(), Misbehaved> {
        if len == 0 || len as usize > BLOCK_LEN_MAX {
            return Err(Misbehaved("asked for a block of an impossible length"));
        }
        let refuse = |reason, out: &mut Out| {
            out.send(link, &PeerFrame::NoBlock { file, chunk, offset, reason });
            Ok(())
        };
        let Some(share) = share else { return refuse(NoBlockReason::Gone, out) };
        let layout = share.manifest.layout();
        let index = layout
            .chunk(u64::from(chunk))
            .filter(|&index| offset.checked_add(u64::from(len)).is_some_and(|end| end <= layout.len(index)));
        let Some(chunk) = index else {
            return Err(Misbehaved("asked for bytes that the file does not have"));
        };
        if !share.held.contains(chunk) {
            return refuse(NoBlockReason::Gone, out);
        }
        let served = self.peers.values().filter(|peer| peer.slot.is_some()).count();
        let peer = self.peers.entry(link).or_default();
        let queued = peer.queued(|wish| matches!(wish, Wish::Block { .. }));
        if queued >= QUEUE_MAX || (peer.slot.is_none() && served >= SLOTS) {
            return refuse(NoBlockReason::Busy, out);
        }
        peer.slot = Some(out.now);
        peer.passed.entry(file).or_insert_with(|| (share.name.clone(), Meter::default()));
        peer.queue.push_back(Wish::Block { file, chunk, offset, len });
        self.serve(out);
        Ok(())
    }

    pub(super) fn cancel(&mut self, link: LinkId, file: FileId, chunk: u32, offset: u64) {
        let is_it = |wish: &Wish| {
            matches!(wish, Wish::Block { file: f, chunk: c, offset: o, .. }
                if (*f, c.0, *o) == (file, chunk, offset))
        };
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.queue.retain(|wish| !is_it(wish));
        }
        for reading in self.reads.values_mut().filter(|reading| reading.link == link && is_it(&reading.wish))
        {
            reading.is_cancelled = true;
        }
    }

    /// The disk has answered a read.
    pub(super) fn read(&mut self, job: JobId, bytes: Result<Vec<u8>, DiskError>, out: &mut Out) {
        let Some(Reading { link, wish, is_cancelled }) = self.reads.remove(&job) else { return };
        let Some(peer) = self.peers.get_mut(&link) else { return };
        peer.reading_len = peer.reading_len.saturating_sub(wish.weight());
        if is_cancelled {
            return self.serve(out);
        }
        match (wish, bytes) {
            (Wish::Piece { file, offset }, Ok(bytes)) => {
                out.send(link, &PeerFrame::Manifest { file, offset, bytes: &bytes });
            }
            (Wish::Piece { file, .. }, Err(_)) => out.send(link, &PeerFrame::NoFile { file }),
            (Wish::Block { file, chunk, offset, len }, Ok(bytes)) if bytes.len() == len as usize => {
                if let Some((_, meter)) = peer.passed.get_mut(&file) {
                    meter.add(u64::from(len), out.now);
                }
                out.active();
                out.send(link, &PeerFrame::Block { file, chunk: chunk.0, offset, bytes: &bytes });
            }
            (Wish::Block { file, chunk, offset, .. }, _) => {
                refuse(link, file, chunk, offset, NoBlockReason::Gone, out);
            }
        }
        self.serve(out);
    }

    /// That file is not held any more: nobody waits for it.
    pub(super) fn file_gone(&mut self, file: FileId, out: &mut Out) {
        for (&link, peer) in &mut self.peers {
            peer.queue.retain(|wish| match *wish {
                Wish::Block { file: wished, chunk, offset, .. } if wished == file => {
                    refuse(link, file, chunk, offset, NoBlockReason::Gone, out);
                    false
                }
                Wish::Piece { file: wished, .. } => wished != file,
                Wish::Block { .. } => true,
            });
        }
    }

    /// A link has taken some of what waits for it.
    pub(super) fn drained(&mut self, out: &mut Out) {
        self.serve(out);
    }

    pub(super) fn link_closed(&mut self, link: LinkId) {
        self.peers.remove(&link);
        self.reads.retain(|_, reading| reading.link != link);
    }

    /// Whether a peer on that link is being served.
    pub(super) fn uses(&self, link: LinkId) -> bool {
        self.peers.get(&link).is_some_and(|peer| peer.slot.is_some() || !peer.is_idle())
    }

    /// What is passed on now, and to whom.
    pub(super) fn transfers(&self, out: &Out) -> Vec<Transfer> {
        let mut files: BTreeMap<FileId, Transfer> = BTreeMap::new();
        for (link, peer) in &self.peers {
            let user: Option<&Username> = out.links.get(link).map(|open| &open.user);
            for (&file, (name, meter)) in &peer.passed {
                let transfer = files.entry(file).or_insert_with(|| Transfer {
                    direction: Direction::Upload,
                    progress: Progress {
                        file: name.clone(),
                        have: 0,
                        total: 0,
                        bytes: 0,
                        bytes_total: 0,
                        rate: 0,
                    },
                    users: Vec::new(),
                });
                transfer.progress.bytes += meter.total();
                transfer.progress.rate += meter.rate(out.now);
                transfer.users.extend(user.cloned());
            }
        }
        files.into_values().collect()
    }

    pub(super) fn handle_timeout(&mut self, out: &mut Out) {
        for (&link, peer) in &mut self.peers {
            if peer.slot_ends(out.links.get(&link)).is_none_or(|end| end > out.now) {
                continue;
            }
            peer.slot = None;
            peer.passed.clear();
            for wish in std::mem::take(&mut peer.queue) {
                if let Wish::Block { file, chunk, offset, .. } = wish {
                    refuse(link, file, chunk, offset, NoBlockReason::Busy, out);
                }
            }
        }
        self.serve(out);
    }

    pub(super) fn poll_timeout(&self, out: &Out) -> Option<MonoMs> {
        let slots = self.peers.iter().filter_map(|(link, peer)| peer.slot_ends(out.links.get(link)));
        let limit = self.limit.as_ref().filter(|_| self.next(out).is_some()).map(Bucket::opens_at);
        slots.chain(limit).min()
    }

    /// Reads for those whose links have room, one block each in turn.
    fn serve(&mut self, out: &mut Out) {
        while let Some(link) = self.next(out) {
            if self.limit.as_mut().is_some_and(|limit| !limit.is_open(out.now)) {
                return;
            }
            let Some(peer) = self.peers.get_mut(&link) else { return };
            let Some(wish) = peer.queue.pop_front() else { return };
            self.turn = Some(link);
            peer.reading_len += wish.weight();
            if let Some(limit) = &mut self.limit {
                limit.take(wish.len() as u64);
            }
            let job = out.job(Owner::Upload(link), |job| match wish {
                Wish::Piece { file, offset } => DiskJob::ReadManifest { job, file, offset },
                Wish::Block { file, chunk, offset, len } => DiskJob::Read { job, file, chunk, offset, len },
            });
            self.reads.insert(job, Reading { link, wish, is_cancelled: false });
        }
    }

    /// Whose turn it is.
    fn next(&self, out: &Out) -> Option<LinkId> {
        let behind = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let ahead = self.turn.map_or(Bound::Unbounded, Bound::Included);
        let all =
            self.peers.range((behind, Bound::Unbounded)).chain(self.peers.range((Bound::Unbounded, ahead)));
        let has_room = |link, peer: &Peer| {
            out.waiting_len(link) + peer.reading_len < READY_LEN_MAX && !peer.queue.is_empty()
        };
        all.filter(|&(&link, peer)| has_room(link, peer)).map(|(&link, _)| link).next()
    }
}

impl Peer {
    fn queued(&self, is_counted: impl Fn(&Wish) -> bool) -> usize {
        self.queue.iter().filter(|wish| is_counted(wish)).count()
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.reading_len == 0
    }

    /// When his slot will go to another, as things stand.
    fn slot_ends(&self, link: Option<&OpenLink>) -> Option<MonoMs> {
        let (asked_at, link) = (self.slot?, link?);
        if link.waiting_len > 0 {
            Some(link.moved_at.after(SLOT_STALL))
        } else if self.is_idle() {
            Some(asked_at.max(link.moved_at).after(SLOT_IDLE))
        } else {
            None
        }
    }
}

impl Wish {
    fn len(&self) -> usize {
        match self {
            // The disk gives no more than that; the last piece is shorter.
            Self::Piece { .. } => BLOCK_LEN_MAX,
            Self::Block { len, .. } => *len as usize,
        }
    }

    /// What it counts for while the disk reads.
    fn weight(&self) -> usize {
        self.len().max(READ_LEN_MIN)
    }
}

fn refuse(link: LinkId, file: FileId, chunk: ChunkIndex, offset: u64, reason: NoBlockReason, out: &mut Out) {
    out.send(link, &PeerFrame::NoBlock { file, chunk: chunk.0, offset, reason });
}
