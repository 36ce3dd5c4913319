//! Looking, hashing, sharing, reading.

use std::{fs, io::Write};

use tempfile::TempDir;

use super::*;

#[test]
fn hashing_gives_what_the_bytes_are() {
    let folder = TempDir::new().unwrap();
    let mut rig = Rig::fresh(folder.path());
    let long = sample(3_000_001);
    fs::write(folder.path().join("my long file 漢字.bin"), &long).unwrap();
    for chunks in [1, 2, 3, 11, 65_536] {
        assert_eq!(rig.hash("my long file 漢字.bin", chunks), Ok(manifest_of(&long, chunks)));
    }
    fs::write(folder.path().join("one"), [5]).unwrap();
    assert_eq!(rig.hash("one", 1), Ok(manifest_of(&[5], 1)));
    assert_eq!(rig.look("one"), Ok(1));
    assert_eq!(rig.hash("one", 2), Err(DiskError::Changed), "it was longer when that was checked");
    assert_eq!(rig.hash("none", 1), Err(DiskError::NoSuchFile));
}

#[test]
fn a_client_that_only_looks_and_hashes_leaves_no_trace() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.hash("file", 2).unwrap();
    drop(rig);
    assert!(!folder.path().join(".parlour").exists());
    assert_eq!(names_in(folder.path()), ["file"]);
}

#[test]
fn a_shared_file_and_its_manifest_can_be_read_within_their_bounds() {
    let folder = TempDir::new().unwrap();
    let whole = sample(1_000_003);
    fs::write(folder.path().join("a b"), &whole).unwrap();
    let mut rig = Rig::fresh(folder.path());
    let file = rig.share("a b", 7_000);
    let manifest = manifest_of(&whole, 7_000);
    let chunk = bytes_of(&whole, &manifest, ChunkIndex(6_999));
    let len = u32::try_from(chunk.len()).unwrap();
    assert_eq!(rig.read(file, 6_999, 0, len).unwrap(), chunk);
    assert_eq!(rig.read(file, 6_999, 3, len - 3).unwrap(), chunk[3..]);
    for (number, offset, len) in [(7_000, 0, 1), (0, 1, len), (0, u64::MAX, 2), (0, 0, u32::MAX)] {
        assert!(rig.read(file, number, offset, len).is_err());
    }
    let mut read = Vec::new();
    while read.len() < Manifest::encoded_len(&manifest.layout()) {
        let job = DiskJob::ReadManifest { job: JOB, file, offset: u32::try_from(read.len()).unwrap() };
        let DiskReply::Read { bytes: Ok(bytes), .. } = rig.ask(job) else { panic!() };
        assert!(bytes.len() <= BLOCK_LEN_MAX);
        read.extend(bytes);
    }
    assert_eq!(read, manifest.encode());
    let beyond = DiskJob::ReadManifest { job: JOB, file, offset: u32::try_from(read.len()).unwrap() };
    assert!(matches!(rig.ask(beyond), DiskReply::Read { bytes: Err(_), .. }));
    assert_eq!(rig.read(FileId([0; 32]), 0, 0, 1), Err(DiskError::NoSuchFile));
}

#[test]
fn a_changed_file_is_told_once_and_never_read_out() {
    type Change = fn(&Path);
    let changes: [Change; 6] = [
        |path| fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap(),
        |path| fs::OpenOptions::new().write(true).open(path).unwrap().write_all(b"x").unwrap(),
        |path| fs::File::create(path).unwrap().set_len(0).unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            fs::copy(path.with_extension("old"), path).unwrap();
        },
        |path| {
            // The time of the last change of its bytes is set back, but that itself is a change.
            let before = fs::metadata(path).unwrap().modified().unwrap();
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(b"x").unwrap();
            file.set_modified(before).unwrap();
        },
    ];
    for (change, number) in changes.into_iter().zip(0..) {
        for was_open in [false, true] {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, sample(1000)).unwrap();
            let mut rig = Rig::fresh(folder.path());
            let file = rig.share("file", 2);
            if was_open {
                assert!(rig.read(file, 0, 0, 10).is_ok());
            }
            change(&path);
            rig.give(DiskJob::Read { job: JOB, file, chunk: ChunkIndex(0), offset: 0, len: 10 });
            assert_eq!(rig.next(), DiskReply::Changed { file }, "change {number}");
            assert_eq!(rig.next(), DiskReply::Read { job: JOB, bytes: Err(DiskError::Changed) });
            assert_eq!(rig.read(file, 0, 0, 10), Err(DiskError::NoSuchFile));
            drop(rig);
            Rig::fresh(folder.path());
        }
    }
}

