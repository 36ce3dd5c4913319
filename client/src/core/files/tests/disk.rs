//! A disk in memory: it answers in the order of its jobs, after a while, and outlives the client.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use protocol::{ChunkIndex, ChunkSet, FileHash, FileId, FileName, Layout, Manifest, limits::BLOCK_LEN_MAX};

use crate::core::files::disk::{DiskError, DiskJob, DiskReply, JobId};

/// Bytes a millisecond, about what a plain disk does.
const SPEED: u64 = 500_000;

/// What is known of a file that is offered or half done.
#[derive(Clone, Debug)]
struct Record {
    name: FileName,
    manifest: Arc<Manifest>,
    /// `None`: it stands under its own name.
    part: Option<(Vec<u8>, ChunkSet)>,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Bytes that may still be begun; `None`: any number.
    pub(super) room: Option<u64>,
    /// Writes fail from now on.
    pub(super) is_full: bool,
    /// How many times slower it hashes.
    pub(super) slowness: u64,
    records: BTreeMap<FileId, Record>,
    hashed: BTreeMap<FileId, Arc<Manifest>>,
    stopped: BTreeSet<JobId>,
    pub(super) busy_until: u64,
    /// Jobs that were seen, by their names.
    pub(super) jobs: BTreeMap<&'static str, u64>,
}

/// Not for the outside: fast, and different for different bytes.
fn hash(bytes: &[u8]) -> FileHash {
    let mut state = [bytes.len() as u64, 1, 2, 3];
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        state[0] = (state[0] ^ u64::from_le_bytes(padded)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        state[1] = state[1].rotate_left(7) ^ state[0];
    }
    let mut hash = [0; 32];
    hash.chunks_mut(8).zip(state).for_each(|(out, word)| out.copy_from_slice(&word.to_le_bytes()));
    FileHash(hash)
}

