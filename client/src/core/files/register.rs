//! The command `register`: from a name to a file that everyone can find.
//!
//! Owns the order of the checks: what costs least comes first, and a big file is not hashed for nothing.

use std::sync::Arc;

use protocol::{
    ChunkSet, ErrorCode, FileName, Layout, Manifest,
    file::{FileNameError, LayoutError},
    time::MonoMs,
};

use super::{
    Base, Files, PROGRESS_PAUSE, Question, ServerAnswer,
    disk::{DiskError, DiskJob, DiskReply, JobId},
    out::{NOT_CONNECTED, Owner, disk_failure, no_such_file},
    pace::Meter,
};
use crate::core::{Direction, Event, Outcome, Progress, Transfer, command};

const WORD: &str = "register";

#[derive(Debug)]
pub(super) struct Register {
    /// As typed.
    name: String,
    chunks: u64,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Looking {
        job: JobId,
    },
    Searching {
        size: u64,
    },
    Hashing(Hashing),
    Sharing {
        name: FileName,
        manifest: Arc<Manifest>,
    },
    /// `is_new`: it was not offered before, so that it is taken back if the server refuses.
    Registering {
        name: FileName,
        manifest: Arc<Manifest>,
        is_new: bool,
    },
}

#[derive(Debug)]
struct Hashing {
    job: JobId,
    name: FileName,
    layout: Layout,
    chunks: u32,
    meter: Meter,
    shown_at: MonoMs,
}

impl Register {
    /// How far the hashing is.
    pub(super) fn transfer(&self, now: MonoMs) -> Option<Transfer> {
        let Step::Hashing(hashing) = &self.step else { return None };
        let (direction, users) = (Direction::Register, Vec::new());
        Some(Transfer { direction, progress: hashing.progress(now), users })
    }
}

impl Hashing {
    fn progress(&self, now: MonoMs) -> Progress {
        Progress {
            file: self.name.clone(),
            have: self.chunks,
            total: self.layout.chunks(),
            bytes: self.meter.total(),
            bytes_total: self.layout.size(),
            rate: self.meter.rate(now),
        }
    }
}

impl Register {
    /// As typed.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Files {
    pub(super) fn register(&mut self, number: u64, name: String, chunks: u64) {
        let out = &mut self.base.out;
        // Nothing outside the directory is even looked at.
        if let (true, Err(error)) = (name.contains(['/', '\\']) || name == "..", name.parse::<FileName>()) {
            return out.fail(number, WORD, ErrorCode::BadName, bad_name(&name, error));
        }
        let job = out.job(Owner::Register(number), |job| DiskJob::Look { job, name: name.clone() });
        self.registers.insert(number, Register { name, chunks, step: Step::Looking { job } });
    }

    pub(super) fn register_disk(&mut self, number: u64, reply: DiskReply) {
        let Some(Register { name: typed, step, .. }) = self.registers.get_mut(&number) else { return };
        let Base { out, shares, .. } = &mut self.base;
        match (step, reply) {
            (Step::Looking { .. }, DiskReply::Seen { size, .. }) => match (size, typed.parse::<FileName>()) {
                (Ok(size), Ok(name)) => {
                    self.registers_step(number, Step::Searching { size });
                    self.base.out.ask(Owner::Register(number), Question::Search { name });
                }
                // Nobody can have registered that name.
                (Ok(size), Err(_)) => self.start_hashing(number, size),
                (Err(error), _) => self.register_failed(number, &error),
            },
            (Step::Hashing(hashing), DiskReply::Hashing { chunks, bytes, .. }) => {
                hashing.chunks = chunks;
                hashing.meter.add(bytes.saturating_sub(hashing.meter.total()), out.now);
                if out.now.since(hashing.shown_at) >= PROGRESS_PAUSE {
                    hashing.shown_at = out.now;
                    let progress = hashing.progress(out.now);
                    out.show(Event::Progress { number, progress });
                }
            }
            (Step::Hashing(hashing), DiskReply::Hashed { manifest, .. }) => {
                let name = hashing.name.clone();
                let file = manifest.id();
                out.job(Owner::Register(number), |job| DiskJob::Share { job, name: name.clone(), file });
                self.registers_step(number, Step::Sharing { name, manifest });
            }
            (Step::Sharing { name, manifest }, DiskReply::Shared { .. }) => {
                let (file, layout) = (manifest.id(), manifest.layout());
                let is_new = shares.get(file).is_none();
                let question = Question::Register { file, layout, name: name.clone() };
                let step = Step::Registering { name: name.clone(), manifest: manifest.clone(), is_new };
                out.ask(Owner::Register(number), question);
                // Before the server's answer, because somebody may ask for it before we hear of that.
                shares.offer(name, file, manifest, &ChunkSet::full(layout.chunks()), true, out);
                self.registers_step(number, step);
            }
            (_, DiskReply::Failed { error, .. }) => self.register_failed(number, &error),
            _ => {}
        }
    }

