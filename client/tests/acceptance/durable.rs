//! What was confirmed outlives the server, whatever ends it, and a disk that fails costs nobody a false promise
//! (threats 14, 15, 34, 36, 37, 39).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, Server, ServerSetup, Strace, kind, run_server, write_credentials};

/// A server with its data in that folder; whoever drops it kills it.
#[track_caller]
fn start(data: &Path) -> Server {
    Server::start(&ServerSetup { data_dir: Some(data), ..ServerSetup::default() })
}

#[track_caller]
pub(crate) fn users(reply: &Value) -> Vec<&str> {
    reply["users"].as_array().unwrap().iter().map(|user| user.as_str().unwrap()).collect()
}

/// The text of every message that the client was shown, up to now.
#[track_caller]
pub(crate) fn texts(client: &mut Client) -> Vec<String> {
    client.ok("whoelse");
    let events = client.events();
    let messages = events.iter().filter(|event| kind(event) == "message");
    messages.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that the database of a folder is sound.
#[track_caller]
pub(crate) fn assert_sound(data: &Path) {
    let finished = run_server(data, &["check", "--data-dir", data.to_str().unwrap()]);
    assert!(finished.code == 0 && finished.stdout.contains("is sound"), "{}", finished.stderr);
}

#[test]
fn a_stored_message_outlives_a_kill_and_arrives_once() {
    let data = TempDir::new().unwrap();
    let server = start(data.path());
    let mut ada = Client::login(&server, "ada");
    for text in ["one", "two \u{0} and \u{1b}[31m", "three"] {
        assert_eq!(ada.ok(&format!("message bob {text}"))["state"], "stored");
    }
    drop(server);

    let server = start(data.path());
    let mut bob = Client::login(&server, "bob");
    assert_eq!(texts(&mut bob), ["one", "two \u{0} and \u{1b}[31m", "three"]);
    assert!(bob.events()[1..4].iter().all(|event| event["offline"] == true));
    bob.ok("logout");
    bob.expect_end("logout", 0);
    // What the store is told now comes behind what it was told of bob's messages.
    assert_eq!(Client::login(&server, "ada").ok("message bob four")["state"], "stored");
    drop(server);

    let server = start(data.path());
    assert_eq!(texts(&mut Client::login(&server, "bob")), ["four"]);
    assert_sound(data.path());
}

#[test]
fn everything_that_was_confirmed_before_a_kill_is_there_once() {
    let data = TempDir::new().unwrap();
    let (mut confirmed, mut number) = (Vec::new(), 0);
    for round in 1..=5 {
        let server = start(data.path());
        let mut ada = Client::login(&server, "ada");
        let commands: Vec<_> = (0..100).map(|n| format!("message bob {}", number + n)).collect();
        ada.post_all(&commands);
        // Killed in the middle: after a few of the answers, with the rest under way.
        for _ in 0..round * 7 {
            let ok = ada.expect_event("a confirmation", |event| kind(event) == "ok");
            assert_eq!(ok["state"], "stored");
        }
        server.kill();
        ada.expect_event("the loss of the connection", |event| kind(event) == "reconnecting");
        let events = ada.events();
        // Nothing is sent again.
        drop((ada, server));
        let stored = events.iter().filter(|event| event["state"] == "stored");
        confirmed.extend(stored.map(|event| (number + event["re"].as_u64().unwrap() - 1).to_string()));
        number += 100;
    }
    let server = start(data.path());
    let shown = texts(&mut Client::login(&server, "bob"));
    let numbers: Vec<u64> = shown.iter().map(|text| text.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, and none twice: {numbers:?}");
    let lost: Vec<_> = confirmed.iter().filter(|text| !shown.contains(text)).collect();
    assert!(lost.is_empty() && confirmed.len() >= 100, "{lost:?} of {} are lost", confirmed.len());
    assert_sound(data.path());
}

#[test]
fn blocks_and_who_was_here_outlive_a_kill() {
    let data = TempDir::new().unwrap();
    let server = start(data.path());
    let mut bob = Client::login(&server, "bob");
    bob.ok("block ada");
    bob.ok("block carol");
    bob.ok("unblock carol");
    // Carol has left, bob has not, and what is known of them was written before this.
    let mut carol = Client::login(&server, "carol");
    carol.ok("logout");
    carol.expect_end("logout", 0);
    let mut ada = Client::login(&server, "ada");
    assert_eq!(ada.ok("message dave hello")["state"], "stored");
    drop(server);

    let server = start(data.path());
    let mut ada = Client::login(&server, "ada");
    assert_eq!(ada.error("message bob hello"), "blocked");
    assert_eq!(users(&ada.ok("whoelse")), Vec::<&str>::new());
    assert_eq!(users(&ada.ok("whoelsesince 600")), ["bob", "carol"]);
    assert_eq!(users(&Client::login(&server, "bob").ok("blocklist")), ["ada"]);
}

#[test]
fn a_restart_does_not_open_a_lock_nor_forget_tries() {
    let data = TempDir::new().unwrap();
    let code = |server: &Server, password: &str| {
        let answer = Client::try_login(server, "ada", password).1;
        (answer["code"].as_str().unwrap_or("in").to_owned(), answer["retry_after"].as_u64())
    };
    let server = start(data.path());
    for _ in 0..2 {
        assert_eq!(code(&server, "wrong").0, "bad-credentials");
    }
    // What the store is told now comes behind what it was told of the tries.
    assert_eq!(Client::login(&server, "bob").ok("message dave hello")["state"], "stored");
    drop(server);

    let server = start(data.path());
    assert_eq!(code(&server, "wrong").0, "locked", "the third");
    assert_eq!(Client::login(&server, "bob").ok("message dave hello")["state"], "stored");
    drop(server);

    let server = start(data.path());
    let (word, left) = code(&server, "first-program");
    assert!(
        word == "locked" && left.is_some_and(|left| (30..=60).contains(&left)),
        "{word}, {left:?} s left"
    );
    drop(server);
    // An operator who has no locks has none of before either.
    let setup = ServerSetup { data_dir: Some(data.path()), block_duration: 0, ..ServerSetup::default() };
    assert_eq!(code(&Server::start(&setup), "first-program").0, "in");
}

#[test]
fn a_database_that_cannot_be_used_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    write_credentials(&folder.path().join("Credentials.txt"), &[("ada", "first-program")]);
    let data = folder.path().join("parlour-data");
    let run = |args: &[&str]| run_server(folder.path(), args);
    run(&["check"]).assert_refused(2, &["there is no database parlour-data/parlour.db"]);
    run(&["check", "extra"]).assert_refused(2, &["'extra'"]);
    assert!(run(&["check", "--help"]).stdout.contains("Exit codes"));

    let server = start(&data);
    let port = server.address().port().to_string();
    drop(server);
    assert!(run(&["check"]).stdout.contains("is sound (messages that wait: 0,"));
    let database = data.join("parlour.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[100..200].fill(0xFF);
    fs::write(&database, &bytes).unwrap();
    // With the log of the last writes in its place the first page would be mended.
    drop(fs::remove_file(data.join("parlour.db-wal")));
    for args in [&["check"][..], &[&port, "60", "300"]] {
        run(args).assert_refused(2, &["parlour-data/parlour.db is damaged"]);
    }
    assert_eq!(fs::read(&database).unwrap(), bytes, "it is left as it was");
    fs::write(&database, "Dear diary").unwrap();
    run(&[&port, "60", "300"]).assert_refused(2, &["parlour-data/parlour.db is damaged"]);
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let data = TempDir::new().unwrap();
    let server = start(data.path());
    let folder = TempDir::new().unwrap();
    write_credentials(&folder.path().join("Credentials.txt"), &[("ada", "first-program")]);
    let args = ["--data-dir", data.path().to_str().unwrap(), "0", "60", "300"];
    run_server(folder.path(), &args).assert_refused(2, &["another parlour-server uses"]);
    assert_sound(data.path());
    drop(server);
    start(data.path());
}

/// A file system of its own that holds little, and goes with the test.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where nobody lets us.
    fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still uses it: it goes when that does.
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).status());
    }
}

