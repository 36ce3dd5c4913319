//! The command `download` until it is known what is to be fetched: the checks in their order.
//!
//! Owns them. Must not know how a download goes on.

use protocol::{ChunkSet, ErrorCode, FileId, FileName, Layout, Username};

use super::{
    Base, Download, Files, Question, ServerAnswer,
    disk::DiskJob,
    inquiry::{no_such_chunk, not_registered},
    out::{NOT_CONNECTED, Owner},
    seek::not_available,
};

const WORD: &str = "download";

#[derive(Debug)]
pub(super) struct Start {
    name: FileName,
    /// As typed; none for all.
    chunks: Vec<u64>,
    found: Option<Found>,
}

/// What the server knows of the file.
#[derive(Clone, Debug)]
struct Found {
    file: FileId,
    layout: Layout,
    holders: Vec<(Username, ChunkSet)>,
    asked: ChunkSet,
}

impl Files {
    pub(super) fn start(&mut self, number: u64, name: &str, chunks: Vec<u64>) {
        let out = &mut self.base.out;
        let Ok(name) = name.parse::<FileName>() else {
            return out.fail(number, WORD, ErrorCode::NotRegistered, not_registered(name));
        };
        out.ask(Owner::Start(number), Question::Search { name: name.clone() });
        self.starts.insert(number, Start { name, chunks, found: None });
    }

    pub(super) fn start_answered(&mut self, number: u64, answer: ServerAnswer) {
        let Some(start) = self.starts.get_mut(&number) else { return };
        let failure = match answer {
            ServerAnswer::Found { file, layout, holders } => {
                let all = ChunkSet::full(layout.chunks());
                match asked(start, layout) {
                    Ok(asked) => {
                        let asked = if asked.is_empty() { all } else { asked };
                        start.found = Some(Found { file, layout, holders, asked });
                        return self.start_found(number);
                    }
                    Err(number) => {
                        let text = no_such_chunk(start.name.as_str(), number, layout.chunks());
                        (ErrorCode::NoSuchChunk, text)
                    }
                }
            }
            ServerAnswer::Refused { code, text } => (code, text),
            _ => (ErrorCode::NotConnected, NOT_CONNECTED.to_owned()),
        };
        self.start_fails(number, failure);
    }

    /// What an earlier run held is known now, so that those who waited for that can go on.
    pub(super) fn restored(&mut self) {
        let waiting: Vec<u64> = self.starts.keys().copied().collect();
        for number in waiting {
            self.start_found(number);
        }
    }

    /// The disk has looked whether a file that was fetched before is still there.
    pub(super) fn start_seen(&mut self, number: u64, size: Option<u64>) {
        let Some(Found { file, layout, .. }) = self.starts.get(&number).and_then(|start| start.found.clone())
        else {
            return;
        };
        if size == Some(layout.size()) {
            return self.start_has_all(number);
        }
        let Base { out, shares, .. } = &mut self.base;
        if shares.remove(file, out).is_some() {
            self.uploads.file_gone(file, out);
            out.disk(DiskJob::Unshare { file });
        }
        self.start_fetching(number);
    }

    /// Ends those of that name; whether there were any.
    pub(super) fn cancel_starts(&mut self, name: &str) -> bool {
        let is_it = |start: &Start| start.name.as_str() == name;
        let stopped: Vec<u64> =
            self.starts.iter().filter(|(_, start)| is_it(start)).map(|(&number, _)| number).collect();
        for &number in &stopped {
            self.start_fails(number, cancelled(name));
        }
        !stopped.is_empty()
    }

    fn start_found(&mut self, number: u64) {
        let Some(Start { name, found: Some(found), .. }) = self.starts.get(&number) else { return };
        let Base { out, shares, is_restored, .. } = &mut self.base;
        if !*is_restored {
            return;
        }
        match shares.get(found.file) {
            Some(share) if share.is_complete => {
                let name = share.name.to_string();
                out.job(Owner::Start(number), |job| DiskJob::Look { job, name });
            }
            // A file all of whose chunks are here, and which has no name yet, is not done.
            Some(share)
                if !found.asked.is_full() && found.asked.iter().all(|chunk| share.held.contains(chunk)) =>
            {
                let text = format!("You have these chunks of '{name}' already.");
                self.start_fails(number, (ErrorCode::AlreadyHave, text));
            }
            _ => self.start_fetching(number),
        }
    }

    fn start_has_all(&mut self, number: u64) {
        let Some(Start { name, found: Some(found), .. }) = self.starts.get(&number) else { return };
        let text = match self.base.shares.get(found.file) {
            Some(share) if share.name != *name => format!("You have '{name}' already, as '{}'.", share.name),
            _ => format!("You have '{name}' already."),
        };
        self.start_fails(number, (ErrorCode::AlreadyHave, text));
    }

    fn start_fetching(&mut self, number: u64) {
        let Some(Start { name, found: Some(found), .. }) = self.starts.get(&number) else { return };
        let (name, Found { file, layout, holders, asked }) = (name.clone(), found.clone());
        let Base { shares, user, .. } = &self.base;
        let held =
            shares.get(file).map_or_else(|| ChunkSet::empty(layout.chunks()), |share| share.held.clone());
        let mut missing = asked.clone();
        held.iter().for_each(|chunk| _ = missing.remove(chunk));
        let can_be_had = |(holder, held): &(Username, ChunkSet)| {
            Some(holder) != user.as_ref() && missing.iter().any(|chunk| held.contains(chunk))
        };
        if !missing.is_empty() && !holders.iter().any(can_be_had) {
            return self.start_fails(number, not_available(&name, &missing));
        }
        let in_the_way =
            |(&other, download): (&FileId, &Download)| (other == file) != (*download.name() == name);
        if self.downloads.iter().any(in_the_way) {
            let text = format!(
                "Another file is being fetched as '{name}', or this one under another name. Wait for it."
            );
            return self.start_fails(number, (ErrorCode::Exists, text));
        }
        self.starts.remove(&number);
        let base = &mut self.base;
        self.downloads.entry(file).or_insert_with(|| Download::new(name, file, layout, base));
        self.advance(file, |download, base| download.join(number, asked, holders, base));
    }

    fn start_fails(&mut self, number: u64, (code, text): (ErrorCode, String)) {
        self.starts.remove(&number);
        self.base.out.fail(number, WORD, code, text);
    }
}

/// The chunks that were named, or the number of one that the file does not have.
fn asked(start: &Start, layout: Layout) -> Result<ChunkSet, u64> {
    let mut asked = ChunkSet::empty(layout.chunks());
    for &number in &start.chunks {
        asked.insert(layout.chunk(number).ok_or(number)?);
    }
    Ok(asked)
}

pub(super) fn cancelled(name: &str) -> (ErrorCode, String) {
    (ErrorCode::Cancelled, format!("You have stopped it; what you have of '{name}' is kept."))
}
