//! Downloads within one run.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

#[test]
fn a_download_appears_under_its_name_when_it_is_whole_and_is_offered() {
    for (len, chunks) in [(1, 1), (5, 5), (1_000_000, 3), (3_000_000, 1)] {
        let folder = TempDir::new().unwrap();
        let (whole, file) = (sample(len), "Das ist eine Datei, д漢字.txt");
        let manifest = manifest_of(&whole, chunks);
        let mut rig = Rig::fresh(folder.path());
        assert_eq!(rig.begin(file, &manifest), Ok(vec![]));
        for chunk in (0..manifest.layout().chunks()).rev() {
            assert_eq!(names_in(folder.path()), Vec::<String>::new());
            assert!(matches!(rig.finish(manifest.id()), Err(DiskError::Other(_))));
            assert!(matches!(rig.read(manifest.id(), chunk, 0, 1), Err(DiskError::NoSuchFile)));
            assert_eq!(rig.fetch(&whole, &manifest, chunk), Ok(true));
            let first = &bytes_of(&whole, &manifest, ChunkIndex(chunk))[..1];
            assert_eq!(rig.read(manifest.id(), chunk, 0, 1).unwrap(), first);
        }
        assert_eq!(rig.finish(manifest.id()), Ok(folder.path().join(file)));
        assert_eq!(fs::read(folder.path().join(file)).unwrap(), whole);
        assert_eq!(rig.read(manifest.id(), 0, 0, 1).unwrap(), whole[..1]);
        let left = fs::read_dir(state_dir(folder.path())).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [format!("{}.record", manifest.id()).as_str(), "lock"]);
    }
}

#[test]
fn a_file_in_as_many_chunks_as_there_may_be_is_fetched_and_restored() {
    let folder = TempDir::new().unwrap();
    let whole = sample(70_001);
    let manifest = manifest_of(&whole, 65_536);
    let file = manifest.id();
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &manifest).unwrap();
    for part in [0..40_000, 40_000..65_536] {
        for chunk in part.clone().map(ChunkIndex) {
            let bytes = bytes_of(&whole, &manifest, chunk).to_vec();
            rig.give(DiskJob::Write { file, chunk, offset: 0, bytes });
            rig.give(DiskJob::Verify { file, chunk });
        }
        for chunk in part.clone().map(ChunkIndex) {
            assert!(matches!(rig.next(), DiskReply::Wrote { .. }));
            assert_eq!(rig.next(), DiskReply::Verified { file, chunk, right: true });
        }
        drop(rig);
        let restored = Rig::restored(folder.path());
        rig = restored.0;
        assert!(matches!(&restored.1[..], [DiskReply::Restored { held, .. }] if held.len() == part.end));
        assert_eq!(rig.begin("file", &manifest).unwrap().len(), part.end as usize);
    }
    rig.finish(file).unwrap();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
    drop(rig);
    let (_, restored) = Rig::restored(folder.path());
    assert!(matches!(&restored[..], [DiskReply::Restored { held, complete: true, .. }] if held.is_full()));
}

#[test]
fn wrong_bytes_do_not_count_and_can_be_fetched_again() {
    let folder = TempDir::new().unwrap();
    let whole = sample(400_000);
    let mut wrong = whole.clone();
    wrong[399_999] ^= 1;
    let manifest = manifest_of(&whole, 2);
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &manifest).unwrap();
    assert_eq!(rig.fetch(&wrong, &manifest, 1), Ok(false));
    assert_eq!(rig.verify(manifest.id(), ChunkIndex(0)), Ok(false), "nothing of it came");
    assert!(rig.read(manifest.id(), 1, 0, 1).is_err());
    assert_eq!(rig.fetch(&whole, &manifest, 1), Ok(true));
    let job = DiskJob::Write { file: manifest.id(), chunk: ChunkIndex(1), offset: 0, bytes: vec![9; 100] };
    assert_eq!(rig.ask(job), DiskReply::Wrote { file: manifest.id(), len: 100 });
    assert_eq!(rig.read(manifest.id(), 1, 0, 100).unwrap(), whole[200_000..200_100], "what is right stays");
    assert_eq!(rig.verify(manifest.id(), ChunkIndex(1)), Ok(true));
}

#[test]
fn what_does_not_fit_the_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let manifest = manifest_of(&sample(10), 3);
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &manifest).unwrap();
    for (chunk, offset, len) in [(3, 0, 1), (0, 0, 4), (0, 3, 1), (2, u64::MAX, 1)] {
        let bytes = vec![0; len];
        let job = DiskJob::Write { file: manifest.id(), chunk: ChunkIndex(chunk), offset, bytes };
        assert!(matches!(rig.ask(job), DiskReply::Broken { error: DiskError::Other(_), .. }));
    }
    assert!(rig.verify(manifest.id(), ChunkIndex(3)).is_err());
    assert!(rig.verify(FileId([0; 32]), ChunkIndex(0)).is_err());
}

