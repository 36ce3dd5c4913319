//! Links, pipes, devices, swaps and full disks.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

const SECRET: &[u8] = b"nobody may read this";

/// A directory beside which a secret lies, and all kinds of things that are no plain files.
fn trap() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    symlink("../secret", dir.join("link")).unwrap();
    symlink("nowhere", dir.join("dangling")).unwrap();
    fs::create_dir(dir.join("folder")).unwrap();
    fs::write(dir.join("folder/inner"), "x").unwrap();
    symlink("folder", dir.join("link to folder")).unwrap();
    mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _ = UnixListener::bind(dir.join("socket")).unwrap();
    // As /dev/zero; only the superuser may make one.
    let _ = mknodat(CWD, dir.join("device"), FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0x0105);
    (folder, dir)
}

#[test]
fn only_plain_files_of_the_directory_are_seen_or_read() {
    let (folder, dir) = trap();
    fs::write(dir.join(".hidden"), "four").unwrap();
    let mut rig = Rig::fresh(&dir);
    let secret = folder.path().join("secret");
    let absolute = secret.to_str().unwrap();
    for odd in [
        "",
        ".",
        "..",
        "/",
        "../secret",
        absolute,
        "folder/inner",
        "folder/../link",
        "./link",
        "a\0b",
        &"x".repeat(9999),
    ] {
        assert!(rig.look(odd).is_err(), "{odd:?}");
    }
    for odd in ["link", "dangling", "folder", "link to folder", "pipe", "socket", "device", "missing"] {
        assert_eq!(rig.look(odd), Err(DiskError::NoSuchFile), "{odd}");
        assert_eq!(rig.hash(odd, 1), Err(DiskError::NoSuchFile), "{odd}");
        let begun = rig.begin(odd, &manifest_of(b"x", 1));
        assert_eq!(begun == Err(DiskError::Exists), dir.join(odd).symlink_metadata().is_ok(), "{odd}");
    }
    assert_eq!(rig.look(".hidden"), Ok(4), "it is there, but has no name that can be shared");
    assert_eq!(fs::read(secret).unwrap(), SECRET);
}

#[test]
fn a_shared_file_that_becomes_something_else_is_not_read() {
    for odd in ["link", "folder", "pipe", "socket", "dangling"] {
        for was_open in [false, true] {
            let (_folder, dir) = trap();
            fs::write(dir.join("file"), SECRET).unwrap();
            let mut rig = Rig::fresh(&dir);
            let file = rig.share("file", 1);
            if was_open {
                rig.read(file, 0, 0, 3).unwrap();
            }
            fs::remove_file(dir.join("file")).unwrap();
            fs::rename(dir.join(odd), dir.join("file")).unwrap();
            rig.give(DiskJob::Read { job: JOB, file, chunk: ChunkIndex(0), offset: 0, len: 3 });
            assert_eq!(rig.next(), DiskReply::Changed { file });
            assert_eq!(rig.next(), DiskReply::Read { job: JOB, bytes: Err(DiskError::Changed) });
        }
    }
}

#[test]
fn no_moment_of_a_swap_lets_another_file_be_hashed() {
    let (_folder, dir) = trap();
    let (plain, end) = (SECRET.iter().map(|_| b'p').collect::<Vec<_>>(), AtomicBool::new(false));
    fs::write(dir.join("plain"), &plain).unwrap();
    fs::hard_link(dir.join("plain"), dir.join("file")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                symlink("../secret", dir.join("new")).unwrap();
                fs::rename(dir.join("new"), dir.join("file")).unwrap();
                fs::hard_link(dir.join("plain"), dir.join("new")).unwrap();
                fs::rename(dir.join("new"), dir.join("file")).unwrap();
            }
        });
        let mut rig = Rig::fresh(&dir);
        let outcomes: Vec<_> = (0..2000).map(|_| rig.hash("file", 1)).collect();
        end.store(true, Ordering::Relaxed);
        let expected = manifest_of(&plain, 1);
        for outcome in outcomes {
            assert!(
                matches!(&outcome, Err(DiskError::NoSuchFile | DiskError::Changed))
                    || outcome.as_ref() == Ok(&expected),
                "{outcome:?}"
            );
        }
    });
}

