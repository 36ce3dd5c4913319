//! The server's index in memory.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{ChunkSet, ErrorCode, FileId, FileName, Layout, Username};

use crate::core::{
    FileEntry,
    files::{Question, ServerAnswer},
};

#[derive(Debug, Default)]
pub(super) struct Server {
    registered: BTreeMap<FileName, (FileId, Layout, Username)>,
    held: BTreeMap<FileId, BTreeMap<Username, ChunkSet>>,
    online: BTreeSet<Username>,
    /// Whether nobody can reach it.
    pub(super) is_away: bool,
    /// Users whose claims stay when they go: what a search that is a little old says.
    pub(super) stale: BTreeSet<Username>,
    pub(super) searches: u64,
}

impl Server {
    pub(super) fn logged_in(&mut self, user: &Username) {
        self.online.insert(user.clone());
    }

    pub(super) fn left(&mut self, user: &Username) {
        if !self.stale.contains(user) {
            self.online.remove(user);
            self.held.values_mut().for_each(|held| _ = held.remove(user));
        }
    }

    pub(super) fn have(&mut self, user: &Username, file: FileId, held: ChunkSet) {
        if self.registered.values().any(|(known, ..)| *known == file) {
            self.held.entry(file).or_default().insert(user.clone(), held);
        }
    }

    pub(super) fn held(&self, name: &str, user: &str) -> u32 {
        let (file, ..) = self.registered[&name.parse::<FileName>().unwrap()];
        self.held.get(&file).and_then(|held| held.get(user)).map_or(0, ChunkSet::len)
    }

    pub(super) fn answer(&mut self, user: &Username, question: Question) -> ServerAnswer {
        if self.is_away {
            return ServerAnswer::Lost;
        }
        let refused = |code| ServerAnswer::Refused { code, text: "as the server says".to_owned() };
        match question {
            Question::Search { name } => {
                self.searches += 1;
                let Some((file, layout, _)) = self.registered.get(&name) else {
                    return refused(ErrorCode::NotRegistered);
                };
                let held = self.held.get(file).into_iter().flatten();
                let holders = held
                    .filter(|(user, held)| !held.is_empty() && self.online.contains(*user))
                    .map(|(user, held)| (user.clone(), held.clone()));
                ServerAnswer::Found { file: *file, layout: *layout, holders: holders.collect() }
            }
            Question::Register { file, layout, name } => {
                if self.registered.contains_key(&name) {
                    return refused(ErrorCode::AlreadyRegistered);
                }
                self.registered.insert(name, (file, layout, user.clone()));
                let full = ChunkSet::full(layout.chunks());
                self.held.entry(file).or_default().insert(user.clone(), full);
                ServerAnswer::Done
            }
            Question::Unregister { name } => match self.registered.get(&name) {
                None => refused(ErrorCode::NotRegistered),
                Some((_, _, owner)) if owner != user => refused(ErrorCode::NotOwner),
                Some(_) => {
                    self.registered.remove(&name);
                    ServerAnswer::Done
                }
            },
            Question::Files => {
                let entry = |(file, (_, layout, owner)): (&FileName, &(FileId, Layout, Username))| {
                    FileEntry { file: file.clone(), layout: *layout, owner: owner.clone() }
                };
                ServerAnswer::Files(self.registered.iter().map(entry).collect())
            }
        }
    }
}
