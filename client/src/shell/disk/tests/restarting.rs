//! What is left after a client ended, at whatever moment.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

/// What was restored, in short, without the files of which nothing is left.
fn told(restored: &[DiskReply]) -> Vec<(String, Vec<u32>, bool)> {
    let is_left = |reply: &&DiskReply| !matches!(reply, DiskReply::Restored { held, .. } if held.is_empty());
    let told = restored.iter().filter(is_left).map(|reply| match reply {
        DiskReply::Restored { name, manifest, file, held, complete } => {
            assert_eq!(manifest.id(), *file);
            (name.to_string(), numbers(held), *complete)
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn restart(dir: &Path) -> Vec<(String, Vec<u32>, bool)> {
    told(&Rig::restored(dir).1)
}

fn path(dir: &Path, manifest: &Manifest, ending: &str) -> PathBuf {
    state_dir(dir).join(format!("{}{ending}", manifest.id()))
}

/// A download of which some chunks came.
fn half_fetched(dir: &Path, whole: &[u8], manifest: &Arc<Manifest>, chunks: &[u32]) {
    let mut rig = Rig::fresh(dir);
    rig.begin("file", manifest).unwrap();
    for chunk in chunks {
        assert_eq!(rig.fetch(whole, manifest, *chunk), Ok(true));
    }
}

#[test]
fn a_download_goes_on_from_any_moment_of_its_journal() {
    let whole = sample(9000);
    let manifest = manifest_of(&whole, 9);
    let order = [4, 0, 8, 1, 7];
    for journal_len in 0..=order.len() * 6 {
        let folder = TempDir::new().unwrap();
        half_fetched(folder.path(), &whole, &manifest, &order);
        let journal =
            fs::OpenOptions::new().write(true).open(path(folder.path(), &manifest, ".journal")).unwrap();
        journal.set_len(journal_len as u64).unwrap();
        let mut expected = order[..journal_len / 6].to_vec();
        expected.sort_unstable();
        let (mut rig, restored) = Rig::restored(folder.path());
        let expected_reply: &[_] =
            if expected.is_empty() { &[] } else { &[("file".to_owned(), expected.clone(), false)] };
        assert_eq!(told(&restored), expected_reply);
        for chunk in &expected {
            assert!(rig.read(manifest.id(), *chunk, 0, 1000).is_ok());
        }
        assert_eq!(rig.begin("file", &manifest), Ok(expected.clone()));
        assert_eq!(rig.fetch(&whole, &manifest, 3), Ok(true));
        drop(rig);
        expected.push(3);
        expected.sort_unstable();
        assert_eq!(restart(folder.path()), [("file".to_owned(), expected, false)]);
        let mut rig = Rig::restored(folder.path()).0;
        rig.download("file", &whole, &manifest);
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
    }
}

#[test]
fn a_chunk_that_the_journal_claims_counts_only_if_its_bytes_are_right() {
    let folder = TempDir::new().unwrap();
    let whole = sample(4000);
    let manifest = manifest_of(&whole, 4);
    half_fetched(folder.path(), &whole, &manifest, &[0, 2, 3]);
    let mut bytes = whole.clone();
    bytes[2500] ^= 1;
    fs::write(path(folder.path(), &manifest, ".part"), &bytes[..3999]).unwrap();
    fs::write(path(folder.path(), &manifest, ".journal"), "00000\n00001\n00002\n00003\n99999\nrubbish")
        .unwrap();
    assert_eq!(restart(folder.path()), [("file".to_owned(), vec![0, 1], false)]);
    let mut rig = Rig::restored(folder.path()).0;
    rig.download("file", &whole, &manifest);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
}

#[test]
fn a_crash_within_begin_or_finish_loses_nothing() {
    type Crash = (&'static str, fn(&Path, &Manifest));
    let whole = sample(3000);
    let manifest = manifest_of(&whole, 3);
    let crashes: [Crash; 5] = [
        ("record but no part yet", |dir, manifest| {
            fs::remove_file(path(dir, manifest, ".part")).unwrap();
            fs::remove_file(path(dir, manifest, ".journal")).unwrap();
        }),
        ("not renamed", |_, _| {}),
        ("renamed, not recorded", |dir, manifest| {
            fs::rename(path(dir, manifest, ".part"), dir.join("file")).unwrap();
        }),
        ("linked, not unlinked", |dir, manifest| {
            fs::hard_link(path(dir, manifest, ".part"), dir.join("file")).unwrap();
        }),
        ("a record half written", |dir, manifest| {
            fs::write(path(dir, manifest, ".record.new"), "parlour").unwrap();
        }),
    ];
    for ((what, crash), number) in crashes.into_iter().zip(0..) {
        let folder = TempDir::new().unwrap();
        half_fetched(folder.path(), &whole, &manifest, &[0, 1, 2]);
        crash(folder.path(), &manifest);
        let (mut rig, restored) = Rig::restored(folder.path());
        match number {
            0 => assert_eq!(told(&restored), [], "{what}"),
            2 | 3 => {
                assert_eq!(told(&restored), [("file".to_owned(), vec![0, 1, 2], true)], "{what}");
                assert_eq!(rig.read(manifest.id(), 0, 0, 1000).unwrap(), whole[..1000]);
            }
            _ => {
                assert_eq!(told(&restored), [("file".to_owned(), vec![0, 1, 2], false)], "{what}");
            }
        }
        if !matches!(number, 2 | 3) {
            rig.download("file", &whole, &manifest);
        }
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
        drop(rig);
        assert_eq!(restart(folder.path()), [("file".to_owned(), vec![0, 1, 2], true)]);
        assert_eq!(fs::read_dir(state_dir(folder.path())).unwrap().count(), 2, "{what}");
    }
}

#[test]
fn shared_and_fetched_files_are_restored_and_changed_ones_forgotten() {
    let folder = TempDir::new().unwrap();
    let whole = sample(1000);
    let manifest = manifest_of(&whole, 2);
    fs::write(folder.path().join("mine"), "text").unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.share("mine", 4);
    rig.download("fetched", &whole, &manifest);
    drop(rig);
    let mut restored = restart(folder.path());
    restored.sort();
    assert_eq!(
        restored,
        [("fetched".to_owned(), vec![0, 1], true), ("mine".to_owned(), vec![0, 1, 2, 3], true)]
    );
    fs::write(folder.path().join("mine"), "txet").unwrap();
    fs::remove_file(folder.path().join("fetched")).unwrap();
    let restored = Rig::restored(folder.path()).1;
    let is_gone = |reply: &DiskReply| matches!(reply, DiskReply::Restored { held, complete: false, .. } if held.is_empty());
    assert!(
        restored.len() == 2 && restored.iter().all(is_gone),
        "others may still ask for them: {restored:?}"
    );
    fs::write(folder.path().join("mine"), "text").unwrap();
    assert_eq!(Rig::restored(folder.path()).1, [], "it was forgotten for good");
    assert_eq!(names_in(folder.path()), ["mine"]);
}

/// The record lies about the bytes, so that it shows whether they were looked at.
#[cfg(unix)]
#[test]
fn only_a_stamp_that_had_settled_is_believed() {
    use std::{os::unix::fs::MetadataExt, time::SystemTime};

    use crate::shell::disk::{directory::Directory, record::Record};

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    let (rig, manifest) = (Rig::fresh(folder.path()), manifest_of(b"lies", 1));
    drop(rig);
    fs::create_dir_all(state_dir(folder.path())).unwrap();
    let stamp = Directory::open(folder.path()).unwrap().stamp("file").unwrap();
    let record = Record { name: name("file"), whole: Some(stamp), manifest: Arc::clone(&manifest) };
    let changed = fs::metadata(folder.path().join("file")).unwrap();
    let changed =
        Duration::new(changed.ctime().try_into().unwrap(), changed.ctime_nsec().try_into().unwrap());
    for (later_ms, is_believed) in [(2000, true), (1999, false)] {
        let record_path = path(folder.path(), &manifest, ".record");
        fs::write(&record_path, record.encode()).unwrap();
        let written = SystemTime::UNIX_EPOCH + changed + Duration::from_millis(later_ms);
        fs::File::options().write(true).open(&record_path).unwrap().set_modified(written).unwrap();
        assert_eq!(restart(folder.path()).len(), usize::from(is_believed));
        assert_eq!(record_path.exists(), is_believed);
    }
}

#[test]
fn damaged_records_and_strange_files_in_the_state_harm_nobody() {
    let folder = TempDir::new().unwrap();
    let whole = sample(100);
    let manifest = manifest_of(&whole, 1);
    half_fetched(folder.path(), &whole, &manifest, &[0]);
    let state = state_dir(folder.path());
    let record = path(folder.path(), &manifest, ".record");
    let bytes = fs::read(&record).unwrap();
    for (id, content) in [("00", &bytes[..]), ("11", b""), ("22", &bytes[..bytes.len() - 1])] {
        fs::write(state.join(format!("{}.record", id.repeat(32))), content).unwrap();
        fs::write(state.join(format!("{}.part", id.repeat(32))), content).unwrap();
    }
    fs::write(state.join("x.record"), "").unwrap();
    fs::create_dir(state.join(format!("{}.record", "33".repeat(32)))).unwrap();
    assert_eq!(restart(folder.path()), [("file".to_owned(), vec![0], false)]);
    assert!(!state.join(format!("{}.part", "00".repeat(32))).exists());
}

#[test]
fn a_download_is_begun_while_its_chunks_are_hashed_again() {
    let folder = TempDir::new().unwrap();
    let whole = sample(5 << 20);
    let manifest = manifest_of(&whole, 5);
    half_fetched(folder.path(), &whole, &manifest, &[1, 3]);
    let mut rig = Rig::start(folder.path());
    rig.give(DiskJob::Restore { user: USER.parse().unwrap() });
    rig.give(DiskJob::Begin { job: JOB, name: name("file"), manifest: Arc::clone(&manifest) });
    assert!(matches!(rig.next(), DiskReply::Restored { held, .. } if numbers(&held) == [1, 3]));
    let mut rest = [rig.next(), rig.next()];
    rest.sort_by_key(|reply| *reply == DiskReply::AllRestored);
    assert!(matches!(&rest[0], DiskReply::Begun { held, .. } if numbers(held) == [1, 3]), "{rest:?}");
}

#[test]
fn each_user_has_state_of_his_own_and_only_one_client_at_a_time() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.share("file", 1);
    let mut bob = Rig::start(folder.path());
    bob.give(DiskJob::Restore { user: "bob".parse().unwrap() });
    assert_eq!(bob.next(), DiskReply::AllRestored);
    bob.share("file", 1);
    let mut second = Rig::fresh(folder.path());
    let manifest = manifest_of(b"other", 1);
    let error = second.begin("other", &manifest).unwrap_err();
    assert!(error.to_string().contains("another running client of the user ana"), "{error}");
    let whole = second.hash("file", 1).unwrap();
    let share = DiskJob::Share { job: JOB, name: name("file"), file: whole.id() };
    assert!(matches!(second.ask(share), DiskReply::Failed { error: DiskError::Other(_), .. }));
    drop(rig);
    second.give(DiskJob::Begin { job: JOB, name: name("other"), manifest });
    let mut replies = [second.next(), second.next()];
    replies.sort_by_key(|reply| matches!(reply, DiskReply::Begun { .. }));
    assert_eq!(
        told(&replies[..1]),
        [("file".to_owned(), vec![0], true)],
        "what could not be restored at first"
    );
}

#[cfg(unix)]
#[test]
fn the_state_is_its_owners_alone_and_a_finished_file_is_like_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let mut rig = Rig::fresh(folder.path());
    rig.download("file", b"text", &manifest_of(b"text", 1));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state_dir(folder.path())), 0o700);
    fs::write(folder.path().join("usual"), "").unwrap();
    assert_eq!(mode(&folder.path().join("file")), mode(&folder.path().join("usual")));
}
