//! Commands that are one question to the server: `searchFile`, `searchChunk`, `files`, `unregister`.
//!
//! Owns how the answers are told. Must not know transfers.

use protocol::{ChunkIndex, ChunkSet, ErrorCode, FileName, Username};

use super::{
    Base, Files, Question, ServerAnswer,
    disk::DiskJob,
    out::{NOT_CONNECTED, Owner},
};
use crate::core::{Event, Holder, Outcome};

#[derive(Debug)]
pub(super) struct Inquiry {
    /// As typed.
    name: String,
    about: About,
}

#[derive(Debug)]
enum About {
    File,
    Chunks(Vec<u64>),
    AllFiles,
    Unregister,
}

impl Inquiry {
    pub(super) fn search_file(name: String) -> Self {
        Self { name, about: About::File }
    }

    pub(super) fn search_chunk(name: String, chunks: Vec<u64>) -> Self {
        Self { name, about: About::Chunks(chunks) }
    }

    pub(super) fn files() -> Self {
        Self { name: String::new(), about: About::AllFiles }
    }

    pub(super) fn unregister(name: String) -> Self {
        Self { name, about: About::Unregister }
    }

    /// The command's word.
    pub(super) fn word(&self) -> &'static str {
        match self.about {
            About::File => "searchFile",
            About::Chunks(_) => "searchChunk",
            About::AllFiles => "files",
            About::Unregister => "unregister",
        }
    }
}

impl Files {
    pub(super) fn inquire(&mut self, number: u64, inquiry: Inquiry) {
        let out = &mut self.base.out;
        let question = match (&inquiry.about, inquiry.name.parse::<FileName>()) {
            (About::AllFiles, _) => Question::Files,
            (About::Unregister, Ok(name)) => Question::Unregister { name },
            (About::File | About::Chunks(_), Ok(name)) => Question::Search { name },
            (_, Err(_)) => {
                let text = not_registered(&inquiry.name);
                return out.fail(number, inquiry.word(), ErrorCode::NotRegistered, text);
            }
        };
        out.ask(Owner::Inquiry(number), question);
        self.inquiries.insert(number, inquiry);
    }

    pub(super) fn inquiry_answered(&mut self, number: u64, answer: ServerAnswer) {
        let Some(inquiry) = self.inquiries.remove(&number) else { return };
        match outcome(&inquiry, answer) {
            Ok(outcome) => {
                if let Outcome::Unregister { file } = &outcome {
                    self.unregistered(&file.clone());
                }
                self.base.out.show(Event::Ok { number, outcome });
            }
            Err((code, text)) => self.base.out.fail(number, inquiry.word(), code, text),
        }
    }

    /// Nobody can find that file any more: it is offered no longer. Its bytes stay.
    fn unregistered(&mut self, name: &FileName) {
        let Base { out, shares, .. } = &mut self.base;
        if let Some(file) = shares.complete_under(name) {
            shares.remove(file, out);
            self.uploads.file_gone(file, out);
            out.disk(DiskJob::Unshare { file });
        }
    }
}

pub(super) fn not_registered(name: &str) -> String {
    format!("No file named '{name}' is registered. 'files' lists those that are.")
}

pub(super) fn no_such_chunk(name: &str, number: u64, chunks: u32) -> String {
    match chunks {
        1 => format!("'{name}' has only chunk 0, not {number}."),
        _ => format!("'{name}' has the chunks 0 to {}, not {number}.", chunks - 1),
    }
}

fn outcome(inquiry: &Inquiry, answer: ServerAnswer) -> Result<Outcome, (ErrorCode, String)> {
    let name = &inquiry.name;
    let file = name.parse::<FileName>();
    match (&inquiry.about, answer, file) {
        (_, ServerAnswer::Refused { code, text }, _) => Err((code, text)),
        (About::AllFiles, ServerAnswer::Files(files), _) => Ok(Outcome::Files { files }),
        (About::Unregister, ServerAnswer::Done, Ok(file)) => Ok(Outcome::Unregister { file }),
        (About::File, ServerAnswer::Found { layout, holders, .. }, Ok(file)) => {
            let all = ChunkSet::full(layout.chunks());
            let (available, holders) = found(&all, holders);
            Ok(Outcome::SearchFile { file, layout, available, holders })
        }
        (About::Chunks(numbers), ServerAnswer::Found { layout, holders, .. }, Ok(file)) => {
            let mut asked = ChunkSet::empty(layout.chunks());
            for &number in numbers {
                let chunk = layout
                    .chunk(number)
                    .ok_or_else(|| (ErrorCode::NoSuchChunk, no_such_chunk(name, number, layout.chunks())))?;
                asked.insert(chunk);
            }
            let (available, holders) = found(&asked, holders);
            Ok(Outcome::SearchChunk { file, available, holders })
        }
        (About::Unregister, ServerAnswer::Lost, _) => Err((
            ErrorCode::NotConfirmed,
            "The connection to the server was lost before its answer: 'files' will tell whether it was done."
                .to_owned(),
        )),
        _ => Err((ErrorCode::NotConnected, NOT_CONNECTED.to_owned())),
    }
}

/// Who has which of the chunks asked for, by name, and whether each of them can be had.
fn found(asked: &ChunkSet, mut holders: Vec<(Username, ChunkSet)>) -> (bool, Vec<Holder>) {
    holders.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let available = asked.iter().all(|chunk| holders.iter().any(|(_, held)| held.contains(chunk)));
    let holder = |(user, held): (Username, ChunkSet)| {
        let chunks: Vec<ChunkIndex> = held.iter().filter(|&chunk| asked.contains(chunk)).collect();
        (!chunks.is_empty()).then_some(Holder { user, chunks })
    };
    (available, holders.into_iter().filter_map(holder).collect())
}