/// Asserts that the log told of the outage once, and of nothing worse.
#[track_caller]
fn assert_told_once(server: &Server) {
    let lines = server.log().lines();
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!((count("takes no changes"), count("panicked")), (1, 0), "{lines:#?}");
}

/// Asserts that the two of them can talk.
#[track_caller]
fn assert_talking(ada: &mut Client, carol: &mut Client) {
    assert_eq!(ada.ok("message carol are you there?")["state"], "delivered");
    assert_eq!(carol.expect("message")["text"], "are you there?");
}

#[test]
fn a_full_disk_costs_no_false_promise_and_no_restart() {
    let Some(disk) = SmallDisk::mount("6m") else {
        eprintln!("skipped: this system lets us mount no file system");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let server = start(disk.0.path());
    let (mut ada, mut carol) = (Client::login(&server, "ada"), Client::login(&server, "carol"));
    let filler = "x".repeat(15_000);
    let mut number = 0;
    let mut stored = Vec::new();
    let refused = loop {
        number += 1;
        let reply = ada.post(&format!("message bob {number} {filler}"));
        let reply = ada.reply(reply);
        if reply["state"] != "stored" {
            break reply;
        }
        stored.push(number);
        assert!(number < 500, "the disk does not fill");
    };
    assert_eq!(refused["code"], "store-failed", "{refused}");
    assert!(!refused["text"].as_str().unwrap().contains("Nothing was changed"), "{refused}");
    assert_eq!(ada.error(&format!("message bob again {filler}")), "store-failed");
    assert_talking(&mut ada, &mut carol);

    fs::remove_file(&ballast).unwrap();
    assert_eq!(ada.ok(&format!("message bob {} {filler}", number + 1))["state"], "stored");
    stored.push(number + 1);
    server.expect_log(0, "the store takes changes again");
    assert_told_once(&server);
    drop(server);
    let server = start(disk.0.path());
    let shown = texts(&mut Client::login(&server, "bob"));
    let numbers: Vec<u64> =
        shown.iter().map(|text| text.split_once(' ').unwrap().0.parse().unwrap()).collect();
    assert_eq!(numbers, stored);
    assert_sound(disk.0.path());
}

#[test]
fn system_calls_that_fail_cost_no_false_promise_and_no_panic() {
    let mut tried = 0;
    for (calls, error) in [("fsync,fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC")] {
        let data = TempDir::new().unwrap();
        let server = start(data.path());
        let (mut ada, mut carol) = (Client::login(&server, "ada"), Client::login(&server, "carol"));
        assert_eq!(ada.ok("message bob before")["state"], "stored");
        let Some(strace) = Strace::attach(server.id(), &[&format!("{calls}:error={error}")]) else {
            continue;
        };
        tried += 1;
        assert_eq!(ada.error("message bob meanwhile"), "store-failed", "{calls} {error}");
        assert_eq!(carol.error("block dave"), "store-failed");
        assert_talking(&mut ada, &mut carol);
        drop(strace);

        assert_eq!(ada.ok("message bob after")["state"], "stored", "{calls} {error}");
        server.expect_log(0, "the store takes changes again");
        assert_told_once(&server);
        assert_eq!(users(&carol.ok("blocklist")), Vec::<&str>::new());
        drop(server);
        let server = start(data.path());
        assert_eq!(texts(&mut Client::login(&server, "bob")), ["before", "after"], "{calls} {error}");
        assert_sound(data.path());
    }
    eprintln!("{tried} kinds of failure were tried");
}

#[test]
fn a_read_that_fails_is_told_and_nothing_is_lost() {
    let data = TempDir::new().unwrap();
    let server = start(data.path());
    assert_eq!(Client::login(&server, "ada").ok("message bob hello")["state"], "stored");
    drop(server);
    let server = start(data.path());
    let Some(strace) = Strace::attach(server.id(), &["pread64:error=EIO"]) else { return };
    let mut bob = Client::login(&server, "bob");
    // The pages may be in SQLite's own memory already; then nothing has to be read.
    let told = bob.wait_for(Duration::from_secs(5), |event| matches!(kind(event), "notice" | "message"));
    drop(strace);
    if kind(&told.expect("the message, or why not")) == "message" {
        return;
    }
    bob.ok("logout");
    bob.expect_end("logout", 0);
    assert_eq!(texts(&mut Client::login(&server, "bob")), ["hello"]);
}
