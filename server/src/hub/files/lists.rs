//! Answers that may be longer than what is kept for one reader: they leave in parts, as fast as he reads.
//!
//! Owns how far each has come. Must not know how they were asked for.

use std::collections::{BTreeMap, VecDeque};

use protocol::{FileId, FileName, Frame, Layout, RequestId, ServerFrame, Username};

use super::index::FileIndex;
use crate::hub::{effect::ConnId, post::Desk, presence::Presence};

/// Bytes of a list for the price of a command: whoever asks for long ones is read more slowly.
const LEN_PER_COMMAND: usize = 4 * 1024;

/// The lists that are on their way.
#[derive(Debug, Default)]
pub(super) struct Lists {
    waiting: BTreeMap<ConnId, VecDeque<List>>,
}

/// One list, and how far it has come.
#[derive(Debug)]
pub(super) enum List {
    Files {
        request: RequestId,
        /// The last that was told.
        after: Option<FileName>,
    },
    Holders {
        request: RequestId,
        file: FileId,
        layout: Layout,
        /// Who is still to be told; chosen when the list's turn comes.
        holders: Option<VecDeque<Username>>,
    },
}

impl Lists {
    /// Has one more list told. False if too many wait already.
    pub(super) fn push(&mut self, conn: ConnId, list: List, count_max: usize) -> bool {
        let waiting = self.waiting.entry(conn).or_default();
        let fits = waiting.len() < count_max;
        if fits {
            waiting.push_back(list);
        }
        fits
    }

    /// Tells as much as fits before the reader looks slow.
    pub(super) fn go_on(
        &mut self,
        desk: &mut Desk<'_>,
        index: &FileIndex,
        presence: &Presence,
        conn: ConnId,
    ) {
        let Some(waiting) = self.waiting.get_mut(&conn) else { return };
        let mut told_len = 0;
        while desk.sessions.waiting_len_of(conn) <= desk.limits.outbox_len_soft / 4 {
            let Some(list) = waiting.front_mut() else {
                self.waiting.remove(&conn);
                break;
            };
            let (frame, is_last) = list.next(index, presence, desk.limits.search_holders_max);
            told_len += frame.len();
            if is_last {
                waiting.pop_front();
            }
            desk.sessions.tell_frame(conn, frame, desk.now.mono, desk.limits);
        }
        desk.sessions.charge(conn, (told_len / LEN_PER_COMMAND) as u64);
    }

    pub(super) fn ended(&mut self, conn: ConnId) {
        self.waiting.remove(&conn);
    }
}

impl List {
    pub(super) fn files(request: RequestId) -> Self {
        Self::Files { request, after: None }
    }

    pub(super) fn holders(request: RequestId, file: FileId, layout: Layout) -> Self {
        Self::Holders { request, file, layout, holders: None }
    }

    /// The next frame, and whether it is the last.
    fn next(&mut self, index: &FileIndex, presence: &Presence, holders_max: usize) -> (Frame, bool) {
        match self {
            Self::Files { request, after } => {
                let Some((name, entry, content)) = index.next_name(after.as_ref()) else {
                    return (ServerFrame::Done { request: *request }.encode(), true);
                };
                let frame = ServerFrame::File {
                    request: *request,
                    file: entry.file,
                    size: content.layout.size(),
                    chunks: content.layout.chunks(),
                    owner: entry.owner.clone(),
                    name: name.as_str(),
                };
                let frame = frame.encode();
                *after = Some(name.clone());
                (frame, false)
            }
            Self::Holders { request, file, layout, holders } => {
                let holders = holders.get_or_insert_with(|| choose(index, presence, *file, holders_max));
                let content = index.content(*file);
                while let Some(user) = holders.pop_front() {
                    // He may have gone, or the file, while those before him were told.
                    let held = content.and_then(|content| content.holders.get(&user));
                    if let Some(held) = held.filter(|held| held.counts(&user, presence)) {
                        let frame = ServerFrame::Holder { request: *request, user, held: &held.encoded };
                        return (frame.encode(), false);
                    }
                }
                let (size, chunks) = (layout.size(), layout.chunks());
                (ServerFrame::Found { request: *request, file: *file, size, chunks }.encode(), true)
            }
        }
    }
}

/// Who is online and holds any chunk, sorted; of too many those who hold most.
fn choose(index: &FileIndex, presence: &Presence, file: FileId, count_max: usize) -> VecDeque<Username> {
    let holders = index.content(file).into_iter().flat_map(|content| &content.holders);
    let mut online: Vec<_> = holders.filter(|(user, held)| held.counts(user, presence)).collect();
    if online.len() > count_max {
        online.sort_by_key(|(_, held)| core::cmp::Reverse(held.count));
        online.truncate(count_max);
        online.sort_unstable_by_key(|&(user, _)| user);
    }
    online.into_iter().map(|(user, _)| user.clone()).collect()
}
