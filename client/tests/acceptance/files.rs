//! The commands about files: what each answers, and what it refuses and why.
//!
//! Threats: 52 and 54 (names); the rest of what a disk and its owner can do is in `files/disk.rs`, what other people
//! can do in `swarm.rs`.

mod disk;

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Client, Fellow, PATIENCE, Server, kind, noise};

/// The code of a download that was given up by its own user.
const CANCELLED: &str = "cancelled";

/// The text of an error, which must have this code.
#[track_caller]
pub(crate) fn refusal(client: &mut Client, line: &str, code: &str) -> String {
    let number = client.post(line);
    let reply = client.reply(number);
    assert_eq!(reply["code"], code, "{line}: {reply}");
    reply["text"].as_str().unwrap_or_default().to_owned()
}

/// Registers a file, and checks what the answer says of it.
#[track_caller]
pub(crate) fn register(owner: &mut Fellow, name: &str, chunks: u64) {
    let bytes = owner.read(name);
    let ok = owner.ok(&format!("register \"{name}\" {chunks}"));
    let size = bytes.len() as u64;
    let told = [&ok["file"], &ok["size"], &ok["chunks"], &ok["chunk_size"], &ok["hash"]];
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let expected = [json!(name), size.into(), chunks.into(), size.div_ceil(chunks).into(), hash.into()];
    assert_eq!(told, expected.each_ref(), "{ok}");
}

/// The numbers of a list.
pub(crate) fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// Where a chunk of a file lies.
pub(crate) fn range(size: u64, chunks: u64, chunk: u64) -> std::ops::Range<u64> {
    chunk * size / chunks..(chunk + 1) * size / chunks
}

/// How many bytes these chunks have.
pub(crate) fn len_of(size: u64, chunks: u64, these: impl IntoIterator<Item = u64>) -> u64 {
    these.into_iter().map(|chunk| range(size, chunks, chunk)).map(|range| range.end - range.start).sum()
}

/// Ada, who has registered a file of that size in so many chunks as `f`, bob, and what the file holds.
#[track_caller]
fn offered(server: &Server, size: u64, chunks: u64) -> (Fellow, Fellow, Vec<u8>) {
    let (mut ada, bob) = (Fellow::login(server, "ada"), Fellow::login(server, "bob"));
    let bytes = noise(size, usize::try_from(size).unwrap());
    ada.put("f", &bytes);
    register(&mut ada, "f", chunks);
    (ada, bob, bytes)
}

/// Asks until the index says so: what a user holds is told the server, and not confirmed.
#[track_caller]
pub(crate) fn await_holders(asker: &mut Client, line: &str, holders: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = asker.ok(line);
        if found["holders"] == *holders {
            return found;
        }
        assert!(Instant::now() < deadline, "{line}: {found}, not {holders}");
    }
}

#[test]
fn a_file_is_registered_as_what_it_is() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    let every_byte: Vec<u8> = (0..=255).cycle().take(1000).collect();
    for (name, bytes, chunks) in [
        ("one byte", vec![0], 1),
        ("every byte", every_byte, 7),
        ("noise.bin", noise(3, 300_001), 16),
        ("a chunk a byte", noise(4, 500), 500),
    ] {
        ada.put(name, &bytes);
        register(&mut ada, name, chunks);
    }
    assert_eq!(ada.names(), ["a chunk a byte", "every byte", "noise.bin", "one byte"]);
}

#[test]
fn a_registration_is_refused_for_the_first_reason_in_the_list() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    for line in [
        "register",
        "register f",
        "register f x",
        "register f -1",
        "register f 1.5",
        "register f 1 2",
        "register \"f 1",
        "register \"\" 1",
        "register \"f\"1",
    ] {
        assert_eq!(ada.error(line), "usage", "{line}");
    }
    fs::create_dir(ada.path("folder")).unwrap();
    for line in ["register missing 1", "register missing 0", "register folder 1"] {
        assert_eq!(ada.error(line), "no-such-file", "{line}");
    }
    ada.put("f", b"ten bytes.");
    ada.put("large", &noise(1, 70_000));
    for line in
        ["register f 0", "register f 11", "register large 65537", "register large 99999999999999999999999"]
    {
        let text = refusal(&mut ada, line, "usage");
        assert!(text.contains("register <file> <n_chunks>"), "{text}");
    }
    ada.put("empty", b"");
    assert_eq!(ada.error("register empty 1"), "empty-file");
    for name in [".hidden", "CON.txt", "a:b", "what?", "ends.", "\u{202e}gpj.exe", "tab\tbed"] {
        ada.put(name, b"something");
        assert_eq!(ada.error(&format!("register \"{name}\" 1")), "bad-name", "{name}");
    }
    // Nothing outside the directory is even looked at.
    fs::write(ada.dir().join("../secret"), "secret").unwrap();
    for name in ["../secret", "../nothing", "folder/f", "/etc/hostname", "..", "folder\\f"] {
        assert_eq!(ada.error(&format!("register \"{name}\" 1")), "bad-name", "{name}");
    }
    assert_eq!(bob.ok("files")["files"], json!([]));

    bob.put("f", b"bob's file");
    register(&mut bob, "f", 2);
    for line in ["register f 1", "register f 0"] {
        assert_eq!(ada.error(line), "already-registered");
        assert_eq!(bob.error(line), "already-registered");
    }
    assert_eq!(ada.error("register missing 1"), "no-such-file");
}

