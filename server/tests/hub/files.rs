//! The index of files: who may change it, what it shows of whom, and how large it gets.
//!
//! Threats: 22 (long answers to a slow reader), 33 (quotas), 34 and 37 (no promise before the store has it), 51 and 60
//! (a holder's word is bound to his account, and not shown when he is gone).

use core::time::Duration;

use core::fmt::Write;
use std::collections::BTreeSet;

use protocol::{
    ChunkIndex, ChunkSet, ClientFrame, FileId, Layout, RequestId, ServerFrame, State, limits::TICKET_LIFE,
};
use server::hub::{ConnId, Limits, Recovered, RegisteredFile, StoreOperation};

use crate::rig::{Rig, bodies};

const FILE: FileId = FileId([7; 32]);
const OTHER: FileId = FileId([8; 32]);

fn frame(file: FileId, size: u64, chunks: u32, name: &str) -> ClientFrame<'_> {
    ClientFrame::Register { request: RequestId(1), file, size, chunks, name }
}

fn register(rig: &mut Rig, conn: ConnId, name: &str, file: FileId, chunks: u32) {
    let frame = frame(file, 1_000_000, chunks, name);
    assert!(rig.say(conn, &frame).is_empty(), "{name} waits for the store");
    rig.settle(true);
    assert_eq!(rig.heard(conn), ["done 1"], "{name}");
}

/// A room with what a store holds of files.
fn with_files(limits: Limits, files: Vec<RegisteredFile>) -> Rig {
    Rig::recover(limits, Recovered { files, ..Recovered::empty([7; 32]) })
}

fn code(answer: &[String]) -> &str {
    answer[0].strip_prefix("refused 1 ").unwrap().split('\n').next().unwrap()
}

fn set(chunks: u32, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut set = ChunkSet::empty(chunks);
    for number in numbers {
        set.insert(ChunkIndex(number));
    }
    set.encode()
}

fn have(rig: &mut Rig, conn: ConnId, file: FileId, held: &[u8]) -> Vec<String> {
    rig.say(conn, &ClientFrame::Have { file, held })
}

/// Who has which chunks, as `name: chunks`.
fn search(rig: &mut Rig, conn: ConnId, name: &str) -> Vec<String> {
    let frame = ClientFrame::Search { request: RequestId(2), name };
    rig.throw(conn, frame.encode().as_bytes());
    let mut bytes = Vec::new();
    while rig.waiting_len(conn) > 0 {
        bytes.extend(rig.fetch(conn, usize::MAX));
    }
    let mut shown = Vec::new();
    let mut chunks_of_file = None;
    let bodies = bodies(&bytes);
    for body in bodies.iter().rev() {
        match ServerFrame::decode(body, State::Chat).unwrap() {
            ServerFrame::Found { request, chunks, .. } if chunks_of_file.is_none() => {
                assert_eq!(request, RequestId(2));
                chunks_of_file = Some(chunks);
            }
            ServerFrame::Holder { user, held, .. } => {
                let held = ChunkSet::decode(held, chunks_of_file.unwrap()).unwrap();
                let mut line = format!("{user}:");
                for chunk in held.iter() {
                    write!(line, " {}", chunk.0).unwrap();
                }
                shown.push(line);
            }
            other => panic!("{other:?}"),
        }
    }
    shown.reverse();
    shown
}

fn files(rig: &mut Rig, conn: ConnId) -> Vec<String> {
    let mut answer = rig.say(conn, &ClientFrame::Files { request: RequestId(3) });
    while rig.waiting_len(conn) > 0 {
        answer.extend(rig.heard(conn));
    }
    assert_eq!(answer.pop().unwrap(), "done 3");
    answer
}

