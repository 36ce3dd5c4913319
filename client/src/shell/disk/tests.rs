//! The disk thread with real directories: rows 52 to 54, 59 and 61 of the list of attacks, and restarts at any
//! moment.

mod children;
mod fetching;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(unix)]
mod hostile;
mod restarting;
mod sharing;

use std::{fs, path::Path, sync::Arc, time::Duration};

use mio::{Events, Poll, Token, Waker};
use protocol::{ChunkIndex, ChunkSet, FileHash, FileId, FileName, Layout, Manifest, limits::BLOCK_LEN_MAX};

use super::Disk;
use crate::core::files::disk::{DiskError, DiskJob, DiskReply, JobId};

const USER: &str = "ana";
const JOB: JobId = JobId(7);
/// Long beyond any disk's patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk thread and whoever waits for it.
struct Rig {
    disk: Disk,
    poll: Poll,
}

impl Rig {
    fn start(dir: &Path) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        Self { disk: Disk::start(dir.to_owned(), waker).unwrap(), poll }
    }

    /// Starts, and hands back everything that was restored, by name.
    fn restored(dir: &Path) -> (Self, Vec<DiskReply>) {
        let mut rig = Self::start(dir);
        rig.give(DiskJob::Restore { user: USER.parse().unwrap() });
        let mut restored = Vec::new();
        loop {
            match rig.next() {
                DiskReply::AllRestored => break,
                reply => restored.push(reply),
            }
        }
        (rig, restored)
    }

    /// Starts where nothing is to be restored.
    fn fresh(dir: &Path) -> Self {
        let (rig, restored) = Self::restored(dir);
        assert_eq!(restored, []);
        rig
    }

    fn give(&self, job: DiskJob) {
        self.disk.give(job);
    }

    fn next(&mut self) -> DiskReply {
        loop {
            if let Some(reply) = self.disk.take() {
                return reply;
            }
            let mut events = Events::with_capacity(1);
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                polled => {
                    polled.unwrap();
                    assert!(!events.is_empty(), "no reply");
                }
            }
        }
    }

    fn ask(&mut self, job: DiskJob) -> DiskReply {
        self.give(job);
        self.next()
    }

    fn look(&mut self, name: &str) -> Result<u64, DiskError> {
        match self.ask(DiskJob::Look { job: JOB, name: name.to_owned() }) {
            DiskReply::Seen { job: JOB, size } => size,
            other => panic!("{other:?}"),
        }
    }

    fn hash(&mut self, file: &str, chunks: u64) -> Result<Arc<Manifest>, DiskError> {
        self.give(DiskJob::Hash { job: JOB, name: name(file), chunks });
        loop {
            match self.next() {
                DiskReply::Hashing { job: JOB, .. } => {}
                DiskReply::Hashed { job: JOB, manifest } => return Ok(manifest),
                DiskReply::Failed { job: JOB, error } => return Err(error),
                other => panic!("{other:?}"),
            }
        }
    }

    fn share(&mut self, file: &str, chunks: u64) -> FileId {
        let id = self.hash(file, chunks).unwrap().id();
        let shared = self.ask(DiskJob::Share { job: JOB, name: name(file), file: id });
        assert_eq!(shared, DiskReply::Shared { job: JOB });
        id
    }

    fn begin(&mut self, file: &str, manifest: &Arc<Manifest>) -> Result<Vec<u32>, DiskError> {
        let job = DiskJob::Begin { job: JOB, name: name(file), manifest: Arc::clone(manifest) };
        match self.ask(job) {
            DiskReply::Begun { job: JOB, held, path } => {
                assert_eq!(fs::metadata(path).unwrap().len(), manifest.layout().size());
                Ok(numbers(&held))
            }
            DiskReply::Failed { job: JOB, error } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Writes one chunk, in blocks, and has it verified.
    fn fetch(&mut self, whole: &[u8], manifest: &Manifest, chunk: u32) -> Result<bool, DiskError> {
        let (file, chunk) = (manifest.id(), ChunkIndex(chunk));
        for (block, number) in bytes_of(whole, manifest, chunk).chunks(BLOCK_LEN_MAX).zip(0u64..) {
            let offset = number * BLOCK_LEN_MAX as u64;
            match self.ask(DiskJob::Write { file, chunk, offset, bytes: block.to_vec() }) {
                DiskReply::Wrote { len, .. } => assert_eq!(len, block.len()),
                DiskReply::Broken { error, .. } => return Err(error),
                other => panic!("{other:?}"),
            }
        }
        self.verify(file, chunk)
    }

    fn verify(&mut self, file: FileId, chunk: ChunkIndex) -> Result<bool, DiskError> {
        match self.ask(DiskJob::Verify { file, chunk }) {
            DiskReply::Verified { chunk: verified, right, .. } if verified == chunk => Ok(right),
            DiskReply::Broken { error, .. } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn finish(&mut self, file: FileId) -> Result<std::path::PathBuf, DiskError> {
        match self.ask(DiskJob::Finish { job: JOB, file }) {
            DiskReply::Finished { job: JOB, path } => Ok(path),
            DiskReply::Failed { job: JOB, error } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// A whole download.
    fn download(&mut self, file: &str, whole: &[u8], manifest: &Arc<Manifest>) {
        let held = self.begin(file, manifest).unwrap();
        for chunk in (0..manifest.layout().chunks()).filter(|chunk| !held.contains(chunk)) {
            assert_eq!(self.fetch(whole, manifest, chunk), Ok(true));
        }
        self.finish(manifest.id()).unwrap();
    }

    fn read(&mut self, file: FileId, chunk: u32, offset: u64, len: u32) -> Result<Vec<u8>, DiskError> {
        let job = DiskJob::Read { job: JOB, file, chunk: ChunkIndex(chunk), offset, len };
        match self.ask(job) {
            DiskReply::Read { job: JOB, bytes } => bytes,
            other => panic!("{other:?}"),
        }
    }
}

fn name(name: &str) -> FileName {
    name.parse().unwrap()
}

fn numbers(held: &ChunkSet) -> Vec<u32> {
    held.iter().map(|chunk| chunk.0).collect()
}

/// Bytes that repeat at no power of two.
fn sample(len: usize) -> Vec<u8> {
    let lines = (0..241u8).cycle().flat_map(|line| (0..251u8).map(move |place| place ^ line));
    lines.take(len).collect()
}

fn bytes_of<'a>(whole: &'a [u8], manifest: &Manifest, chunk: ChunkIndex) -> &'a [u8] {
    let range = manifest.layout().range(chunk);
    &whole[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

fn manifest_of(whole: &[u8], chunks: u64) -> Arc<Manifest> {
    let layout = Layout::new(whole.len() as u64, chunks).unwrap();
    let hash = |bytes: &[u8]| FileHash(*blake3::hash(bytes).as_bytes());
    let hashes = (0..layout.chunks()).map(|chunk| {
        let range = layout.range(ChunkIndex(chunk));
        hash(&whole[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    });
    Arc::new(Manifest::new(layout, hash(whole), hashes.collect()).unwrap())
}

/// The directory in which the user's state is.
fn state_dir(dir: &Path) -> std::path::PathBuf {
    dir.join(format!(".parlour/u-{USER}.d"))
}

/// Everything in the directory but the state.
fn names_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".parlour").collect();
    names.sort();
    names
}