#[test]
fn an_account_registers_only_so_many_files() {
    const FILES_MAX: u64 = 1_000;
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    for number in 0..=FILES_MAX {
        ada.put(&format!("file {number}"), number.to_string().as_bytes());
    }
    let lines: Vec<_> = (0..=FILES_MAX).map(|number| format!("register \"file {number}\" 1")).collect();
    ada.post_all(&lines);
    let replies: Vec<_> = (1..=FILES_MAX + 1).map(|number| ada.reply(number)).collect();
    let refused: Vec<_> = replies.iter().filter(|reply| kind(reply) == "error").collect();
    assert!(refused.len() == 1 && refused[0]["code"] == "quota", "{refused:?}");
    assert_eq!(ada.ok("files")["files"].as_array().map(Vec::len), Some(1_000));
    // One less makes room for one more.
    let name = replies.iter().find(|reply| kind(reply) == "ok").unwrap()["file"].as_str().unwrap().to_owned();
    ada.ok(&format!("unregister \"{name}\""));
    let number = usize::try_from(refused[0]["re"].as_u64().unwrap()).unwrap();
    ada.ok(&lines[number - 1]);
}

#[test]
fn only_its_owner_takes_a_file_back() {
    let server = Server::usual();
    let (mut ada, mut bob, _) = offered(&server, 100, 4);
    for line in ["unregister", "unregister f g", "unregister f 1"] {
        assert_eq!(ada.error(line), "usage", "{line}");
    }
    for name in ["g", "../f", ".f"] {
        assert_eq!(ada.error(&format!("unregister {name}")), "not-registered");
    }
    bob.ok("download f");
    assert_eq!(bob.error("unregister f"), "not-owner");
    assert_eq!(ada.ok("unregister f")["file"], "f");
    assert_eq!(ada.error("unregister f"), "not-registered");
    for line in ["searchFile f", "searchChunk f 0", "download f"] {
        assert_eq!(bob.error(line), "not-registered", "{line}");
    }
    // The file stays, and the name is free.
    assert_eq!((ada.names(), bob.names()), (vec!["f".to_owned()], vec!["f".to_owned()]));
    register(&mut bob, "f", 3);
}

#[test]
fn the_list_of_files_names_their_owners_who_need_not_be_there() {
    let server = Server::usual();
    let (mut ada, mut bob, _) = offered(&server, 1000, 4);
    ada.put("g", &[1, 2, 3]);
    register(&mut ada, "g", 3);
    bob.put("Ж", &[0]);
    register(&mut bob, "Ж", 1);
    assert_eq!(bob.error("files f"), "usage");
    ada.ok("logout");
    let mut files = bob.ok("files")["files"].as_array().unwrap().clone();
    files.sort_by_key(|entry| entry["file"].as_str().unwrap().to_owned());
    let entry =
        |file, size, chunks, owner| json!({ "file": file, "size": size, "chunks": chunks, "owner": owner });
    assert_eq!(files, [entry("f", 1000, 4, "ada"), entry("g", 3, 3, "ada"), entry("Ж", 1, 1, "bob")]);
}

