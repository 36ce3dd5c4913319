//! Files that come from several at once: what each gives, what happens when one goes, and how fast it may be.
//!
//! Threats: 57 (a source that stops), 60 (what somebody held goes with him), and the block of a user.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::files::{await_holders, len_of, numbers, refusal, register};
use crate::harness::{Fellow, PATIENCE, Server, ServerSetup, kind, noise, own_address};

const MIB: u64 = 1 << 20;

/// Waits until a download has so many chunks.
#[track_caller]
fn await_chunks(client: &mut Fellow, count: u64) {
    client.expect_event(&format!("{count} chunks"), |event| {
        kind(event) == "progress" && event["have"].as_u64() >= Some(count)
    });
}

/// The `ok` of a command that takes longer than others.
#[track_caller]
fn finished(client: &mut Fellow, number: u64) -> Value {
    let wanted = |event: &Value| matches!(kind(event), "ok" | "error") && event["re"] == number;
    let Some(reply) = client.wait_for(3 * PATIENCE, wanted) else { client.fail("the end of a download") };
    assert_eq!(kind(&reply), "ok", "{reply}");
    reply
}

/// What the index says that a user holds.
#[track_caller]
fn held_by(asker: &mut Fellow, user: &str) -> Vec<u64> {
    let found = asker.ok("searchFile f");
    let holders = found["holders"].as_array().unwrap();
    holders
        .iter()
        .find(|holder| holder["user"] == user)
        .map(|holder| numbers(&holder["chunks"]))
        .unwrap_or_default()
}

/// Asks until the index says that a user holds so many chunks of `f`: that is told the server, and not confirmed.
#[track_caller]
fn await_held(asker: &mut Fellow, user: &str, count_min: usize) {
    let deadline = Instant::now() + PATIENCE;
    while held_by(asker, user).len() < count_min {
        assert!(Instant::now() < deadline, "{user} does not hold {count_min} chunks");
    }
}

/// Ada offers `f`, with that limit for what she passes on.
#[track_caller]
fn offer(server: &Server, size: u64, chunks: u64, args: &[&str]) -> (Fellow, Vec<u8>) {
    let mut ada = Fellow::with(server, "ada", args);
    let bytes = noise(size, usize::try_from(size).unwrap());
    ada.put("f", &bytes);
    register(&mut ada, "f", chunks);
    (ada, bytes)
}

#[test]
fn a_source_that_is_killed_midway_is_replaced_by_another() {
    let server = Server::usual();
    let (ada, bytes) = offer(&server, 4 * MIB, 64, &["--upload-limit", "512K"]);
    let mut bob = Fellow::login(&server, "bob");
    let second = bob.post("download f");
    finished(&mut bob, second);
    let mut carol = Fellow::with(&server, "carol", &["--download-limit", "1M"]);
    let third = carol.post("download f");
    await_chunks(&mut carol, 8);
    ada.signal("KILL");
    let ok = finished(&mut carol, third);
    assert_eq!(carol.read("f"), bytes);
    assert!(ok["sources"].as_array().unwrap().contains(&json!("bob")), "{ok}");
    assert_eq!(ok["bytes"], 4 * MIB);
}

#[test]
fn a_source_that_stands_still_is_passed_over() {
    let server = Server::usual();
    let (ada, bytes) = offer(&server, MIB, 32, &["--upload-limit", "256K"]);
    let mut bob = Fellow::login(&server, "bob");
    let second = bob.post("download f");
    finished(&mut bob, second);
    let mut carol = Fellow::with(&server, "carol", &["--download-limit", "256K"]);
    let third = carol.post("download f");
    await_chunks(&mut carol, 4);
    ada.signal("STOP");
    let ok = finished(&mut carol, third);
    assert_eq!(carol.read("f"), bytes);
    assert_eq!(ok["bytes"], MIB);
    ada.signal("CONT");
}