#[test]
fn a_registration_counts_when_the_store_has_it() {
    let mut rig = Rig::new(Limits::default());
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.settle(true);
    rig.heard(ada);
    assert!(rig.say(ada, &frame(FILE, 1_000_000, 4, "a.bin")).is_empty());
    assert_eq!(
        code(&rig.say(grace, &frame(OTHER, 10, 1, "a.bin"))),
        "already-registered",
        "the name is taken"
    );
    let nothing = rig.say(grace, &ClientFrame::Search { request: RequestId(1), name: "a.bin" });
    assert_eq!(code(&nothing), "not-registered", "and not shown");
    assert!(files(&mut rig, grace).is_empty());
    let unregister = ClientFrame::Unregister { request: RequestId(1), name: "a.bin" };
    assert_eq!(code(&rig.say(ada, &unregister)), "not-registered");

    let stored = rig.settle(true);
    assert_eq!(rig.heard(ada), ["done 1"]);
    let expected = RegisteredFile {
        name: "a.bin".parse().unwrap(),
        file: FILE,
        layout: Layout::new(1_000_000, 4).unwrap(),
        owner: "ada".parse().unwrap(),
    };
    assert_eq!(stored, [StoreOperation::RegisterFile(expected)]);
    assert_eq!(search(&mut rig, grace, "a.bin"), ["ada: 0 1 2 3"]);
    assert_eq!(files(&mut rig, grace), [format!("file 3 {FILE} 1000000 4 ada\na.bin")]);
}

#[test]
fn a_registration_that_the_store_does_not_take_leaves_nothing_behind() {
    let mut rig = Rig::new(Limits::default());
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.settle(true);
    rig.heard(ada);
    rig.say(ada, &frame(FILE, 10, 2, "a.bin"));
    rig.settle(false);
    assert_eq!(code(&rig.heard(ada)), "store-failed");
    register(&mut rig, grace, "a.bin", OTHER, 3);
    assert_eq!(search(&mut rig, ada, "a.bin"), ["grace: 0 1 2"]);

    let unregister = ClientFrame::Unregister { request: RequestId(1), name: "a.bin" };
    rig.say(grace, &unregister);
    rig.settle(false);
    assert_eq!(code(&rig.heard(grace)), "store-failed");
    assert_eq!(search(&mut rig, ada, "a.bin"), ["grace: 0 1 2"]);
    rig.say(grace, &unregister);
    rig.settle(true);
    assert_eq!(rig.heard(grace), ["done 1"], "and it may be tried again");
}

#[test]
fn what_cannot_be_registered_is_refused_in_the_contracts_order() {
    let mut rig = Rig::new(Limits { files_per_user_max: 1, ..Limits::default() });
    let ada = rig.log_in("ada");
    rig.settle(true);
    register(&mut rig, ada, "a.bin", FILE, 4);
    for (size, chunks, name, expected) in [
        (0, 0, "a.bin", "already-registered"),
        (10, 0, "../x", "usage"),
        (10, 11, "b", "usage"),
        (0, 1, "b", "usage"),
        (u64::MAX, 65_537, "b", "usage"),
        (10, 1, "../x", "bad-name"),
        (10, 1, "CON.txt", "bad-name"),
        (10, 1, "", "bad-name"),
        (10, 1, "b", "quota"),
    ] {
        assert_eq!(
            code(&rig.say(ada, &frame(OTHER, size, chunks, name))),
            expected,
            "{name} {size} {chunks}"
        );
    }
    let other_layout = rig.say(ada, &frame(FILE, 1_000_000, 5, "b"));
    assert_eq!(code(&other_layout), "usage", "one id, one size and one number of chunks");
}

#[test]
fn only_the_first_owner_takes_a_name_back_and_with_the_last_name_the_holders_go() {
    let mut rig = Rig::new(Limits::default());
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.settle(true);
    rig.heard(ada);
    register(&mut rig, ada, "a.bin", FILE, 4);
    register(&mut rig, grace, "b.bin", FILE, 4);
    let unregister = |rig: &mut Rig, conn: ConnId, name: &str| {
        let answer = rig.say(conn, &ClientFrame::Unregister { request: RequestId(1), name });
        if answer.is_empty() {
            let stored = rig.settle(true);
            assert_eq!(stored, [StoreOperation::UnregisterFile { name: name.parse().unwrap() }]);
            return rig.heard(conn);
        }
        answer
    };
    assert_eq!(code(&unregister(&mut rig, grace, "c.bin")), "not-registered");
    assert_eq!(code(&unregister(&mut rig, grace, "../a.bin")), "not-registered");
    assert_eq!(code(&unregister(&mut rig, grace, "a.bin")), "not-owner");
    assert_eq!(unregister(&mut rig, ada, "a.bin"), ["done 1"]);
    assert_eq!(search(&mut rig, ada, "b.bin"), ["ada: 0 1 2 3", "grace: 0 1 2 3"], "the other name stands");
    let gone = rig.say(ada, &ClientFrame::Search { request: RequestId(1), name: "a.bin" });
    assert_eq!(code(&gone), "not-registered");
    assert_eq!(unregister(&mut rig, grace, "b.bin"), ["done 1"]);
    register(&mut rig, grace, "b.bin", FILE, 4);
    assert_eq!(search(&mut rig, ada, "b.bin"), ["grace: 0 1 2 3"], "nobody else holds it any more");
}