#[test]
fn a_search_tells_who_of_those_online_has_what() {
    let server = Server::usual();
    let (mut ada, mut bob, _) = offered(&server, 1003, 4);
    let mut carol = Fellow::login(&server, "carol");
    for line in [
        "searchFile",
        "searchFile f 1",
        "searchChunk",
        "searchChunk f",
        "searchChunk f x",
        "searchChunk f 1 -2",
    ] {
        assert_eq!(carol.error(line), "usage", "{line}");
    }
    for line in ["searchFile g", "searchFile ../f", "searchChunk g 0", "searchChunk .g 99"] {
        assert_eq!(carol.error(line), "not-registered", "{line}");
    }
    for line in ["searchChunk f 4", "searchChunk f 0 4", "searchChunk f 99999999999999999999"] {
        assert_eq!(carol.error(line), "no-such-chunk", "{line}");
    }
    let holder = |user, chunks: &[u64]| json!({ "user": user, "chunks": chunks });
    let found = carol.ok("SEARCHFILE f");
    assert_eq!([&found["file"], &found["size"], &found["chunks"]], [&json!("f"), &json!(1003), &json!(4)]);
    assert_eq!(
        (&found["available"], &found["holders"]),
        (&json!(true), &json!([holder("ada", &[0, 1, 2, 3])]))
    );

    bob.ok("download f 3 1");
    let both = json!([holder("ada", &[0, 1, 2, 3]), holder("bob", &[1, 3])]);
    await_holders(&mut carol, "searchFile f", &both);
    let found = carol.ok("searchChunk f 3 0 3");
    assert_eq!(found["file"], "f");
    assert_eq!(found["available"], true);
    assert_eq!(found["holders"], json!([holder("ada", &[0, 3]), holder("bob", &[3])]));

    ada.ok("logout");
    carol.expect_event("ada's end", |event| event["user"] == "ada" && event["online"] == false);
    let found = carol.ok("searchFile f");
    assert_eq!((&found["available"], &found["holders"]), (&json!(false), &json!([holder("bob", &[1, 3])])));
    let found = carol.ok("searchChunk f 1 3");
    assert_eq!((&found["available"], &found["holders"]), (&json!(true), &json!([holder("bob", &[1, 3])])));
    let found = carol.ok("searchChunk f 0 1");
    assert_eq!((&found["available"], &found["holders"]), (&json!(false), &json!([holder("bob", &[1])])));
    let found = carol.ok("searchChunk f 0");
    assert_eq!((&found["available"], &found["holders"]), (&json!(false), &json!([])));
    bob.logout();
    await_holders(&mut carol, "searchFile f", &json!([]));
}

#[test]
fn a_download_gives_the_file_and_says_where_it_came_from() {
    let server = Server::usual();
    let (_ada, mut bob, bytes) = offered(&server, 500_009, 12);
    let ok = bob.ok("download f");
    assert_eq!((&ok["file"], &ok["complete"]), (&json!("f"), &json!(true)));
    assert_eq!(numbers(&ok["chunks"]), (0..12).collect::<Vec<_>>());
    assert_eq!((&ok["bytes"], &ok["wasted"]), (&json!(500_009), &json!(0)));
    assert_eq!(ok["sources"], json!(["ada"]));
    assert_eq!(ok["path"], bob.path("f").to_str().unwrap());
    assert_eq!(bob.read("f"), bytes);
    assert_eq!(bob.names(), ["f"]);
}

#[test]
fn exactly_the_chunks_asked_for_are_fetched_and_later_only_the_others() {
    let (size, chunks) = (200_003, 9);
    let server = Server::usual();
    let (_ada, mut bob, bytes) = offered(&server, size, chunks);
    let ok = bob.ok("download f 7 2 2");
    assert_eq!(numbers(&ok["chunks"]), [2, 7]);
    assert_eq!(ok["complete"], false);
    assert_eq!(ok["bytes"], len_of(size, chunks, [2, 7]));
    // Its name is not there before it is whole.
    assert_eq!(bob.names(), [""; 0]);
    let part = fs::read(ok["path"].as_str().unwrap()).unwrap();
    let wanted = range(size, chunks, 7);
    let wanted = usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap();
    assert_eq!(part[wanted.clone()], bytes[wanted]);

    assert_eq!(bob.error("download f 7"), "already-have");
    assert_eq!(bob.error("download f 2 7 7"), "already-have");
    let ok = bob.ok("download f 8 7");
    assert_eq!((numbers(&ok["chunks"]), &ok["bytes"]), (vec![2, 7, 8], &json!(len_of(size, chunks, [8]))));
    let ok = bob.ok("download f");
    assert_eq!(ok["bytes"], len_of(size, chunks, [0, 1, 3, 4, 5, 6]));
    assert_eq!((&ok["complete"], bob.read("f") == bytes), (&json!(true), true));
    // All chunks one by one make a whole file too.
    let mut carol = Fellow::login(&server, "carol");
    let all: Vec<_> = (0..chunks).rev().map(|chunk| chunk.to_string()).collect();
    let ok = carol.ok(&format!("download f {}", all.join(" ")));
    assert_eq!((&ok["complete"], carol.read("f") == bytes), (&json!(true), true));
}