#[test]
fn state_is_not_put_where_a_link_leads() {
    for place in [".parlour", ".parlour/u-ana.d"] {
        let (folder, dir) = trap();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir_all(dir.join(place).parent().unwrap()).unwrap();
        symlink(&elsewhere, dir.join(place)).unwrap();
        let mut rig = Rig::fresh(&dir);
        assert!(matches!(rig.begin("file", &manifest_of(b"x", 1)), Err(DiskError::Other(_))));
        fs::write(dir.join("mine"), "x").unwrap();
        let file = rig.hash("mine", 1).unwrap().id();
        let shared = rig.ask(DiskJob::Share { job: JOB, name: name("mine"), file });
        assert!(matches!(shared, DiskReply::Failed { error: DiskError::Other(_), .. }));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}

#[test]
fn links_put_into_the_state_are_not_followed() {
    let (folder, dir) = trap();
    let whole = sample(SECRET.len());
    let manifest = manifest_of(&whole, 1);
    drop(Rig::fresh(&dir));
    fs::create_dir_all(state_dir(&dir)).unwrap();
    for ending in [".part", ".journal", ".record.new", ".record"] {
        let odd = state_dir(&dir).join(format!("{}{ending}", manifest.id()));
        symlink("../../../secret", &odd).unwrap();
        let mut rig = Rig::fresh(&dir);
        if rig.begin("file", &manifest).is_ok() {
            rig.fetch(&whole, &manifest, 0).unwrap();
        }
        drop(rig);
        assert_eq!(fs::read(folder.path().join("secret")).unwrap(), SECRET, "{ending}");
        fs::remove_dir_all(state_dir(&dir)).unwrap();
        fs::create_dir_all(state_dir(&dir)).unwrap();
    }
}

#[test]
fn the_directory_is_the_one_that_was_opened() {
    let (folder, dir) = trap();
    fs::write(dir.join("file"), "mine").unwrap();
    let mut rig = Rig::fresh(&dir);
    fs::rename(&dir, folder.path().join("moved")).unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/file"), SECRET).unwrap();
    symlink("other", &dir).unwrap();
    assert_eq!(rig.hash("file", 1), Ok(manifest_of(b"mine", 1)));
    rig.give(DiskJob::Begin { job: JOB, name: name("new"), manifest: manifest_of(b"x", 1) });
    assert!(matches!(rig.next(), DiskReply::Begun { .. }));
    assert!(folder.path().join("moved/.parlour").exists() && !folder.path().join("other/.parlour").exists());
}

/// A file system of one mebibyte, as long as it is wanted.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs"])
            .arg(folder.path())
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: a small file system cannot be mounted here");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_file_that_cannot_fit_is_refused_before_it_is_begun() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut rig = Rig::fresh(disk.path());
    let layout = Layout::new(2 << 20, 1).unwrap();
    for layout in [layout, Layout::new(u64::MAX, 1).unwrap()] {
        let hash = FileHash([0; 32]);
        let manifest = Arc::new(Manifest::new(layout, hash, vec![hash]).unwrap());
        assert_eq!(rig.begin("file", &manifest), Err(DiskError::Full));
        assert_eq!(fs::read_dir(state_dir(disk.path())).unwrap().count(), 1, "but for the lock");
    }
}

#[test]
fn a_disk_that_fills_up_keeps_what_is_there() {
    let Some(disk) = SmallDisk::mount() else { return };
    let whole = sample(600_000);
    let manifest = manifest_of(&whole, 6);
    let mut rig = Rig::fresh(disk.path());
    rig.begin("file", &manifest).unwrap();
    assert_eq!(rig.fetch(&whole, &manifest, 2), Ok(true));
    let ballast = disk.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 1 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(rig.fetch(&whole, &manifest, 4), Err(DiskError::Full));
    assert_eq!(rig.read(manifest.id(), 2, 0, 100_000).unwrap(), whole[200_000..300_000]);
    rig.give(DiskJob::Pause { file: manifest.id() });
    assert_eq!(rig.begin("other", &manifest_of(&sample(500_000), 1)), Err(DiskError::Full));
    drop(rig);
    let (mut rig, restored) = Rig::restored(disk.path());
    assert!(matches!(&restored[..], [DiskReply::Restored { held, .. }] if numbers(held) == [2]));
    fs::remove_file(ballast).unwrap();
    rig.download("file", &whole, &manifest);
    assert_eq!(fs::read(disk.path().join("file")).unwrap(), whole);
}