pub(super) fn manifest(bytes: &[u8], chunks: u64) -> Option<Manifest> {
    let layout = Layout::new(bytes.len() as u64, chunks).ok()?;
    let part = |number| {
        let range = layout.range(ChunkIndex(number));
        hash(&bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    };
    Manifest::new(layout, hash(bytes), (0..layout.chunks()).map(part).collect())
}

fn slice(layout: Layout, chunk: ChunkIndex, offset: u64, len: u64) -> std::ops::Range<usize> {
    let start = usize::try_from(layout.range(chunk).start + offset).unwrap();
    start..start + usize::try_from(len).unwrap()
}

impl Disk {
    /// Carries a job out; the answers, with the time at which each comes.
    pub(super) fn job(&mut self, now: u64, job: DiskJob) -> Vec<(u64, DiskReply)> {
        *self.jobs.entry(name_of(&job)).or_default() += 1;
        let mut at = self.busy_until.max(now);
        let mut replies = Vec::new();
        let pace = SPEED / self.slowness.max(1);
        match job {
            DiskJob::Restore { .. } => {
                let known: Vec<FileId> = self.records.keys().copied().collect();
                for file in known {
                    at += 5;
                    replies.extend(self.restore(file).map(|reply| (at, reply)));
                }
                replies.push((at + 1, DiskReply::AllRestored));
            }
            DiskJob::Look { job, name } => {
                let size = self.files.get(&name).map(|bytes| bytes.len() as u64).ok_or(DiskError::NoSuchFile);
                replies.push((at + 1, DiskReply::Seen { job, size }));
            }
            DiskJob::Hash { job, name, chunks } => {
                let bytes = self.files.get(name.as_str()).cloned().unwrap_or_default();
                let Some(manifest) = manifest(&bytes, chunks) else {
                    return vec![(at + 1, DiskReply::Failed { job, error: DiskError::Changed })];
                };
                let manifest = Arc::new(manifest);
                for number in 0..manifest.layout().chunks() {
                    let end = manifest.layout().range(ChunkIndex(number)).end;
                    at += manifest.layout().len(ChunkIndex(number)) / pace.max(1);
                    replies.push((at, DiskReply::Hashing { job, chunks: number + 1, bytes: end }));
                }
                self.hashed.insert(manifest.id(), manifest.clone());
                replies.push((at + 1, DiskReply::Hashed { job, manifest }));
            }
            DiskJob::StopHashing { job } => {
                self.stopped.insert(job);
            }
            DiskJob::Share { job, name, file } => {
                let manifest = self.hashed.get(&file).cloned().expect("it was hashed before");
                self.records.insert(file, Record { name, manifest, part: None });
                replies.push((at + 1, DiskReply::Shared { job }));
            }
            DiskJob::Unshare { file } => _ = self.records.remove(&file),
            DiskJob::Begin { job, name, manifest } => {
                replies.push((at + 2, self.begin(job, name, manifest)));
            }
            DiskJob::Write { file, chunk, offset, bytes } => {
                at += bytes.len() as u64 / SPEED;
                replies.push((at, self.write(file, chunk, offset, &bytes)));
            }
            DiskJob::Verify { file, chunk } => {
                let right = self.is_right(file, chunk);
                if let Some(Record { part: Some((_, held)), .. }) =
                    self.records.get_mut(&file).filter(|_| right)
                {
                    held.insert(chunk);
                }
                replies.push((at + 1, DiskReply::Verified { file, chunk, right }));
            }
            DiskJob::Finish { job, file } => replies.push((at + 2, self.finish(job, file))),
            DiskJob::Pause { .. } => {}
            DiskJob::Read { job, file, chunk, offset, len } => {
                at += u64::from(len) / SPEED;
                replies.extend(self.read(job, file, chunk, offset, len).into_iter().map(|reply| (at, reply)));
            }
            DiskJob::ReadManifest { job, file, offset } => {
                let encoded = self.records.get(&file).map(|record| record.manifest.encode());
                let piece = encoded.map(|bytes| {
                    let start = offset as usize;
                    bytes[start..bytes.len().min(start + BLOCK_LEN_MAX)].to_vec()
                });
                replies.push((at, DiskReply::Read { job, bytes: piece.ok_or(DiskError::NoSuchFile) }));
            }
        }
        self.busy_until = at;
        replies
    }

    /// Whether an answer is still wanted when its time comes.
    pub(super) fn is_wanted(&self, reply: &DiskReply) -> bool {
        match reply {
            DiskReply::Hashing { job, .. } | DiskReply::Hashed { job, .. } => !self.stopped.contains(job),
            _ => true,
        }
    }

    /// Whether the bytes of that chunk are what the manifest says.
    pub(super) fn is_right(&self, file: FileId, chunk: ChunkIndex) -> bool {
        let Some(record) = self.records.get(&file) else { return false };
        let bytes = match &record.part {
            Some((bytes, _)) => Some(bytes),
            None => self.files.get(record.name.as_str()),
        };
        let layout = record.manifest.layout();
        bytes
            .and_then(|bytes| bytes.get(slice(layout, chunk, 0, layout.len(chunk))))
            .is_some_and(|bytes| Some(hash(bytes)) == record.manifest.chunk_hash(chunk))
    }

    fn restore(&self, file: FileId) -> Option<DiskReply> {
        let Record { name, manifest, part } = self.records.get(&file)?.clone();
        let chunks = manifest.layout().chunks();
        let (complete, candidates) = match &part {
            Some((_, held)) => (false, held.clone()),
            None => (true, ChunkSet::full(chunks)),
        };
        let mut held = ChunkSet::empty(chunks);
        candidates
            .iter()
            .filter(|&chunk| self.is_right(file, chunk))
            .for_each(|chunk| _ = held.insert(chunk));
        (!complete || held.is_full()).then_some(DiskReply::Restored { name, manifest, file, held, complete })
    }

    fn begin(&mut self, job: JobId, name: FileName, manifest: Arc<Manifest>) -> DiskReply {
        let file = manifest.id();
        if self.files.contains_key(name.as_str()) {
            return DiskReply::Failed { job, error: DiskError::Exists };
        }
        let path = PathBuf::from(format!("{name}.part"));
        if let Some(Record { part: Some((_, held)), .. }) = self.records.get(&file) {
            return DiskReply::Begun { job, held: held.clone(), path };
        }
        let size = manifest.layout().size();
        if self.room.is_some_and(|room| room < size) {
            return DiskReply::Failed { job, error: DiskError::Full };
        }
        let held = ChunkSet::empty(manifest.layout().chunks());
        let part = Some((vec![0; usize::try_from(size).unwrap()], held.clone()));
        self.records.insert(file, Record { name, manifest, part });
        DiskReply::Begun { job, held, path }
    }

    fn write(&mut self, file: FileId, chunk: ChunkIndex, offset: u64, bytes: &[u8]) -> DiskReply {
        if self.is_full {
            return DiskReply::Broken { file, error: DiskError::Full };
        }
        let Some(Record { manifest, part: Some((whole, held)), .. }) = self.records.get_mut(&file) else {
            panic!("a write into a file that was not begun");
        };
        assert!(!held.contains(chunk), "chunk {chunk:?} is right already, and is written over");
        whole[slice(manifest.layout(), chunk, offset, bytes.len() as u64)].copy_from_slice(bytes);
        DiskReply::Wrote { file, len: bytes.len() }
    }

    fn finish(&mut self, job: JobId, file: FileId) -> DiskReply {
        let record = self.records.get_mut(&file).expect("it was begun");
        let name = record.name.to_string();
        if self.files.contains_key(&name) {
            return DiskReply::Failed { job, error: DiskError::Exists };
        }
        let (bytes, held) = record.part.take().expect("it is not finished");
        assert!(held.is_full());
        self.files.insert(name.clone(), bytes);
        DiskReply::Finished { job, path: PathBuf::from(name) }
    }

    fn read(&self, job: JobId, file: FileId, chunk: ChunkIndex, offset: u64, len: u32) -> Vec<DiskReply> {
        let Some(record) = self.records.get(&file) else {
            return vec![DiskReply::Read { job, bytes: Err(DiskError::NoSuchFile) }];
        };
        if record.part.is_none() && !self.is_right(file, chunk) {
            let bytes = Err(DiskError::Changed);
            return vec![DiskReply::Changed { file }, DiskReply::Read { job, bytes }];
        }
        let whole =
            record.part.as_ref().map_or_else(|| &self.files[record.name.as_str()], |(bytes, _)| bytes);
        let bytes = whole[slice(record.manifest.layout(), chunk, offset, u64::from(len))].to_vec();
        vec![DiskReply::Read { job, bytes: Ok(bytes) }]
    }
}

fn name_of(job: &DiskJob) -> &'static str {
    match job {
        DiskJob::Restore { .. } => "restore",
        DiskJob::Look { .. } => "look",
        DiskJob::Hash { .. } => "hash",
        DiskJob::StopHashing { .. } => "stop-hashing",
        DiskJob::Share { .. } => "share",
        DiskJob::Unshare { .. } => "unshare",
        DiskJob::Begin { .. } => "begin",
        DiskJob::Write { .. } => "write",
        DiskJob::Verify { .. } => "verify",
        DiskJob::Finish { .. } => "finish",
        DiskJob::Pause { .. } => "pause",
        DiskJob::Read { .. } => "read",
        DiskJob::ReadManifest { .. } => "read-manifest",
    }
}