#[test]
fn nothing_that_exists_is_written_over() {
    let folder = TempDir::new().unwrap();
    let whole = sample(10);
    let manifest = manifest_of(&whole, 1);
    let mut rig = Rig::fresh(folder.path());
    fs::write(folder.path().join("file"), "mine").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for taken in ["file", "folder"] {
        assert_eq!(rig.begin(taken, &manifest), Err(DiskError::Exists));
    }
    rig.begin("late", &manifest).unwrap();
    rig.fetch(&whole, &manifest, 0).unwrap();
    fs::write(folder.path().join("late"), "mine").unwrap();
    assert_eq!(rig.finish(manifest.id()), Err(DiskError::Exists));
    assert_eq!(fs::read(folder.path().join("late")).unwrap(), b"mine");
    fs::remove_file(folder.path().join("late")).unwrap();
    rig.finish(manifest.id()).unwrap();
    assert!(matches!(rig.begin("other", &manifest), Err(DiskError::Other(text)) if text.contains("'late'")));
}

#[test]
fn two_files_of_one_name_are_fetched_side_by_side_and_the_first_gets_it() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (sample(1000), sample(1001));
    let (first, second) = (manifest_of(&one, 2), manifest_of(&other, 2));
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &first).unwrap();
    rig.begin("file", &second).unwrap();
    for chunk in 0..2 {
        assert_eq!(rig.fetch(&one, &first, chunk), Ok(true));
        assert_eq!(rig.fetch(&other, &second, chunk), Ok(true));
    }
    rig.finish(second.id()).unwrap();
    assert_eq!(rig.finish(first.id()), Err(DiskError::Exists));
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), other);
    assert_eq!(rig.read(first.id(), 1, 0, 500).unwrap(), one[500..], "it is offered all the same");
}

#[test]
fn a_paused_download_is_offered_and_goes_on() {
    let folder = TempDir::new().unwrap();
    let whole = sample(1000);
    let manifest = manifest_of(&whole, 4);
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &manifest).unwrap();
    rig.fetch(&whole, &manifest, 2).unwrap();
    rig.give(DiskJob::Pause { file: manifest.id() });
    assert_eq!(rig.read(manifest.id(), 2, 0, 250).unwrap(), whole[500..750]);
    assert!(rig.fetch(&whole, &manifest, 1).is_err());
    assert_eq!(rig.begin("file", &manifest), Ok(vec![2]));
    rig.download("file", &whole, &manifest);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
}

#[test]
fn a_huge_chunk_is_checked_while_other_jobs_go_on() {
    let folder = TempDir::new().unwrap();
    let mut rig = Rig::fresh(folder.path());
    fs::write(folder.path().join("tiny"), "x").unwrap();
    let whole = vec![0; 64 << 20];
    let manifest = manifest_of(&whole, 1);
    rig.begin("file", &manifest).unwrap();
    // No block is written: a hole reads as zeros, and these are right.
    rig.give(DiskJob::Verify { file: manifest.id(), chunk: ChunkIndex(0) });
    rig.give(DiskJob::Finish { job: JobId(2), file: manifest.id() });
    assert_eq!(rig.look("tiny"), Ok(1));
    assert!(matches!(rig.next(), DiskReply::Verified { right: true, .. }));
    assert!(matches!(rig.next(), DiskReply::Finished { job: JobId(2), .. }));
}

#[test]
fn a_file_of_four_gigabytes_takes_no_room_before_it_comes() {
    let folder = TempDir::new().unwrap();
    let layout = Layout::new(4 << 30, 65_536).unwrap();
    let zeros = FileHash(*blake3::hash(&vec![0; 65_536]).as_bytes());
    let manifest = Arc::new(Manifest::new(layout, FileHash([0; 32]), vec![zeros; 65_536]).unwrap());
    let mut rig = Rig::fresh(folder.path());
    rig.begin("file", &manifest).unwrap();
    for chunk in [0, 65_535] {
        assert_eq!(rig.verify(manifest.id(), ChunkIndex(chunk)), Ok(true));
    }
    drop(rig);
    let (_, restored) = Rig::restored(folder.path());
    assert!(
        matches!(&restored[..], [DiskReply::Restored { held, complete: false, .. }] if numbers(held) == [0, 65_535])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Blocks of any length, in any order, any of them twice and first wrong.
    #[test]
    fn any_order_of_blocks_gives_the_file(
        len in 1usize..200_000, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30), chunks in 1u64..5,
    ) {
        prop_assume!(chunks <= len as u64);
        let folder = TempDir::new().unwrap();
        let whole = sample(len);
        let manifest = manifest_of(&whole, chunks);
        let mut rig = Rig::fresh(folder.path());
        rig.begin("file", &manifest).unwrap();
        let write = |rig: &mut Rig, chunk, from: usize, bytes: Vec<u8>| {
            let job = DiskJob::Write { file: manifest.id(), chunk, offset: from as u64, bytes };
            assert!(matches!(rig.ask(job), DiskReply::Wrote { .. }));
        };
        for chunk in (0..manifest.layout().chunks()).map(ChunkIndex) {
            let bytes = bytes_of(&whole, &manifest, chunk);
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
            places.sort_unstable();
            let mut blocks: Vec<_> = places.windows(2).map(|pair| pair[0]..pair[1]).collect();
            let (last, rest) = order.split_last().unwrap();
            for index in rest {
                let block = blocks[index.index(blocks.len())].clone();
                write(&mut rig, chunk, block.start, vec![0xaa; block.len()]);
            }
            let by = last.index(blocks.len());
            blocks.rotate_left(by);
            for block in blocks {
                write(&mut rig, chunk, block.start, bytes[block].to_vec());
            }
            prop_assert_eq!(rig.verify(manifest.id(), chunk), Ok(true));
        }
        rig.finish(manifest.id()).unwrap();
        prop_assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
    }
}