#[test]
fn a_download_that_was_killed_goes_on_without_what_it_had() {
    let server = Server::usual();
    let (mut ada, bytes) = offer(&server, 2 * MIB, 64, &[]);
    let mut bob = Fellow::with(&server, "bob", &["--download-limit", "512K"]);
    bob.post("download f");
    await_chunks(&mut bob, 16);
    let mut bob = bob.crash_and_return(&server, &[]);
    // Held chunks are found again, and told to the others, before anything is asked for.
    assert_eq!(bob.error("download f 64"), "no-such-chunk");
    let ok = bob.ok("download f");
    let fetched = ok["bytes"].as_u64().unwrap();
    assert!(fetched <= 2 * MIB - len_of(2 * MIB, 64, 0..16), "{ok}");
    // Whole chunks, and none that had been there.
    assert_eq!(fetched % (2 * MIB / 64), 0, "{ok}");
    assert_eq!((&ok["complete"], bob.read("f") == bytes), (&json!(true), true));
    await_held(&mut ada, "bob", 64);
}

#[test]
fn what_is_held_is_offered_again_after_a_restart() {
    let server = Server::usual();
    let (ada, bytes) = offer(&server, MIB, 16, &[]);
    let mut bob = Fellow::login(&server, "bob");
    bob.ok("download f 3 4");
    let mut ada = ada.crash_and_return(&server, &[]);
    let bob = bob.crash_and_return(&server, &[]);
    let mut carol = Fellow::login(&server, "carol");
    let ok = carol.ok("download f");
    assert_eq!((&ok["complete"], carol.read("f") == bytes), (&json!(true), true));
    await_held(&mut ada, "bob", 2);
    assert_eq!(held_by(&mut ada, "bob"), [3, 4]);
    assert_eq!(held_by(&mut ada, "ada").len(), 16);
    assert_eq!(ada.error("download f"), "already-have");
    drop(bob);
}

#[test]
fn who_fetches_serves_others_and_goes_on_when_the_owner_is_gone() {
    let server = Server::usual();
    let (ada, bytes) = offer(&server, 2 * MIB, 32, &[]);
    let (mut bob, mut carol) = (Fellow::login(&server, "bob"), Fellow::login(&server, "carol"));
    let part = |numbers: std::ops::Range<u64>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    };
    bob.ok(&format!("download f {}", part(0..20)));
    carol.ok(&format!("download f {}", part(12..32)));
    ada.logout();
    let mut dave = Fellow::login(&server, "dave");
    let ok = dave.ok("download f");
    assert_eq!(ok["sources"], json!(["bob", "carol"]));
    assert_eq!((&ok["bytes"], dave.read("f") == bytes), (&json!(2 * MIB), true));
    // Those two get from each other, or from dave, what they are short of.
    for client in [&mut bob, &mut carol] {
        assert_eq!(client.ok("download f")["bytes"], 2 * MIB - len_of(2 * MIB, 32, 0..20));
        assert_eq!(client.read("f"), bytes);
    }
}

#[test]
fn two_who_fetch_at_once_help_each_other() {
    let server = Server::usual();
    let (mut ada, bytes) = offer(&server, 2 * MIB, 64, &["--upload-limit", "512K"]);
    let (mut bob, mut carol) = (Fellow::login(&server, "bob"), Fellow::login(&server, "carol"));
    let (one, other) = (bob.post("download f"), carol.post("download f"));
    let (one, other) = (finished(&mut bob, one), finished(&mut carol, other));
    assert!(bob.read("f") == bytes && carol.read("f") == bytes);
    let helped = |ok: &Value, name: &str| ok["sources"].as_array().unwrap().contains(&json!(name));
    assert!(helped(&one, "carol") || helped(&other, "bob"), "{one} {other}");
    ada.ok("whoelse");
}