#[test]
fn a_download_is_refused_for_the_first_reason_in_the_list() {
    let server = Server::usual();
    let (mut ada, mut bob, bytes) = offered(&server, 10_000, 4);
    for line in ["download", "download f x", "download f 1 -2", "download \"f", "download f 0.5"] {
        assert_eq!(bob.error(line), "usage", "{line}");
    }
    for line in ["download g", "download g 99", "download ../f", "download .f", "download /etc/hostname 0"] {
        assert_eq!(bob.error(line), "not-registered", "{line}");
    }
    assert_eq!(ada.error("download f"), "already-have");
    assert_eq!(ada.error("download f 0"), "already-have");
    for line in ["download f 4", "download f 0 4", "download f 99999999999999999999"] {
        assert_eq!(bob.error(line), "no-such-chunk", "{line}");
        assert_eq!(ada.error(line), "no-such-chunk", "{line}");
    }
    // What is in the way is not written over.
    bob.put("f", b"my own");
    assert_eq!(bob.error("download f"), "exists");
    assert_eq!(bob.error("download f 0"), "exists");
    assert_eq!(bob.read("f"), b"my own");
    fs::remove_file(bob.path("f")).unwrap();

    bob.ok("download f 1");
    let home = ada.logout();
    bob.expect_event("ada's end", |event| event["online"] == false);
    assert_eq!(bob.error("download f 1"), "already-have");
    assert!(refusal(&mut bob, "download f 3", "not-available").contains("chunk 3 "));
    assert!(refusal(&mut bob, "download f", "not-available").contains("chunks 0, 2-3 "));
    // What can be had of it is kept.
    let mut carol = Fellow::login(&server, "carol");
    assert!(refusal(&mut carol, "download f", "not-available").contains("chunks 0, 2-3 "));
    let both = json!([{ "user": "bob", "chunks": [1] }, { "user": "carol", "chunks": [1] }]);
    await_holders(&mut carol, "searchFile f", &both);
    assert_eq!(carol.names(), [""; 0]);
    let _ada = Fellow::at(home, &server, "ada", &[]);
    await_holders(&mut carol, "searchChunk f 0 2 3", &json!([{ "user": "ada", "chunks": [0, 2, 3] }]));
    let ok = carol.ok("download f");
    assert_eq!((&ok["bytes"], carol.read("f") == bytes), (&json!(7_500), true));
}

#[test]
fn a_file_that_was_thrown_away_can_be_fetched_again() {
    let server = Server::usual();
    let (_ada, mut bob, bytes) = offered(&server, 10_000, 4);
    bob.ok("download f");
    assert_eq!(bob.error("download f"), "already-have");
    fs::remove_file(bob.path("f")).unwrap();
    assert_eq!(bob.ok("download f")["bytes"], 10_000);
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn names_are_carried_as_they_are() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let longest = "ö".repeat(120);
    let names = [
        "my file.txt",
        "文 件.bin",
        "żółw & $(reboot);'.txt",
        "-rf",
        "👩‍👩‍👧",
        "a  b",
        "~",
        "%00",
        longest.as_str(),
    ];
    for (number, name) in (1..).zip(names) {
        let bytes = noise(number, 100);
        ada.put(name, &bytes);
        register(&mut ada, name, 3);
        assert_eq!(bob.ok(&format!("searchFile \"{name}\""))["file"], name);
        assert_eq!(bob.ok(&format!("searchChunk \"{name}\" 0 1"))["file"], name);
        assert_eq!(bob.ok(&format!("download \"{name}\" 1"))["file"], name);
        assert_eq!(bob.ok(&format!("download \"{name}\""))["path"], bob.path(name).to_str().unwrap());
        assert_eq!(bob.read(name), bytes);
    }
    let mut sorted: Vec<_> = names.iter().map(ToString::to_string).collect();
    sorted.sort();
    assert_eq!(bob.names(), sorted);
}