#[test]
fn a_file_that_changes_between_hashing_and_sharing_is_not_shared() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "one").unwrap();
    let mut rig = Rig::fresh(folder.path());
    let file = rig.hash("file", 1).unwrap().id();
    fs::write(folder.path().join("file"), "two").unwrap();
    let share = DiskJob::Share { job: JOB, name: name("file"), file };
    assert_eq!(rig.ask(share.clone()), DiskReply::Failed { job: JOB, error: DiskError::Changed });
    assert!(
        matches!(rig.ask(share), DiskReply::Failed { error: DiskError::Other(_), .. }),
        "it is forgotten"
    );
}

#[test]
fn a_file_that_changes_while_it_is_hashed_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    fs::File::create(&path).unwrap().set_len(4 << 30).unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.give(DiskJob::Hash { job: JOB, name: name("file"), chunks: 3 });
    assert!(matches!(rig.next(), DiskReply::Hashing { chunks: 0..3, bytes: 1.., .. }));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100 << 20).unwrap();
    loop {
        match rig.next() {
            DiskReply::Hashing { .. } => {}
            other => break assert_eq!(other, DiskReply::Failed { job: JOB, error: DiskError::Changed }),
        }
    }
}

#[test]
fn short_jobs_do_not_wait_for_a_hash_and_it_can_be_stopped_or_broken_off() {
    let folder = TempDir::new().unwrap();
    fs::File::create(folder.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
    fs::write(folder.path().join("tiny"), "x").unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.give(DiskJob::Hash { job: JobId(1), name: name("huge"), chunks: 3 });
    rig.give(DiskJob::Hash { job: JobId(2), name: name("huge"), chunks: 3 });
    assert_eq!(rig.look("tiny"), Ok(1));
    // Ends only because those before it are stopped: a terabyte takes minutes.
    rig.give(DiskJob::Hash { job: JobId(3), name: name("tiny"), chunks: 1 });
    rig.give(DiskJob::StopHashing { job: JobId(2) });
    rig.give(DiskJob::StopHashing { job: JobId(1) });
    while !matches!(rig.next(), DiskReply::Hashed { job: JobId(3), .. }) {}
    rig.give(DiskJob::Hash { job: JobId(4), name: name("huge"), chunks: 3 });
    assert_eq!(rig.look("tiny"), Ok(1));
    drop(rig);
}

#[test]
fn more_files_are_offered_than_are_kept_open() {
    let folder = TempDir::new().unwrap();
    let mut rig = Rig::fresh(folder.path());
    let files: Vec<_> = (0..40u8)
        .map(|number| {
            fs::write(folder.path().join(format!("file {number}")), [number; 9]).unwrap();
            rig.share(&format!("file {number}"), 3)
        })
        .collect();
    for (file, number) in files.iter().chain(&files).zip((0..40).chain(0..40)) {
        assert_eq!(rig.read(*file, 1, 1, 2), Ok(vec![number; 2]));
    }
}

#[test]
fn an_unshared_file_stays_but_is_offered_no_more() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    let mut rig = Rig::fresh(folder.path());
    let file = rig.share("file", 1);
    rig.give(DiskJob::Unshare { file });
    assert_eq!(rig.read(file, 0, 0, 1), Err(DiskError::NoSuchFile));
    drop(rig);
    Rig::fresh(folder.path());
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"text");
}
