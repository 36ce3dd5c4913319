//! What is on the disk, or not: links, directories that cannot be written, full disks, huge files, and files that
//! change while they are offered.
//!
//! Threats: 52 and 53 (links, also swapped in later), 54 (nothing is written over), 59 (a shared file changes), 61
//! (full disks). Small disks are tmpfs mounts; where they cannot be made, their tests say so and pass.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{await_holders, len_of, numbers, offered, range, refusal, register};
use crate::harness::{Fellow, Home, Server, kind, noise};

/// The code of trouble with a local file that has no code of its own.
const LOCAL_FILE: &str = "local-file";

/// A small disk, which is taken away with this.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Puts one in place of an empty directory; `None` where that is not permitted.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        let is_done = mount.is_ok_and(|output| output.status.success());
        if !is_done {
            eprintln!("skipped: no file system can be mounted here");
        }
        is_done.then(|| Self { path: path.to_owned() })
    }

    fn set(&self, option: &str) {
        let options = format!("remount,{option}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.path).status();
        assert!(status.unwrap().success(), "remounted with {option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while something has it open.
        drop(Command::new("umount").arg("-l").arg(&self.path).status());
    }
}

/// A place whose directory of files is a disk of its own.
fn home_on(size: &str) -> Option<(SmallDisk, Home)> {
    let home = Home::new();
    let dir = home.path().join("files");
    fs::create_dir(&dir).unwrap();
    SmallDisk::mount(&dir, size).map(|disk| (disk, home))
}

#[test]
fn links_are_neither_offered_nor_followed_nor_written_through() {
    let server = Server::usual();
    let (mut ada, mut bob, bytes) = offered(&server, 10_000, 4);
    let outside = ada.dir().join("../outside");
    fs::write(&outside, noise(99, 10_000)).unwrap();
    for (name, target) in [("link", "../outside"), ("alias", "f"), ("dangling", "nowhere")] {
        symlink(target, ada.path(name)).unwrap();
        assert_eq!(ada.error(&format!("register {name} 4")), "no-such-file", "{name}");
    }
    // Somebody puts a link in the way of what is to come.
    for (name, target) in [("f", "../victim"), ("f", "f"), ("f", "../outside")] {
        symlink(target, bob.path(name)).unwrap();
        assert_eq!(bob.error("download f"), "exists");
        assert!(fs::symlink_metadata(bob.path(name)).unwrap().is_symlink());
        fs::remove_file(bob.path(name)).unwrap();
    }
    assert!(!bob.dir().join("../victim").exists());
    fs::create_dir(bob.path("f")).unwrap();
    assert_eq!(bob.error("download f"), "exists");
    fs::remove_dir(bob.path("f")).unwrap();

    // Somebody puts a link in place of what is offered.
    fs::remove_file(ada.path("f")).unwrap();
    symlink("../outside", ada.path("f")).unwrap();
    assert_eq!(bob.error("download f"), "not-available");
    ada.expect("notice");
    assert_eq!(bob.names(), [""; 0]);
    fs::remove_file(ada.path("f")).unwrap();
    ada.put("f", &bytes);
    ada.ok("unregister f");
    register(&mut ada, "f", 4);
    bob.ok("download f");
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn what_is_remembered_does_not_lead_elsewhere() {
    let server = Server::usual();
    let (_ada, mut bob, _) = offered(&server, 10_000, 4);
    let outside = bob.dir().join("../outside");
    fs::create_dir(&outside).unwrap();
    bob.put("g", b"something");
    symlink("../outside", bob.path(".parlour")).unwrap();
    assert_eq!(bob.error("download f"), LOCAL_FILE);
    assert_eq!(bob.error("register g 1"), LOCAL_FILE);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(bob.names(), ["g"]);
    assert_eq!(bob.ok("searchFile f")["holders"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_directory_that_cannot_be_used_is_told_and_chat_goes_on() {
    let server = Server::usual();
    let (mut ada, mut bob, _) = offered(&server, 10_000, 4);
    bob.put("g", b"something");
    bob.put(".parlour", b"in the way");
    assert_eq!(bob.error("download f"), LOCAL_FILE);
    assert_eq!(bob.error("register g 1"), LOCAL_FILE);
    assert_eq!(ada.error("searchFile g"), "not-registered");
    assert_eq!(ada.ok("message bob still there?")["state"], "delivered");
    assert_eq!(bob.read(".parlour"), b"in the way");
    fs::remove_file(bob.path(".parlour")).unwrap();
    bob.ok("download f");
    register(&mut bob, "g", 1);
}

#[test]
fn a_disk_that_takes_no_writes_is_told_and_can_be_mended() {
    let server = Server::usual();
    let (_ada, bob, bytes) = offered(&server, 10_000, 4);
    drop(bob);
    let Some((disk, home)) = home_on("1m") else { return };
    let mut bob = Fellow::at(home, &server, "bob", &[]);
    disk.set("ro");
    assert_eq!(bob.error("download f"), LOCAL_FILE);
    disk.set("rw");
    bob.ok("download f");
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_it_is_fetched() {
    let server = Server::usual();
    let (_ada, bob, bytes) = offered(&server, 3 << 20, 12);
    drop(bob);
    let Some((disk, home)) = home_on("2m") else { return };
    let mut bob = Fellow::at(home, &server, "bob", &[]);
    assert_eq!(bob.error("download f"), "disk-full");
    assert_eq!(bob.names(), [""; 0]);
    disk.set("size=16m");
    assert_eq!(bob.ok("download f")["bytes"], 3 << 20);
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn a_disk_that_fills_up_keeps_what_is_there() {
    const LIMIT: &[&str] = &["--download-limit", "512K"];
    const SIZE: u64 = 4 << 20;
    let server = Server::usual();
    let (mut ada, bob, bytes) = offered(&server, SIZE, 64);
    drop(bob);
    let Some((_disk, home)) = home_on("6m") else { return };
    let mut bob = Fellow::at(home, &server, "bob", LIMIT);
    let download = bob.post("download f");
    bob.expect_event("a part of it", |event| kind(event) == "progress" && event["have"].as_u64() >= Some(8));
    // Somebody else takes what is left.
    let filled = fs::write(bob.path("filler"), vec![1; 6 << 20]);
    assert!(filled.is_err());
    assert_eq!(bob.reply(download)["code"], "disk-full");
    assert_eq!(ada.ok("message bob still there?")["state"], "delivered");
    let held = numbers(&ada.ok("searchFile f")["holders"][1]["chunks"]);
    assert!(held.len() >= 8, "{held:?}");
    fs::remove_file(bob.path("filler")).unwrap();
    assert_eq!(bob.ok("download f")["bytes"], SIZE - len_of(SIZE, 64, held));
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn a_file_that_changes_while_it_is_offered_does_not_spread() {
    let server = Server::usual();
    let (mut ada, mut bob, bytes) = offered(&server, 100_000, 10);
    let mut carol = Fellow::login(&server, "carol");
    bob.ok("download f 0 1 2");
    let mut changed = bytes.clone();
    changed[55_555] ^= 1;
    ada.put("f", &changed);
    // What ada has is not what was registered.
    assert_eq!(carol.error("download f 5"), "not-available");
    let notice = ada.expect("notice");
    assert!(notice["text"].as_str().is_some_and(|text| text.contains("'f' was changed")), "{notice}");
    await_holders(&mut carol, "searchFile f", &json!([{ "user": "bob", "chunks": [0, 1, 2] }]));
    // What was fetched before is still good.
    let ok = carol.ok("download f 1");
    assert_eq!(ok["sources"], json!(["bob"]));
    let part = fs::read(ok["path"].as_str().unwrap()).unwrap();
    assert_eq!(part[10_000..20_000], bytes[10_000..20_000]);
    // The way out that the notice names.
    ada.ok("unregister f");
    register(&mut ada, "f", 10);
    carol.ok("download f");
    assert_eq!(carol.read("f"), changed);
}

#[test]
fn a_file_that_changed_or_went_while_its_owner_was_away_is_not_offered() {
    let server = Server::usual();
    let (mut ada, mut bob, _) = offered(&server, 100_000, 10);
    for (number, name) in [(8, "gone"), (9, "kept")] {
        ada.put(name, &noise(number, 1000));
        register(&mut ada, name, 2);
    }
    let changed = ada.path("f");
    let gone = ada.path("gone");
    let home = ada.logout();
    fs::write(changed, noise(10, 100_000)).unwrap();
    fs::remove_file(gone).unwrap();
    let _ada = Fellow::at(home, &server, "ada", &[]);
    await_holders(&mut bob, "searchFile kept", &json!([{ "user": "ada", "chunks": [0, 1] }]));
    bob.ok("download kept");
    for name in ["f", "gone"] {
        let found = await_holders(&mut bob, &format!("searchFile {name}"), &json!([]));
        assert_eq!(found["available"], false);
        assert_eq!(bob.error(&format!("download {name}")), "not-available");
    }
}

#[test]
fn bytes_that_rotted_between_two_runs_are_fetched_again() {
    const SIZE: u64 = 100_000;
    let server = Server::usual();
    let (_ada, mut bob, bytes) = offered(&server, SIZE, 10);
    let ok = bob.ok("download f 0 1 2 3");
    let part = PathBuf::from(ok["path"].as_str().unwrap());
    let home = bob.logout();
    let mut rotten = fs::read(&part).unwrap();
    rotten[usize::try_from(range(SIZE, 10, 2).start).unwrap() + 7] ^= 0x80;
    fs::write(&part, rotten).unwrap();
    let mut bob = Fellow::at(home, &server, "bob", &[]);
    let ok = bob.ok("download f");
    assert_eq!(ok["bytes"], len_of(SIZE, 10, [2, 4, 5, 6, 7, 8, 9]));
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn what_is_remembered_is_its_owners_alone() {
    let server = Server::usual();
    let (_ada, mut bob, _) = offered(&server, 1000, 4);
    bob.ok("download f 0");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&bob.path(".parlour/u-bob.d")), 0);
}

#[test]
fn a_file_beyond_four_gibibytes() {
    const SIZE: u64 = (4 << 30) + 12_345;
    const CHUNKS: u64 = 4096;
    /// Hashing so much takes a while where the machine has other work.
    const LONG: Duration = Duration::from_secs(120);
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let free = Command::new("df").arg("-Pk").arg(bob.dir()).output().expect("`df` starts");
    let free = String::from_utf8_lossy(&free.stdout);
    let free_kib = free.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    if free_kib < Some(6_u64 << 20) {
        return eprintln!("skipped: no room for 4 GiB here");
    }
    ada.put_sparse("f", SIZE, &[(0, b"the first"), (1 << 32, b"beyond"), (SIZE - 8, b"the last")]);
    let registered = ada.post(&format!("register f {CHUNKS}"));
    let Some(ok) = ada.wait_for(LONG, |event| event["re"] == registered && kind(event) != "progress") else {
        return eprintln!("skipped: hashing 4 GiB takes longer than {LONG:?} here");
    };
    assert_eq!([&ok["size"], &ok["chunk_size"]], [&json!(SIZE), &json!(SIZE.div_ceil(CHUNKS))]);
    let beyond = (0..CHUNKS).find(|&chunk| range(SIZE, CHUNKS, chunk).contains(&(1 << 32))).unwrap();
    let last = CHUNKS - 1;
    let ok = bob.ok(&format!("download f {last} 0 {beyond} 2"));
    let mut expected = vec![0, 2, beyond, last];
    expected.dedup();
    assert_eq!(numbers(&ok["chunks"]), expected);
    let part = fs::File::open(ok["path"].as_str().unwrap()).unwrap();
    for (at, mark) in [(0, &b"the first"[..]), (1 << 32, b"beyond"), (SIZE - 8, b"the last")] {
        let mut read = vec![0; mark.len()];
        std::os::unix::fs::FileExt::read_exact_at(&part, &mut read, at).unwrap();
        assert_eq!(read, mark);
    }
    // What was not fetched takes no room.
    assert!(part.metadata().unwrap().blocks() * 512 < 64 << 20);
    assert!(refusal(&mut bob, "download f 2", "already-have").contains('f'));
}