#[test]
fn what_moves_is_listed_and_can_be_stopped() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    let mut bob = Fellow::with(&server, "bob", &["--download-limit", "128K"]);
    let bytes = noise(5, 2 << 20);
    ada.put("f", &bytes);
    register(&mut ada, "f", 64);
    assert_eq!(bob.ok("transfers")["transfers"], json!([]));
    for line in ["transfers f", "cancel", "cancel f 1"] {
        assert_eq!(bob.error(line), "usage", "{line}");
    }
    assert_eq!(bob.error("cancel f"), "no-transfer");

    let download = bob.post("download f");
    bob.expect_event("chunks", |event| kind(event) == "progress" && event["have"].as_u64() >= Some(2));
    let transfers = bob.ok("transfers")["transfers"].clone();
    let [transfer] = transfers.as_array().unwrap().as_slice() else { panic!("{transfers}") };
    assert_eq!(
        [&transfer["direction"], &transfer["file"], &transfer["total"], &transfer["users"]],
        [&json!("download"), &json!("f"), &json!(64), &json!(["ada"])]
    );
    assert!(transfer["have"].as_u64() >= Some(2) && transfer["rate"].as_u64() > Some(0), "{transfer}");
    let transfers = ada.ok("transfers")["transfers"].clone();
    let [transfer] = transfers.as_array().unwrap().as_slice() else { panic!("{transfers}") };
    assert_eq!(
        [&transfer["direction"], &transfer["file"], &transfer["users"]],
        [&json!("upload"), &json!("f"), &json!(["bob"])]
    );

    assert_eq!(bob.ok("cancel f")["file"], "f");
    assert_eq!(bob.reply(download)["code"], CANCELLED);
    assert_eq!(bob.error("cancel f"), "no-transfer");
    assert_eq!(bob.ok("transfers")["transfers"], json!([]));
    let held = numbers(&bob.ok("searchFile f")["holders"][1]["chunks"]);
    assert!((2..64).contains(&held.len()), "{held:?}");
    // Without the limit, and without what is there.
    let home = bob.logout();
    let mut bob = Fellow::at(home, &server, "bob", &[]);
    assert_eq!(bob.ok("download f")["bytes"], (2 << 20) - len_of(2 << 20, 64, held));
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn progress_is_told_while_a_download_works() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    let mut bob = Fellow::with(&server, "bob", &["--download-limit", "256K"]);
    ada.put("f", &noise(6, 768 << 10));
    register(&mut ada, "f", 24);
    let download = bob.post("download f");
    assert_eq!(kind(&bob.reply(download)), "ok");
    let events = bob.events();
    let told: Vec<_> = events.iter().filter(|event| kind(event) == "progress").collect();
    assert!(told.len() >= 2, "{told:?}");
    let mut before = (0, 0);
    for event in told {
        assert_eq!(
            (&event["re"], &event["file"], &event["total"]),
            (&json!(download), &json!("f"), &json!(24))
        );
        let now = (event["have"].as_u64().unwrap(), event["bytes"].as_u64().unwrap());
        assert!(now >= before && now.0 <= 24 && now.1 <= 768 << 10 && event["rate"].is_u64(), "{event}");
        before = now;
    }
    assert!(before.1 > 0);
}

#[test]
fn commands_behind_a_registration_in_a_pipe_wait_for_it() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    ada.put("f", &noise(7, 3 << 20));
    ada.put("g", &noise(8, 1000));
    let last =
        ada.post_all(&["register f 8", "searchFile f", "register g 2", "searchChunk g 1", "download g"]);
    let replies: Vec<_> = (1..=last).map(|number| ada.reply(number)).collect();
    let codes: Vec<_> = replies.iter().map(|reply| reply["code"].as_str().unwrap_or("ok")).collect();
    assert_eq!(codes, ["ok", "ok", "ok", "ok", "already-have"]);
    ada.close_input();
    ada.expect_end("logout", 0);
}

#[test]
fn a_pipe_that_ends_waits_for_its_download() {
    let server = Server::usual();
    let (_ada, mut bob, bytes) = offered(&server, 3 << 20, 8);
    let download = bob.post("download f");
    bob.close_input();
    bob.expect_end("logout", 0);
    assert_eq!(bob.reply(download)["complete"], true);
    assert_eq!(bob.read("f"), bytes);
}

#[test]
fn as_many_chunks_as_there_can_be() {
    const CHUNKS: u64 = 65_536;
    let server = Server::usual();
    let (mut ada, mut bob, bytes) = offered(&server, 100_000, CHUNKS);
    let ok = bob.ok("download f 65535 0");
    assert_eq!((numbers(&ok["chunks"]), &ok["bytes"]), (vec![0, 65_535], &json!(3)));
    let ok = bob.ok("download f");
    assert_eq!(numbers(&ok["chunks"]).len(), 65_536);
    assert_eq!(bob.read("f"), bytes);
    assert_eq!(numbers(&ada.ok("searchFile f")["holders"][1]["chunks"]).len(), 65_536);
}