#[test]
fn holders_are_shown_while_they_are_online_whoever_blocks_whom() {
    let mut rig = Rig::of(Limits::default(), ["ada", "bo", "grace"]);
    let (ada, bo) = (rig.log_in("ada"), rig.log_in("bo"));
    rig.settle(true);
    rig.heard(ada);
    register(&mut rig, ada, "a.bin", FILE, 10);
    assert!(have(&mut rig, bo, FILE, &set(10, [3, 7])).is_empty(), "not answered");
    assert_eq!(search(&mut rig, bo, "a.bin"), ["ada: 0 1 2 3 4 5 6 7 8 9", "bo: 3 7"]);
    have(&mut rig, bo, FILE, &set(10, [9]));
    rig.say(bo, &ClientFrame::Block { request: RequestId(9), user: "ada".parse().unwrap() });
    assert_eq!(search(&mut rig, ada, "a.bin"), ["ada: 0 1 2 3 4 5 6 7 8 9", "bo: 9"], "replaced");
    rig.lose(ada);
    rig.settle(true);
    rig.heard(bo);
    assert_eq!(search(&mut rig, bo, "a.bin"), ["bo: 9"]);
    let ada = rig.log_in("ada");
    rig.settle(true);
    rig.heard(bo);
    assert_eq!(search(&mut rig, bo, "a.bin"), ["bo: 9"], "she may be at another computer");
    have(&mut rig, ada, FILE, &set(10, 0..10));
    assert!(rig.settle(true).is_empty(), "the store knows it");
    assert_eq!(search(&mut rig, bo, "a.bin"), ["ada: 0 1 2 3 4 5 6 7 8 9", "bo: 9"]);
    have(&mut rig, bo, FILE, &set(10, []));
    assert_eq!(search(&mut rig, ada, "a.bin"), ["ada: 0 1 2 3 4 5 6 7 8 9"], "none is no holder");
    have(&mut rig, ada, FILE, &set(10, []));
    assert_eq!(search(&mut rig, ada, "a.bin"), [] as [&str; 0], "registered, and nobody holds it");
}

#[test]
fn a_set_that_does_not_fit_is_passed_over_with_one_notice() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    rig.settle(true);
    register(&mut rig, ada, "a.bin", FILE, 10);
    let notice = have(&mut rig, ada, FILE, &set(11, [10]));
    assert!(notice.len() == 1 && notice[0].starts_with("notice\n"), "{notice:?}");
    assert!(have(&mut rig, ada, FILE, b"").is_empty(), "once in a session");
    assert_eq!(search(&mut rig, ada, "a.bin"), ["ada: 0 1 2 3 4 5 6 7 8 9"]);
}

#[test]
fn nobody_fills_the_servers_memory_with_what_he_says_he_holds() {
    let limits = Limits { holdings_per_user_max: 2, holdings_len_per_user_max: 700, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.settle(true);
    rig.heard(ada);
    for (name, n) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        register(&mut rig, if n < 3 { ada } else { grace }, name, FileId([n; 32]), 4_096);
    }
    let refused = rig.say(ada, &frame(FILE, 5_000, 10, "e"));
    assert_eq!(code(&refused), "quota", "whoever registers holds");
    let scattered = set(4_096, (0..4_096).step_by(2));
    assert!(scattered.len() > 500);
    let notice = have(&mut rig, ada, FileId([3; 32]), &set(4_096, [1]));
    assert!(notice.len() == 1 && notice[0].starts_with("notice\n"), "{notice:?}");
    assert!(have(&mut rig, ada, FileId([4; 32]), &set(4_096, [1])).is_empty(), "told once");
    assert_eq!(search(&mut rig, grace, "c").len(), 1);
    have(&mut rig, ada, FileId([1; 32]), &scattered);
    assert_eq!(search(&mut rig, grace, "a")[0].split(' ').count(), 4_097, "over the bytes: as it was");
    have(&mut rig, ada, FileId([2; 32]), &set(4_096, []));
    have(&mut rig, ada, FileId([1; 32]), &scattered);
    assert_eq!(search(&mut rig, grace, "a")[0].split(' ').count(), 2_049, "there is room again");
}