#[test]
fn a_blocked_user_gets_no_chunk_from_who_has_blocked_him() {
    let server = Server::usual();
    let (mut ada, bytes) = offer(&server, MIB, 16, &[]);
    let (mut bob, mut carol) = (Fellow::login(&server, "bob"), Fellow::login(&server, "carol"));
    ada.ok("block bob");
    let text = refusal(&mut bob, "download f", "not-available");
    assert!(text.contains("0-15") && !text.contains("block"), "{text}");
    assert_eq!(held_by(&mut ada, "bob"), [0; 0]);
    assert_eq!(carol.ok("download f 2 3")["sources"], json!(["ada"]));
    let both = json!([{ "user": "ada", "chunks": [2] }, { "user": "carol", "chunks": [2] }]);
    await_holders(&mut bob, "searchChunk f 2", &both);
    // He gets what others have, and nothing else.
    assert!(refusal(&mut bob, "download f", "not-available").contains("0-1, 4-15"));
    await_holders(
        &mut ada,
        "searchChunk f 3",
        &json!([
            { "user": "ada", "chunks": [3] },
            { "user": "bob", "chunks": [3] },
            { "user": "carol", "chunks": [3] },
        ]),
    );
    carol.ok("download f");
    assert_eq!(bob.ok("download f")["sources"], json!(["carol"]));
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn a_block_stops_what_is_under_way() {
    let server = Server::usual();
    let (mut ada, _) = offer(&server, 4 * MIB, 64, &["--upload-limit", "256K"]);
    let mut bob = Fellow::login(&server, "bob");
    let download = bob.post("download f");
    await_chunks(&mut bob, 4);
    ada.ok("block bob");
    let reply = bob.reply(download);
    assert_eq!(reply["code"], "not-available", "{reply}");
    assert_eq!(ada.ok("transfers")["transfers"], json!([]));
    await_held(&mut ada, "bob", 4);
    assert!(held_by(&mut ada, "bob").len() < 64);
    ada.ok("unblock bob");
    bob.ok("download f 63");
}

#[test]
fn several_files_go_both_ways_at_once() {
    let server = Server::usual();
    let mut all =
        [Fellow::login(&server, "ada"), Fellow::login(&server, "bob"), Fellow::login(&server, "carol")];
    for (number, client) in (0u64..).zip(&mut all) {
        for part in ["x", "y"] {
            let name = format!("{part}{number}");
            client.put(
                &name,
                &noise(u64::from(part.as_bytes()[0]) + number, 700_000 + usize::try_from(number).unwrap()),
            );
            register(client, &name, 10 + number);
        }
    }
    let mut waiting = Vec::new();
    for (place, client) in all.iter_mut().enumerate() {
        for number in (0..3).filter(|&number| number != place) {
            for part in ["x", "y"] {
                let name = format!("{part}{number}");
                waiting.push((place, number, client.post(&format!("download {name}")), name));
            }
        }
    }
    for (place, number, command, name) in waiting {
        let ok = finished(&mut all[place], command);
        assert_eq!(ok["file"], name);
        assert_eq!(all[place].read(&name), all[number].read(&name));
    }
}

#[test]
fn two_downloads_of_one_file_at_once_each_get_their_answer() {
    let server = Server::usual();
    let (_ada, bytes) = offer(&server, MIB, 16, &[]);
    let mut bob = Fellow::with(&server, "bob", &["--download-limit", "512K"]);
    let last = bob.post_all(&["download f 1", "download f 2 3", "download f", "download f"]);
    let replies: Vec<Value> = (1..=last).map(|number| finished(&mut bob, number)).collect();
    assert!(numbers(&replies[0]["chunks"]).contains(&1));
    assert!(numbers(&replies[1]["chunks"]).contains(&3));
    assert_eq!((&replies[2]["complete"], &replies[3]["complete"]), (&json!(true), &json!(true)));
    assert_eq!(bob.read("f"), bytes);
}

/// How long a download of a MiB takes with these limits.
#[track_caller]
fn time_of(upload: &[&str], download: &[&str]) -> Duration {
    let server = Server::usual();
    let (_ada, bytes) = offer(&server, MIB, 16, upload);
    let mut bob = Fellow::with(&server, "bob", download);
    let started = Instant::now();
    let number = bob.post("download f");
    finished(&mut bob, number);
    assert_eq!(bob.read("f"), bytes);
    started.elapsed()
}

#[test]
fn limits_hold() {
    // A block may go ahead of its time, and a quarter of a second's worth that was not used.
    let fastest = Duration::from_millis(2500);
    let slowest = Duration::from_secs(15);
    for limits in [[&["--upload-limit", "256K"][..], &[]], [&[], &["--download-limit", "262144"]]] {
        let [upload, download] = limits;
        let time = time_of(upload, download);
        assert!((fastest..slowest).contains(&time), "{limits:?}: {time:?}");
    }
}

#[test]
fn chat_is_answered_while_files_move() {
    let server = Server::usual();
    let mut ada = Fellow::with(&server, "ada", &["--upload-limit", "16M"]);
    let mut bob = Fellow::login(&server, "bob");
    ada.put_sparse("f", 64 * MIB, &[(0, b"start"), (50 * MIB, b"middle")]);
    let register = ada.post("register f 256");
    assert_eq!(ada.ok("message bob while I count")["state"], "delivered");
    ada.ok("startprivate bob");
    finished(&mut ada, register);
    let download = bob.post("download f");
    await_chunks(&mut bob, 1);
    for number in 0..10 {
        assert_eq!(ada.ok(&format!("message bob {number}"))["state"], "delivered");
        assert_eq!(ada.ok(&format!("private bob {number}"))["to"], "bob");
        assert_eq!(bob.expect("private")["text"], number.to_string());
    }
    assert!(bob.ok("transfers")["transfers"].as_array().is_some_and(|moving| moving.len() == 1));
    let ok = finished(&mut bob, download);
    assert_eq!(ok["bytes"], 64 * MIB);
}

#[test]
fn nobody_is_logged_out_while_chunks_move() {
    let server = Server::start(&ServerSetup { timeout: 2, ..ServerSetup::default() });
    let (mut ada, bytes) = offer(&server, MIB, 16, &["--upload-limit", "192K"]);
    let mut bob = Fellow::login(&server, "bob");
    let started = Instant::now();
    let download = bob.post("download f");
    assert_eq!(finished(&mut bob, download)["bytes"], MIB);
    assert!(started.elapsed() > Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(bob.read("f"), bytes);
    // Both were there all the time, and are not for ever.
    for client in [&mut ada, &mut bob] {
        client.expect_end("timeout", 4);
    }
}

#[test]
fn a_download_goes_on_without_the_server() {
    let (data, bind) = (TempDir::new().unwrap(), own_address(87, 1));
    let binds = [bind.as_str()];
    let setup =
        |port| ServerSetup { binds: &binds, port, data_dir: Some(data.path()), ..ServerSetup::default() };
    let server = Server::start(&setup(0));
    let (mut ada, bytes) = offer(&server, 2 * MIB, 32, &["--upload-limit", "512K"]);
    let mut bob = Fellow::login(&server, "bob");
    let download = bob.post("download f");
    await_chunks(&mut bob, 2);
    server.kill();
    bob.expect("reconnecting");
    let ok = finished(&mut bob, download);
    assert_eq!((&ok["complete"], bob.read("f") == bytes), (&json!(true), true));
    let server = Server::start(&setup(server.address().port()));
    for client in [&mut ada, &mut bob] {
        client.expect("reconnected");
    }
    drop(server);
}

#[test]
fn a_cancelled_or_abandoned_download_keeps_what_it_has() {
    let server = Server::usual();
    let (mut ada, bytes) = offer(&server, 2 * MIB, 64, &[]);
    let mut bob = Fellow::with(&server, "bob", &["--download-limit", "256K"]);
    let download = bob.post("download f");
    await_chunks(&mut bob, 4);
    bob.signal("INT");
    bob.expect_end("logout", 0);
    assert_eq!(bob.reply(download)["code"], "cancelled");
    let home = bob.into_home();
    let mut bob = Fellow::at(home, &server, "bob", &[]);
    assert!(bob.ok("download f")["bytes"].as_u64() <= Some(2 * MIB - len_of(2 * MIB, 64, 0..4)));
    assert_eq!(bob.read("f"), bytes);
    ada.expect_none("notice");
}
