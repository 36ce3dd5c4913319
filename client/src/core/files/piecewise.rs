//! Fetches a manifest, piece after piece from one holder, so that a wrong one shows who lied.
//!
//! Owns the order of the pieces and the patience with one holder. Must not know chunks.

use core::time::Duration;
use std::collections::BTreeSet;

use protocol::{FileId, Layout, Manifest, PeerFrame, limits::BLOCK_LEN_MAX, time::MonoMs};

use super::out::Out;
use crate::core::peers::LinkId;

/// How long a holder may take for a piece.
const STALL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Piecewise {
    file: FileId,
    layout: Layout,
    /// What has come from the present holder; at most 2 MiB.
    bytes: Vec<u8>,
    from: Option<(LinkId, MonoMs)>,
    /// Holders that did not give it.
    failed: BTreeSet<LinkId>,
    /// Whether they got their second chance.
    is_forgiven: bool,
}

/// What came of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It was not asked for.
    Unasked,
    /// More is to come.
    Taken,
    /// That was the last.
    Whole(Manifest),
    /// It is not what it should be, and this holder is to blame.
    Wrong,
    /// It is the right manifest, and says something else about the file than the server does.
    OtherLayout,
}

impl Piecewise {
    pub(super) fn new(file: FileId, layout: Layout) -> Self {
        Self { file, layout, bytes: Vec::new(), from: None, failed: BTreeSet::new(), is_forgiven: false }
    }

    /// Sees to it that somebody is asked; `false` if there is nobody among `links` who has not failed.
    pub(super) fn ask(&mut self, links: impl Iterator<Item = LinkId>, out: &mut Out) -> bool {
        if let Some((link, _)) = self.from.filter(|(_, until)| *until <= out.now) {
            self.failed(link);
        }
        if self.from.is_none()
            && let Some(link) = links.into_iter().find(|link| !self.failed.contains(link))
        {
            self.ask_next(link, out);
        }
        self.from.is_some()
    }

    pub(super) fn piece(&mut self, link: LinkId, offset: u32, piece: &[u8], out: &mut Out) -> Piece {
        let is_asked = self.from.is_some_and(|(from, _)| from == link) && self.bytes.len() == offset as usize;
        if !is_asked {
            return Piece::Unasked;
        }
        let len = Manifest::encoded_len(&self.layout);
        if piece.len() != (len - self.bytes.len()).min(BLOCK_LEN_MAX) {
            self.failed(link);
            return Piece::Wrong;
        }
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() < len {
            self.ask_next(link, out);
            return Piece::Taken;
        }
        match Manifest::decode(&self.bytes, self.file) {
            Ok(manifest) if manifest.layout() == self.layout => Piece::Whole(manifest),
            Ok(_) => Piece::OtherLayout,
            Err(_) => {
                self.failed(link);
                Piece::Wrong
            }
        }
    }

    /// That holder will not give it.
    pub(super) fn failed(&mut self, link: LinkId) {
        self.failed.insert(link);
        if self.from.take_if(|(from, _)| *from == link).is_some() {
            self.bytes = Vec::new();
        }
    }

    /// Those who failed get another chance, but only one; whether anybody does.
    pub(super) fn forgive(&mut self) -> bool {
        !std::mem::replace(&mut self.is_forgiven, true) && !std::mem::take(&mut self.failed).is_empty()
    }

    /// When the present holder has taken too long.
    pub(super) fn poll_timeout(&self) -> Option<MonoMs> {
        self.from.map(|(_, until)| until)
    }

    fn ask_next(&mut self, link: LinkId, out: &mut Out) {
        self.from = Some((link, out.now.after(STALL)));
        let offset = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        out.send(link, &PeerFrame::WantManifest { file: self.file, offset });
    }
}
