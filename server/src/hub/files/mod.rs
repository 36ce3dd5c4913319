//! Files that are registered: the commands about them.
//!
//! Owns what each command checks, in the contract's order, and answers. Must not know what is in a file; the server
//! never sees one.

mod index;
mod lists;
mod quota;

use std::collections::BTreeSet;

use protocol::{ClientFrame, ErrorCode, FileId, ServerFrame, Username, file::CHUNKS_MAX};

pub use index::RegisteredFile;

use index::{Claim, FileIndex};
use lists::{List, Lists};

use super::{
    chat::Asker,
    effect::{ConnId, StoreOperation},
    known_ids::Waiter,
    ledger::Promise,
    post::Desk,
    presence::Presence,
};

/// Chunks that are looked at in the time that a direct message takes.
const CHUNKS_PER_COMMAND: u64 = 1_024;
/// Holders that are looked up in that time.
const HOLDERS_PER_COMMAND: u64 = 32;
/// Names of a list that are told in that time, and how many at once at most.
const NAMES_PER_COMMAND: u64 = 8;
const NAMES_AT_ONCE: u64 = 256;

/// The index of files, and who is being told of it.
#[derive(Debug, Default)]
pub(super) struct Files {
    index: FileIndex,
    lists: Lists,
    /// Who was told in this session that not all of what he holds is noted.
    told: BTreeSet<Username>,
}

impl Files {
    /// As the last process left them.
    pub(super) fn recover(files: Vec<RegisteredFile>) -> Self {
        Self { index: FileIndex::recover(files), ..Self::default() }
    }

    /// What a frame costs the server, in units of a direct message.
    pub(super) fn work_of(&self, frame: &ClientFrame<'_>) -> u64 {
        let more = match frame {
            ClientFrame::Register { chunks, .. } => u64::from((*chunks).min(CHUNKS_MAX)) / CHUNKS_PER_COMMAND,
            ClientFrame::Have { file, .. } => {
                let content = self.index.content(*file);
                content.map_or(0, |content| u64::from(content.layout.chunks())) / CHUNKS_PER_COMMAND
            }
            ClientFrame::Search { name, .. } => {
                let found = self.index.find(name);
                found.map_or(0, |(_, content)| content.holders.len() as u64) / HOLDERS_PER_COMMAND
            }
            ClientFrame::Files { .. } => self.index.names_count().min(NAMES_AT_ONCE) / NAMES_PER_COMMAND,
            _ => 0,
        };
        1 + more
    }

    /// Answered when it is durable. The name is taken from here on, and shown from then on.
    pub(super) fn register(
        &mut self,
        desk: &mut Desk<'_>,
        asker: &Asker<'_>,
        (name, file, size, chunks): (&str, FileId, u64, u32),
    ) {
        match self.index.register(desk.limits, (asker.user, asker.waiter.conn), name, (file, size, chunks)) {
            Ok(registered) => {
                let Waiter { conn, request } = asker.waiter;
                let name = registered.name.clone();
                desk.ledger.promise(
                    StoreOperation::RegisterFile(registered),
                    Promise::Registered { conn, request, name },
                );
            }
            Err(code) => desk.refuse(asker.waiter, code),
        }
    }

    /// Answered when it is durable. The name is shown until then, and free from then on.
    pub(super) fn unregister(&mut self, desk: &mut Desk<'_>, asker: &Asker<'_>, name: &str) {
        match self.index.unregister(asker.user, name) {
            Ok(name) => {
                let Waiter { conn, request } = asker.waiter;
                desk.ledger.promise(
                    StoreOperation::UnregisterFile { name: name.clone() },
                    Promise::Unregistered { conn, request, name },
                );
            }
            Err(code) => desk.refuse(asker.waiter, code),
        }
    }

    /// The store has answered for a promise of these files.
    pub(super) fn settle(&mut self, desk: &mut Desk<'_>, durable: bool, promise: &Promise) {
        let (conn, request) = match promise {
            Promise::Registered { conn, request, name } => {
                self.index.settle_registered(name, durable);
                (*conn, *request)
            }
            Promise::Unregistered { conn, request, name } => {
                self.index.settle_unregistered(name, durable);
                (*conn, *request)
            }
            _ => return,
        };
        if durable {
            desk.sessions.tell(conn, &ServerFrame::Done { request }, desk.now.mono, desk.limits);
        } else {
            desk.refuse(Waiter { conn, request }, ErrorCode::StoreFailed);
        }
    }

    pub(super) fn list(&mut self, desk: &mut Desk<'_>, presence: &Presence, asker: &Asker<'_>) {
        self.tell(desk, presence, asker, List::files(asker.waiter.request));
    }

    pub(super) fn search(&mut self, desk: &mut Desk<'_>, presence: &Presence, asker: &Asker<'_>, name: &str) {
        match self.index.find(name) {
            Some((file, content)) => {
                let list = List::holders(asker.waiter.request, file, content.layout);
                self.tell(desk, presence, asker, list);
            }
            None => desk.refuse(asker.waiter, ErrorCode::NotRegistered),
        }
    }

    /// Notes what a user says he holds.
    pub(super) fn have(
        &mut self,
        desk: &mut Desk<'_>,
        (user, conn): (&Username, ConnId),
        file: FileId,
        held: &[u8],
    ) {
        let text = match self.index.claim(desk.limits, (user, conn), file, held) {
            Claim::Noted => return,
            Claim::Unfit => {
                "What you hold does not fit the file that is registered: it is not on offer from you."
            }
            Claim::OverQuota => {
                "The server keeps no more of what you hold: not all of your files are on offer from you."
            }
        };
        if self.told.insert(user.clone()) {
            desk.sessions.tell(conn, &ServerFrame::Notice { text }, desk.now.mono, desk.limits);
        }
    }

    /// A connection may have room for more of its lists.
    pub(super) fn go_on(&mut self, desk: &mut Desk<'_>, presence: &Presence, conn: ConnId) {
        self.lists.go_on(desk, &self.index, presence, conn);
    }

    pub(super) fn ended(&mut self, user: &Username, conn: ConnId) {
        self.lists.ended(conn);
        self.told.remove(user);
    }

    fn tell(&mut self, desk: &mut Desk<'_>, presence: &Presence, asker: &Asker<'_>, list: List) {
        let conn = asker.waiter.conn;
        if self.lists.push(conn, list, desk.limits.lists_waiting_max) {
            self.lists.go_on(desk, &self.index, presence, conn);
        } else {
            desk.refuse(asker.waiter, ErrorCode::Quota);
        }
    }
}
