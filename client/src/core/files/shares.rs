//! What this client holds and offers: whole files and parts, and who must hear of more.
//!
//! Owns the sets and their announcements, to the server and to the linked peers that asked. Must not know where
//! the bytes come from or who fetches them.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use protocol::{ChunkIndex, ChunkSet, FileId, FileName, Manifest, PeerFrame, time::MonoMs};

use super::{FilesOutput, out::Out};
use crate::core::peers::LinkId;

/// Between two announcements of one file to the server, so that small chunks do not flood it.
const SERVER_PAUSE: Duration = Duration::from_millis(500);
/// Between two announcements of one file to peers: shorter, for a peer may be waiting for just that chunk.
const PEER_PAUSE: Duration = Duration::from_millis(100);
/// A peer that lets so many bytes wait is told of more only when it has taken some.
const UPDATE_WAITING_LEN_MAX: usize = 64 * 1024;
/// How many files one link may be told about; more than anybody fetches from one peer at once.
const FOLLOWED_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Share {
    pub(super) name: FileName,
    pub(super) manifest: Arc<Manifest>,
    pub(super) held: ChunkSet,
    /// Whether it stands under its own name.
    pub(super) is_complete: bool,
    server: Told,
    peers: Told,
    /// The links that asked, and whether they must be told.
    followers: BTreeMap<LinkId, bool>,
}

/// When somebody was told last, and whether there is more to tell.
#[derive(Debug, Default)]
struct Told {
    at: Option<MonoMs>,
    is_stale: bool,
}

impl Told {
    fn due(&self, pause: Duration) -> Option<MonoMs> {
        self.is_stale.then(|| self.at.map_or(MonoMs(0), |at| at.after(pause)))
    }

    fn tell(&mut self, now: MonoMs) {
        *self = Self { at: Some(now), is_stale: false };
    }
}

#[derive(Debug, Default)]
pub(super) struct Shares {
    files: BTreeMap<FileId, Share>,
}

impl Shares {
    pub(super) fn get(&self, file: FileId) -> Option<&Share> {
        self.files.get(&file)
    }

    /// The file that stands whole under that name.
    pub(super) fn complete_under(&self, name: &FileName) -> Option<FileId> {
        self.files.iter().find(|(_, share)| share.is_complete && share.name == *name).map(|(&file, _)| file)
    }

    /// These chunks are held; what was known before stays.
    pub(super) fn offer(
        &mut self,
        name: &FileName,
        file: FileId,
        manifest: &Arc<Manifest>,
        held: &ChunkSet,
        is_complete: bool,
        out: &mut Out,
    ) {
        let share = self.files.entry(file).or_insert_with(|| Share {
            name: name.clone(),
            manifest: manifest.clone(),
            held: ChunkSet::empty(manifest.layout().chunks()),
            is_complete: false,
            server: Told::default(),
            peers: Told::default(),
            followers: BTreeMap::new(),
        });
        share.is_complete |= is_complete;
        let mut is_more = false;
        for chunk in held.iter() {
            is_more |= share.held.insert(chunk);
        }
        if is_more {
            share.grew();
            share.tell_what_is_due(file, out);
        }
    }

    /// One chunk more.
    pub(super) fn held(&mut self, file: FileId, chunk: ChunkIndex, out: &mut Out) {
        if let Some(share) = self.files.get_mut(&file)
            && share.held.insert(chunk)
        {
            share.grew();
            share.tell_what_is_due(file, out);
        }
    }

    /// It stands under its own name.
    pub(super) fn completed(&mut self, file: FileId) {
        if let Some(share) = self.files.get_mut(&file) {
            share.is_complete = true;
        }
    }

    /// It is offered no more.
    pub(super) fn remove(&mut self, file: FileId, out: &mut Out) -> Option<Share> {
        let share = self.files.remove(&file)?;
        if share.server.at.is_some() {
            let held = ChunkSet::empty(share.held.chunks());
            out.push(FilesOutput::Have { file, held });
        }
        for &link in share.followers.keys() {
            out.send(link, &PeerFrame::NoFile { file });
        }
        Some(share)
    }

    /// The server has a new connection to us, and knows nothing of it.
    pub(super) fn announce_all(&mut self, out: &mut Out) {
        for (&file, share) in &mut self.files {
            if !share.held.is_empty() {
                share.tell_server(file, out);
            }
        }
    }

    /// Before a command says that it is done, the server knows what came of it.
    pub(super) fn announce(&mut self, file: FileId, out: &mut Out) {
        if let Some(share) = self.files.get_mut(&file).filter(|share| share.server.is_stale) {
            share.tell_server(file, out);
        }
    }

    /// A peer asks what is held, now and from now on.
    pub(super) fn follow(&mut self, link: LinkId, file: FileId, out: &mut Out) {
        let followed = self.files.values().filter(|share| share.followers.contains_key(&link)).count();
        let Some(share) = self.files.get_mut(&file) else {
            return out.send(link, &PeerFrame::NoFile { file });
        };
        if followed < FOLLOWED_MAX {
            share.followers.insert(link, false);
        }
        out.send(link, &PeerFrame::Holds { file, held: &share.held.encode() });
    }

    /// Whether a peer on that link waits to hear of more chunks of a file that can still grow.
    pub(super) fn is_followed(&self, link: LinkId, is_growing: impl Fn(FileId) -> bool) -> bool {
        self.files.iter().any(|(&file, share)| share.followers.contains_key(&link) && is_growing(file))
    }

    pub(super) fn link_closed(&mut self, link: LinkId) {
        for share in self.files.values_mut() {
            share.followers.remove(&link);
        }
    }

    /// That link takes frames again.
    pub(super) fn drained(&mut self, link: LinkId, out: &mut Out) {
        for (&file, share) in &mut self.files {
            if share.followers.get(&link) == Some(&true) {
                share.tell_followers(file, out);
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, out: &mut Out) {
        for (&file, share) in &mut self.files {
            share.tell_what_is_due(file, out);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoMs> {
        self.files.values().filter_map(Share::due).min()
    }
}

impl Share {
    fn grew(&mut self) {
        self.server.is_stale = true;
        self.peers.is_stale = !self.followers.is_empty();
    }

    fn due(&self) -> Option<MonoMs> {
        self.server.due(SERVER_PAUSE).into_iter().chain(self.peers.due(PEER_PAUSE)).min()
    }

    fn tell_what_is_due(&mut self, file: FileId, out: &mut Out) {
        if self.server.due(SERVER_PAUSE).is_some_and(|due| due <= out.now) {
            self.tell_server(file, out);
        }
        if self.peers.due(PEER_PAUSE).is_some_and(|due| due <= out.now) {
            self.peers.tell(out.now);
            self.followers.values_mut().for_each(|is_owed| *is_owed = true);
            self.tell_followers(file, out);
        }
    }

    fn tell_server(&mut self, file: FileId, out: &mut Out) {
        self.server.tell(out.now);
        out.push(FilesOutput::Have { file, held: self.held.clone() });
    }

    fn tell_followers(&mut self, file: FileId, out: &mut Out) {
        let held = self.held.encode();
        for (&link, is_owed) in &mut self.followers {
            if *is_owed && out.waiting_len(link) < UPDATE_WAITING_LEN_MAX {
                *is_owed = false;
                out.send(link, &PeerFrame::Holds { file, held: &held });
            }
        }
    }
}
