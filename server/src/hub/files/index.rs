//! Which names stand for which files, who registered them, and who says that he holds which chunks.
//!
//! Owns the two tables and their consistency. Must not know who is online: a holder who is offline is kept, and the
//! reader passes over him.
//!
//! A holder's word is bound to his account, and nobody else can change it. It counts for the connection over which he
//! gave it: at his next log-in he may have another directory, or not have looked yet what is left of his files. So it
//! is not durable either. Sets are kept as they travel, in their shortest form: a whole file takes a few bytes.

use core::ops::Bound;
use std::collections::BTreeMap;

use protocol::{ChunkSet, ErrorCode, FileId, FileName, Layout, Username};

use super::quota::Quotas;
use crate::hub::{effect::ConnId, limits::Limits, presence::Presence};

/// A file under one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredFile {
    /// Its name; no two files have the same.
    pub name: FileName,
    /// The hash of its manifest. Several names may stand for the same file.
    pub file: FileId,
    /// Its size and the number of its chunks.
    pub layout: Layout,
    /// Who registered it under this name.
    pub owner: Username,
}

#[derive(Debug, Default)]
pub(super) struct FileIndex {
    names: BTreeMap<FileName, Entry>,
    contents: BTreeMap<FileId, Content>,
    quotas: Quotas,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) file: FileId,
    pub(super) owner: Username,
    change: Change,
}

/// What the store was asked to do with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Register,
    Unregister,
}

#[derive(Debug)]
pub(super) struct Content {
    pub(super) layout: Layout,
    /// How many names stand for it.
    names: usize,
    pub(super) holders: BTreeMap<Username, Held>,
}

/// Some chunks of a file; never none.
#[derive(Debug)]
pub(super) struct Held {
    /// How many.
    pub(super) count: u32,
    /// Which, as it travels.
    pub(super) encoded: Box<[u8]>,
    /// Over which connection it was said.
    conn: ConnId,
}

/// What became of a user's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is noted, or it says nothing about any file that is registered.
    Noted,
    /// It is no set of that file's chunks.
    Unfit,
    /// He says too much.
    OverQuota,
}

impl FileIndex {
    /// The names as the store has them.
    pub(super) fn recover(files: Vec<RegisteredFile>) -> Self {
        let mut index = Self::default();
        for RegisteredFile { name, file, layout, owner } in files {
            index.insert(name, Entry { file, owner, change: Change::None }, layout);
        }
        index
    }

    /// Takes the name, and notes its owner as one who holds all of the file.
    pub(super) fn register(
        &mut self,
        limits: &Limits,
        (owner, conn): (&Username, ConnId),
        name: &str,
        (file, size, chunks): (FileId, u64, u32),
    ) -> Result<RegisteredFile, ErrorCode> {
        let name = name.parse::<FileName>();
        if name.as_ref().is_ok_and(|name| self.names.contains_key(name)) {
            return Err(ErrorCode::AlreadyRegistered);
        }
        let layout = Layout::new(size, u64::from(chunks)).map_err(|_| ErrorCode::Usage)?;
        // A file has one size and one number of chunks: its id is made of them, too.
        if self.content(file).is_some_and(|content| content.layout != layout) {
            return Err(ErrorCode::Usage);
        }
        let name = name.map_err(|_| ErrorCode::BadName)?;
        let held = Held::all(layout, conn);
        if !self.quotas.admits_name(limits, owner) || !self.admits(limits, owner, file, &held) {
            return Err(ErrorCode::Quota);
        }
        let entry = Entry { file, owner: owner.clone(), change: Change::Register };
        self.insert(name.clone(), entry, layout);
        self.set_holder(owner, file, Some(held));
        Ok(RegisteredFile { name, file, layout, owner: owner.clone() })
    }

    pub(super) fn settle_registered(&mut self, name: &FileName, durable: bool) {
        if !durable {
            self.remove(name);
        } else if let Some(entry) = self.names.get_mut(name) {
            entry.change = Change::None;
        }
    }

    /// Checks that the name may be given up.
    pub(super) fn unregister(&mut self, user: &Username, name: &str) -> Result<FileName, ErrorCode> {
        let name = name.parse::<FileName>().map_err(|_| ErrorCode::NotRegistered)?;
        let entry = self.names.get_mut(&name).filter(|entry| entry.change == Change::None);
        let entry = entry.ok_or(ErrorCode::NotRegistered)?;
        if entry.owner != *user {
            return Err(ErrorCode::NotOwner);
        }
        entry.change = Change::Unregister;
        Ok(name)
    }