#[test]
fn who_has_the_server_look_at_many_chunks_is_read_more_slowly() {
    let mut rig = Rig::new(Limits { commands_burst: 500, commands_per_second: 100, ..Limits::default() });
    let ada = rig.log_in("ada");
    rig.settle(true);
    register(&mut rig, ada, "a", FILE, 65_536);
    for _ in 0..10 {
        rig.throw(ada, ClientFrame::Have { file: FILE, held: &set(65_536, [1]) }.encode().as_bytes());
        rig.pass(Duration::ZERO);
    }
    let whoelse = ClientFrame::WhoElse { request: RequestId(5) };
    assert!(rig.say(ada, &whoelse).is_empty(), "what was asked before costs more than the allowance");
    let mut heard = Vec::new();
    for _ in 0..20 {
        rig.pass(Duration::from_millis(100));
        heard.extend(rig.heard(ada));
    }
    assert_eq!(heard, ["users 5 0"], "and nothing is lost");
}

#[test]
fn names_are_counted_for_each_user_and_in_all() {
    let mut rig = Rig::new(Limits { files_per_user_max: 2, files_max: 3, ..Limits::default() });
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.settle(true);
    rig.heard(ada);
    register(&mut rig, ada, "a", FILE, 1);
    register(&mut rig, ada, "b", FILE, 1);
    assert_eq!(code(&rig.say(ada, &frame(FILE, 1_000_000, 1, "c"))), "quota");
    register(&mut rig, grace, "c", FILE, 1);
    assert_eq!(code(&rig.say(grace, &frame(FILE, 1_000_000, 1, "d"))), "quota", "of all together");
    rig.say(ada, &ClientFrame::Unregister { request: RequestId(1), name: "a" });
    rig.settle(true);
    rig.heard(ada);
    register(&mut rig, grace, "d", FILE, 1);
}

#[test]
fn of_many_holders_those_who_hold_most_are_named() {
    let names: Vec<String> = (0..40).map(|n| format!("u{n:02}")).collect();
    let limits = Limits { search_holders_max: 10, ..Limits::default() };
    let mut rig = Rig::of(limits, names.iter().map(String::as_str));
    let conns: Vec<ConnId> = names.iter().map(|name| rig.log_in(name)).collect();
    rig.settle(true);
    rig.heard(conns[0]);
    register(&mut rig, conns[0], "a", FILE, 100);
    for (n, &conn) in (0..40).zip(&conns).skip(1) {
        have(&mut rig, conn, FILE, &set(100, 0..n));
    }
    let holders = |rig: &mut Rig| -> Vec<String> {
        let shown = search(rig, conns[0], "a");
        shown.iter().map(|line| line.split(':').next().unwrap().to_owned()).collect()
    };
    let expected = |low: u32, high: u32| -> Vec<String> {
        [0].into_iter().chain(low..high).map(|n| format!("u{n:02}")).collect()
    };
    assert_eq!(holders(&mut rig), expected(31, 40), "sorted by name");
    rig.lose(conns[39]);
    rig.heard(conns[0]);
    assert_eq!(holders(&mut rig), expected(30, 39), "of those who are online");
}

