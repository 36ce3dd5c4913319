//! The process or the power goes at any moment: what was committed is there, whole batches and in their order.

use std::{fs, path::Path};

use server::store::{FILE_NAME, Store};
use tempfile::TempDir;

use crate::{
    NOW, SECRET, found,
    model::{Model, keep},
    open,
};

const BATCHES: u64 = 12;

fn batch(number: u64) -> [server::hub::StoreOperation; 2] {
    let text = |n: u64| format!("message {n} {}", "x".repeat(usize::try_from(n * 100).unwrap()));
    [keep(2 * number + 1, 0, 1, &text(number)), keep(2 * number + 2, 1, 2, &text(number))]
}

/// What must be there after so many batches.
fn after(batches: u64) -> Model {
    let mut model = Model::default();
    (0..batches).flat_map(batch).for_each(|operation| model.apply(&operation));
    model.settled()
}

/// What the disk holds at this moment: the process has closed nothing, and its memory is gone.
fn copy(from: &Path, to: &Path) {
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

fn log_of(folder: &Path) -> std::path::PathBuf {
    folder.join(format!("{FILE_NAME}-wal"))
}

#[test]
fn what_was_committed_outlives_a_process_that_is_killed() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path());
    for number in 0..BATCHES {
        store.commit(&batch(number)).unwrap();
        let killed = TempDir::new().unwrap();
        copy(folder.path(), killed.path());
        assert_eq!(found(killed.path()), after(number + 1));
    }
}

#[test]
fn a_torn_end_of_the_log_costs_whole_batches_from_its_end() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path());
    let mut ends = vec![fs::metadata(log_of(folder.path())).unwrap().len()];
    for number in 0..BATCHES {
        store.commit(&batch(number)).unwrap();
        ends.push(fs::metadata(log_of(folder.path())).unwrap().len());
    }
    assert!(ends.is_sorted(), "the log was not begun anew: {ends:?}");
    let (first, last) = (ends[0], ends[ends.len() - 1]);
    for len in (first..=last).step_by(997).chain([last]) {
        for tear in [Tear::Missing, Tear::Zeros, Tear::Flipped] {
            let torn = TempDir::new().unwrap();
            copy(folder.path(), torn.path());
            tear.at(&log_of(torn.path()), len);
            // Before `len` everything is whole; what the last batch there is, the ends tell.
            let whole = ends.iter().filter(|&&end| end <= len).count() as u64 - 1;
            assert_eq!(found(torn.path()), after(whole), "{tear:?} from {len} of {last} on");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Tear {
    Missing,
    Zeros,
    Flipped,
}

impl Tear {
    fn at(self, path: &Path, len: u64) {
        let mut bytes = fs::read(path).unwrap();
        let len = usize::try_from(len).unwrap();
        match self {
            Self::Missing => bytes.truncate(len),
            Self::Zeros => bytes[len..].fill(0),
            Self::Flipped => bytes[len..].iter_mut().for_each(|byte| *byte ^= 0x55),
        }
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_start_that_was_cut_short_is_begun_anew() {
    // The file is there, and nothing in it; or its mode, and no table.
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(FILE_NAME), "").unwrap();
    assert_eq!(Store::open(folder.path(), &SECRET, NOW).unwrap().1.secret, SECRET);
    let folder = TempDir::new().unwrap();
    let half = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    let _: String = half.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).unwrap();
    drop(half);
    assert_eq!(Store::open(folder.path(), &SECRET, NOW).unwrap().1.secret, SECRET);
}