    pub(super) fn register_answered(&mut self, number: u64, answer: ServerAnswer) {
        let Some(Register { name: typed, step, .. }) = self.registers.get_mut(&number) else { return };
        let Base { out, shares, .. } = &mut self.base;
        match (step, answer) {
            (Step::Searching { size }, ServerAnswer::Refused { code: ErrorCode::NotRegistered, .. }) => {
                let size = *size;
                self.start_hashing(number, size);
            }
            (Step::Searching { .. }, ServerAnswer::Found { .. }) => {
                let text = format!("A file named '{typed}' is registered already. Give yours another name.");
                self.register_ends(number, ErrorCode::AlreadyRegistered, text);
            }
            (Step::Registering { name, manifest, .. }, ServerAnswer::Done) => {
                let (file, layout, hash) = (name.clone(), manifest.layout(), manifest.hash());
                self.registers.remove(&number);
                out.show(Event::Ok { number, outcome: Outcome::Register { file, layout, hash } });
            }
            (Step::Registering { .. }, ServerAnswer::Lost) => {
                let text = "The connection to the server was lost before its answer: 'files' will tell whether the file \
                    is registered.";
                self.register_ends(number, ErrorCode::NotConfirmed, text.to_owned());
            }
            (step, ServerAnswer::Refused { code, text }) => {
                if let Step::Registering { manifest, is_new: true, .. } = step {
                    let file = manifest.id();
                    shares.remove(file, out);
                    self.uploads.file_gone(file, out);
                    out.disk(DiskJob::Unshare { file });
                }
                self.register_ends(number, code, text);
            }
            _ => self.register_ends(number, ErrorCode::NotConnected, NOT_CONNECTED.to_owned()),
        }
    }

    /// Ends those of that name whose hashing has not ended; whether there were any.
    pub(super) fn cancel_registers(&mut self, name: &str) -> bool {
        let is_over = |step: &Step| matches!(step, Step::Sharing { .. } | Step::Registering { .. });
        let stopped: Vec<u64> = self
            .registers
            .iter()
            .filter(|(_, register)| register.name == name && !is_over(&register.step))
            .map(|(&number, _)| number)
            .collect();
        for &number in &stopped {
            let out = &mut self.base.out;
            match self.registers.get(&number).map(|register| &register.step) {
                Some(Step::Hashing(Hashing { job, .. })) => {
                    out.job_over(*job);
                    out.disk(DiskJob::StopHashing { job: *job });
                }
                Some(Step::Looking { job }) => {
                    out.job_over(*job);
                }
                _ => {}
            }
            self.register_ends(
                number,
                ErrorCode::Cancelled,
                format!("You have stopped it; '{name}' is not registered."),
            );
        }
        !stopped.is_empty()
    }

    fn start_hashing(&mut self, number: u64, size: u64) {
        let Some(Register { name: typed, chunks, .. }) = self.registers.get(&number) else { return };
        let (chunks, out) = (*chunks, &mut self.base.out);
        match (Layout::new(size, chunks), typed.parse::<FileName>()) {
            (Ok(layout), Ok(name)) => {
                let job =
                    out.job(Owner::Register(number), |job| DiskJob::Hash { job, name: name.clone(), chunks });
                let (meter, shown_at) = (Meter::default(), out.now);
                let hashing = Hashing { job, name, layout, chunks: 0, meter, shown_at };
                self.registers_step(number, Step::Hashing(hashing));
            }
            (Err(LayoutError::EmptyFile), _) => {
                let text = format!("'{typed}' is empty: there is nothing to cut into chunks.");
                self.register_ends(number, ErrorCode::EmptyFile, text);
            }
            (Err(error), _) => {
                let text = format!("{}: {error}.", usage());
                self.register_ends(number, ErrorCode::Usage, text);
            }
            (Ok(_), Err(error)) => {
                let text = bad_name(typed, error);
                self.register_ends(number, ErrorCode::BadName, text);
            }
        }
    }

    fn registers_step(&mut self, number: u64, step: Step) {
        if let Some(register) = self.registers.get_mut(&number) {
            register.step = step;
        }
    }

    fn register_failed(&mut self, number: u64, error: &DiskError) {
        let name = self.registers.get(&number).map_or("", |register| register.name.as_str());
        let (code, text) = match error {
            DiskError::NoSuchFile => (ErrorCode::NoSuchFile, no_such_file(name)),
            error => disk_failure(name, error),
        };
        self.register_ends(number, code, text);
    }

    fn register_ends(&mut self, number: u64, code: ErrorCode, text: String) {
        self.registers.remove(&number);
        self.base.out.fail(number, WORD, code, text);
    }
}

fn bad_name(name: &str, error: FileNameError) -> String {
    format!("'{name}' cannot be shared under that name: {error}.")
}

/// The table of commands says how it is used.
fn usage() -> String {
    command::parse(WORD).err().map(|mistake| mistake.text).unwrap_or_default()
}