#[test]
fn a_long_list_reaches_a_slow_reader_whole_and_never_makes_him_look_slow() {
    const COUNT: usize = 20_000;
    let limits = Limits { files_per_user_max: COUNT, holdings_per_user_max: COUNT, ..Limits::default() };
    let owner = "ada";
    let name = |n: usize| format!("{n:05} {}", "x".repeat(230));
    let stored = (0..COUNT).map(|n| RegisteredFile {
        name: name(n).parse().unwrap(),
        file: FILE,
        layout: Layout::new(10, 2).unwrap(),
        owner: owner.parse().unwrap(),
    });
    let mut rig = with_files(limits.clone(), stored.collect());
    let grace = rig.log_in("grace");
    let ask = ClientFrame::Files { request: RequestId(3) };
    rig.throw(grace, ask.encode().as_bytes());
    rig.throw(grace, ClientFrame::WhoElse { request: RequestId(4) }.encode().as_bytes());
    let (mut bytes, mut peak) = (Vec::new(), 0);
    while rig.waiting_len(grace) > 0 {
        peak = peak.max(rig.waiting_len(grace));
        // For as long as the keep-alive takes, and far longer than the patience with slow readers.
        bytes.extend(rig.fetch(grace, 3_000));
        rig.pass(Duration::from_millis(15));
    }
    assert!(peak <= limits.outbox_len_soft / 2, "{peak} bytes waited");
    let bodies = bodies(&bytes);
    let answers: Vec<&[u8]> =
        bodies.iter().map(Vec::as_slice).filter(|body| !body.starts_with(b"ping")).collect();
    assert_eq!(answers.len(), COUNT + 2);
    let whoelse = answers.iter().position(|body| body.starts_with(b"users 4 ")).unwrap();
    assert!(whoelse < COUNT / 10, "other answers need not wait: {whoelse}");
    let names = answers.iter().filter_map(|body| body.strip_prefix(b"file 3 ".as_slice()));
    let names: Vec<&[u8]> = names.map(|body| body.split(|&b| b == b'\n').nth(1).unwrap()).collect();
    assert!(names.iter().zip(0..).all(|(shown, n)| *shown == name(n).as_bytes()));
    assert_eq!(answers.last().unwrap(), b"done 3");
}

#[test]
fn only_so_many_lists_wait_for_one_reader() {
    let limits = Limits { lists_waiting_max: 3, outbox_len_soft: 400, ..Limits::default() };
    let stored = (0..100).map(|n| RegisteredFile {
        name: format!("{n}").parse().unwrap(),
        file: FILE,
        layout: Layout::new(10, 2).unwrap(),
        owner: "ada".parse().unwrap(),
    });
    let mut rig = with_files(limits, stored.collect());
    let grace = rig.log_in("grace");
    for n in 0..5 {
        rig.throw(grace, ClientFrame::Files { request: RequestId(n) }.encode().as_bytes());
    }
    let mut ends = Vec::new();
    while rig.waiting_len(grace) > 0 {
        let heard = rig.heard(grace);
        let is_end = |body: &&String| !body.starts_with("file ");
        ends.extend(heard.iter().filter(is_end).map(|body| body.split('\n').next().unwrap().to_owned()));
    }
    ends.sort();
    assert_eq!(ends, ["done 0", "done 1", "done 2", "refused 3 quota", "refused 4 quota"]);
}

#[test]
fn a_restart_forgets_no_name_and_asks_anew_who_holds_what() {
    let file = |name: &str, owner: &str| RegisteredFile {
        name: name.parse().unwrap(),
        file: FILE,
        layout: Layout::new(1_000, 10).unwrap(),
        owner: owner.parse().unwrap(),
    };
    let mut rig = with_files(Limits::default(), vec![file("a", "ada"), file("b", "grace")]);
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.heard(ada);
    assert_eq!(search(&mut rig, ada, "b"), [] as [&str; 0], "nobody has said so since");
    have(&mut rig, ada, FILE, &set(10, 0..10));
    have(&mut rig, grace, FILE, &set(10, [4]));
    let is_new = |operation: &StoreOperation| !matches!(operation, StoreOperation::LastSeen { .. });
    assert!(!rig.settle(true).iter().any(is_new), "nothing of it is written again");
    assert_eq!(search(&mut rig, ada, "b"), ["ada: 0 1 2 3 4 5 6 7 8 9", "grace: 4"]);
    assert_eq!(code(&rig.say(grace, &frame(OTHER, 10, 1, "a"))), "already-registered");
    let answer = rig.say(grace, &ClientFrame::Unregister { request: RequestId(1), name: "a" });
    assert_eq!(code(&answer), "not-owner");
}

#[test]
fn what_clients_say_by_themselves_is_no_activity_of_their_users() {
    let limits = Limits { inactivity: Some(TICKET_LIFE), ..Limits::default() };
    let mut rig = Rig::new(limits);
    let ada = rig.log_in("ada");
    rig.settle(true);
    register(&mut rig, ada, "a.bin", FILE, 10);
    let mut heard = BTreeSet::new();
    for n in 0..40 {
        heard.extend(have(&mut rig, ada, FILE, &set(10, 0..n % 10)));
        rig.pass(Duration::from_secs(1));
    }
    assert!(heard.iter().any(|body| body.starts_with("goodbye timeout")), "{heard:?}");
}