    pub(super) fn settle_unregistered(&mut self, name: &FileName, durable: bool) {
        if durable {
            self.remove(name);
        } else if let Some(entry) = self.names.get_mut(name) {
            entry.change = Change::None;
        }
    }

    /// Replaces what a user says he holds of a file.
    pub(super) fn claim(
        &mut self,
        limits: &Limits,
        (user, conn): (&Username, ConnId),
        file: FileId,
        encoded: &[u8],
    ) -> Claim {
        let Some(content) = self.contents.get(&file) else { return Claim::Noted };
        // Nobody can tell from an id that a file was registered with a false number of chunks. So this is no fault
        // of the protocol: others could have honest holders thrown out with that.
        let Some(held) = Held::decode(encoded, content.layout, conn) else { return Claim::Unfit };
        match held {
            Some(held) if !self.admits(limits, user, file, &held) => Claim::OverQuota,
            held => {
                self.set_holder(user, file, held);
                Claim::Noted
            }
        }
    }

    pub(super) fn names_count(&self) -> u64 {
        self.names.len() as u64
    }

    pub(super) fn content(&self, file: FileId) -> Option<&Content> {
        self.contents.get(&file)
    }

    /// The file of that name, if it is registered.
    pub(super) fn find(&self, name: &str) -> Option<(FileId, &Content)> {
        let name = name.parse::<FileName>().ok()?;
        let entry = self.names.get(&name).filter(|entry| entry.change != Change::Register)?;
        Some((entry.file, self.content(entry.file)?))
    }

    /// The first registered name behind that one.
    pub(super) fn next_name(&self, after: Option<&FileName>) -> Option<(&FileName, &Entry, &Content)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.names.range((start, Bound::Unbounded));
        let (name, entry) = behind.find(|(_, entry)| entry.change != Change::Register)?;
        Some((name, entry, self.content(entry.file)?))
    }

    fn insert(&mut self, name: FileName, entry: Entry, layout: Layout) {
        let content = self.contents.entry(entry.file);
        let content = content.or_insert_with(|| Content { layout, names: 0, holders: BTreeMap::new() });
        content.names += 1;
        self.quotas.add_name(&entry.owner);
        self.names.insert(name, entry);
    }

    /// Forgets a name, and with the last one of a file who holds it.
    fn remove(&mut self, name: &FileName) {
        let Some(entry) = self.names.remove(name) else { return };
        self.quotas.remove_name(&entry.owner);
        let Some(content) = self.contents.get_mut(&entry.file) else { return };
        content.names -= 1;
        if content.names == 0
            && let Some(content) = self.contents.remove(&entry.file)
        {
            for (user, held) in content.holders {
                self.quotas.remove_holding(&user, held.encoded.len());
            }
        }
    }

    fn admits(&self, limits: &Limits, user: &Username, file: FileId, held: &Held) -> bool {
        let before = self.content(file).and_then(|content| content.holders.get(user));
        self.quotas.admits_holding(limits, user, before.map(|held| held.encoded.len()), held.encoded.len())
    }

    fn set_holder(&mut self, user: &Username, file: FileId, held: Option<Held>) {
        let Some(content) = self.contents.get_mut(&file) else { return };
        let len = held.as_ref().map(|held| held.encoded.len());
        let before = match held {
            Some(held) => content.holders.insert(user.clone(), held),
            None => content.holders.remove(user),
        };
        if let Some(before) = &before {
            self.quotas.remove_holding(user, before.encoded.len());
        }
        if let Some(len) = len {
            self.quotas.add_holding(user, len);
        }
    }
}

impl Held {
    /// Whether the user is online, and has said so since he came.
    pub(super) fn counts(&self, user: &Username, presence: &Presence) -> bool {
        presence.conn(user) == Some(self.conn)
    }

    fn all(layout: Layout, conn: ConnId) -> Self {
        let encoded = ChunkSet::full(layout.chunks()).encode().into();
        Self { count: layout.chunks(), encoded, conn }
    }

    /// `None`: it is no set of such a file's chunks. `Some(None)`: it is, and none is in it.
    #[expect(clippy::option_option, reason = "an unfit set and an empty one are two things")]
    fn decode(encoded: &[u8], layout: Layout, conn: ConnId) -> Option<Option<Self>> {
        let set = ChunkSet::decode(encoded, layout.chunks()).ok()?;
        Some((!set.is_empty()).then(|| Self { count: set.len(), encoded: set.encode().into(), conn }))
    }
}
