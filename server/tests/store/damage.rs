//! A database that cannot be used is refused at the start, by its name and with what to do, and never emptied.

use std::{fs, path::Path, time::Instant};

use rusqlite::Connection;
use server::{
    hub::Sequence,
    store::{FILE_NAME, Store, StoreError, verify},
};
use tempfile::TempDir;

use crate::{
    NOW, SECRET,
    model::{keep, register},
    open,
};

/// A folder with a database in which some messages wait.
fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path());
    for number in 1..200 {
        store.commit(&[keep(number, 0, 1, &format!("message {number}"))]).unwrap();
    }
    store.commit(&[register("a", 1, 0), register("b", 1, 0)]).unwrap();
    folder
}

fn by_hand(folder: &Path, sql: &str) {
    Connection::open(folder.join(FILE_NAME)).unwrap().execute_batch(sql).unwrap();
}

/// Both the server and `check` refuse it; the words of both.
#[track_caller]
fn refusal(folder: &Path) -> [String; 2] {
    let before = fs::read(folder.join(FILE_NAME)).unwrap();
    let errors = [
        Store::open(folder, &SECRET, NOW).map(drop).unwrap_err(),
        verify(folder, NOW).map(drop).unwrap_err(),
    ];
    assert_eq!(fs::read(folder.join(FILE_NAME)).unwrap(), before, "it is left as it was");
    errors.map(|error| {
        let words = error.to_string();
        assert!(words.contains(FILE_NAME), "{words}");
        words
    })
}

#[test]
fn a_sound_one_is_told_to_be() {
    let folder = filled();
    let contents = verify(folder.path(), NOW).unwrap();
    assert_eq!((contents.messages, contents.mailboxes, contents.blocks, contents.files), (199, 1, 0, 2));
    let running = open(folder.path());
    assert_eq!(verify(folder.path(), NOW).unwrap(), contents, "also while a server uses it");
    drop(running);
    let empty = TempDir::new().unwrap();
    assert!(matches!(verify(empty.path(), NOW), Err(StoreError::Missing(_))));
}

#[test]
fn what_is_no_database_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(FILE_NAME), "Dear diary, ".repeat(1_000)).unwrap();
    assert!(refusal(folder.path()).iter().all(|words| words.contains("no database at all")));
}

#[test]
fn a_newer_one_and_somebody_elses_are_refused() {
    let folder = filled();
    by_hand(folder.path(), "PRAGMA user_version = 99");
    assert!(refusal(folder.path()).iter().all(|words| words.contains("newer parlour-server (format 99")));
    by_hand(folder.path(), "PRAGMA user_version = 0");
    assert!(refusal(folder.path()).iter().all(|words| words.contains("no format 0")));
    by_hand(folder.path(), "PRAGMA user_version = 1; PRAGMA application_id = 0");
    assert!(refusal(folder.path()).iter().all(|words| words.contains("another program")));
    let folder = TempDir::new().unwrap();
    by_hand(folder.path(), "CREATE TABLE recipes (name TEXT)");
    assert!(refusal(folder.path()).iter().all(|words| words.contains("another program")));
}

/// Everything is asked for damage: whatever part of the file is overwritten, it is named, or nothing was lost.
#[test]
fn damaged_bytes_are_noticed() {
    let sound = filled();
    let sequences = |folder: &Path| {
        let (mut store, recovered) = Store::open(folder, &SECRET, NOW)?;
        let page = store.load(&"grace".parse().unwrap(), Sequence(0), usize::MAX)?;
        let sequences: Vec<_> = page.messages.iter().map(|message| message.sequence).collect();
        Ok::<_, StoreError>((recovered.mailboxes, sequences))
    };
    let expected = sequences(sound.path()).unwrap();
    let bytes = fs::read(sound.path().join(FILE_NAME)).unwrap();
    assert!(!sound.path().join(format!("{FILE_NAME}-wal")).exists(), "it was closed well");
    let mut noticed = 0;
    let places: Vec<usize> = (0..bytes.len()).step_by(512).collect();
    for &place in &places {
        let folder = TempDir::new().unwrap();
        let mut damaged = bytes.clone();
        damaged[place..place + 16].fill(0xA5);
        fs::write(folder.path().join(FILE_NAME), damaged).unwrap();
        match sequences(folder.path()) {
            Err(StoreError::Damaged { .. } | StoreError::Foreign(_)) => noticed += 1,
            Err(other) => panic!("byte {place}: {other}"),
            // Free space, or a letter of a text: nothing can tell that it was another.
            Ok(found) => assert_eq!(found, expected, "byte {place}"),
        }
    }
    assert!(noticed > places.len() / 8, "only {noticed} of {}", places.len());
}

#[test]
fn rows_that_contradict_each_other_are_noticed_by_a_check() {
    for (sql, words) in [
        ("UPDATE mailboxes SET messages = 5", "counts of a mailbox"),
        ("DELETE FROM mailboxes", "counts of a mailbox"),
        ("INSERT INTO mailboxes VALUES ('grace2', 1, 5)", "counts of a mailbox"),
        ("INSERT INTO blocks VALUES ('ada', 'ada')", "blocks himself"),
        ("UPDATE messages SET sender = 'no name' WHERE sequence = 7", "\"no name\" is no username"),
        ("UPDATE messages SET id = 'x' WHERE sequence = 7", "no message id"),
        ("UPDATE files SET chunks = chunks + 1 WHERE name = 'b'", "a file has two sizes"),
        ("UPDATE files SET chunks = 0", "can be cut into 1 to 1000 chunks"),
        ("UPDATE files SET file = 'x'", "\"x\" is no file id"),
        ("DELETE FROM server", "'server'"),
    ] {
        let folder = filled();
        by_hand(folder.path(), sql);
        let error = verify(folder.path(), NOW).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(FILE_NAME), "{sql}: {error}");
    }
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let folder = filled();
    let first = open(folder.path());
    let error = Store::open(folder.path(), &SECRET, NOW).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    drop(first);
    open(folder.path());
}

#[test]
fn somebody_who_holds_the_database_makes_commits_fail_for_as_long() {
    let folder = filled();
    let mut store = open(folder.path());
    let operator = Connection::open(folder.path().join(FILE_NAME)).unwrap();
    operator.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    assert!(store.commit(&[keep(300, 0, 1, "too early")]).is_err());
    assert!(started.elapsed().as_secs() < 10, "it gives up");
    assert_eq!(store.load(&"grace".parse().unwrap(), Sequence(0), 10).unwrap().messages.len(), 1);
    operator.execute_batch("COMMIT").unwrap();
    store.commit(&[keep(300, 0, 1, "now")]).unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("deep/data");
    let mut store = open(&folder);
    store.commit(&[keep(1, 0, 1, "private")]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["parlour.db", "parlour.db-wal", "parlour.db-shm"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_delivered_text_does_not_stay_in_the_file() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path());
    store.commit(&[keep(1, 0, 1, "a secret of ada's"), keep(2, 0, 1, "another")]).unwrap();
    let to = "grace".parse().unwrap();
    let sequence = Sequence(1);
    store.commit(&[server::hub::StoreOperation::Drop { to, sequence }]).unwrap();
    drop(store);
    let bytes = fs::read(folder.path().join(FILE_NAME)).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("another") && !holds("secret of ada"));
}
