//! The command `register`.

use protocol::ErrorCode;

use super::rig::{World, code, content};
use crate::core::{Event, Outcome};

#[test]
fn a_registered_file_is_found_with_all_its_chunks() {
    let mut world = World::new(1, &["ada", "bob"]);
    world.node("ada").disk.files.insert("my file".to_owned(), content(1, 1_000));
    let Outcome::Register { file, layout, hash } = world.ok("ada", "register \"my file\" 7") else {
        panic!()
    };
    assert_eq!(
        (file.as_str(), layout.size(), layout.chunks(), layout.chunk_size()),
        ("my file", 1_000, 7, 143)
    );
    assert_eq!(hash, super::disk::manifest(&content(1, 1_000), 7).unwrap().hash());
    let Outcome::SearchFile { available, holders, .. } = world.ok("bob", "searchFile \"my file\"") else {
        panic!()
    };
    assert!(available);
    assert_eq!((holders.len(), holders[0].user.as_str(), holders[0].chunks.len()), (1, "ada", 7));
}

#[test]
fn the_checks_come_in_their_order() {
    let mut world = World::new(2, &["ada", "bob"]);
    for (name, len) in [("f", 10), ("empty", 0), ("taken", 10), (".hidden", 10), ("CON", 10)] {
        world.node("ada").disk.files.insert(name.to_owned(), content(1, len));
    }
    world.share("bob", "taken", 10, 2);
    for (line, expected) in [
        ("register nothing 0", ErrorCode::NoSuchFile),
        ("register .nothing 0", ErrorCode::NoSuchFile),
        ("register taken 0", ErrorCode::AlreadyRegistered),
        ("register taken 99", ErrorCode::AlreadyRegistered),
        ("register f 0", ErrorCode::Usage),
        ("register f 11", ErrorCode::Usage),
        ("register empty 1", ErrorCode::EmptyFile),
        ("register empty 0", ErrorCode::EmptyFile),
        ("register .hidden 11", ErrorCode::Usage),
        ("register .hidden 1", ErrorCode::BadName),
        ("register CON 1", ErrorCode::BadName),
        ("register ../f 0", ErrorCode::BadName),
        ("register .. 1", ErrorCode::BadName),
        ("register /etc/passwd 1", ErrorCode::BadName),
        ("register a\\b 1", ErrorCode::BadName),
    ] {
        assert_eq!(world.error("ada", line).0, expected, "{line}");
    }
    assert!(!world.node("ada").disk.jobs.contains_key("hash"), "nothing was hashed for nothing");
    let (_, text) = world.error("ada", "register f 11");
    assert_eq!(text, "Usage: register <file> <n_chunks>: a file of 10 bytes can be cut into 1 to 10 chunks.");
}

#[test]
fn at_most_65_536_chunks() {
    let mut world = World::new(3, &["ada"]);
    world.node("ada").disk.files.insert("f".to_owned(), content(1, 70_000));
    assert_eq!(world.error("ada", "register f 65537").0, ErrorCode::Usage);
    world.ok("ada", "register f 65536");
}

#[test]
fn of_two_who_register_a_name_at_once_one_is_refused_and_offers_nothing() {
    let mut world = World::new(4, &["ada", "bob"]);
    for name in ["ada", "bob"] {
        world.node(name).disk.files.insert("f".to_owned(), content(name.len() as u64, 100 + name.len()));
    }
    world.node("bob").disk.files.insert("f".to_owned(), content(9, 200));
    let first = world.run("ada", "register f 2");
    let second = world.run("bob", "register f 2");
    assert!(matches!(world.wait("ada", first), Event::Ok { .. }));
    assert_eq!(code(world.wait("bob", second)).0, ErrorCode::AlreadyRegistered);
    assert_eq!(world.node("bob").disk.jobs["unshare"], 1);
    assert_eq!(world.node("bob").haves.last().map(|have| have.2), Some(0));
}

#[test]
fn hashing_is_shown_twice_a_second_and_can_be_stopped() {
    let mut world = World::new(5, &["ada"]);
    world.node("ada").disk.files.insert("f".to_owned(), content(1, 1_000_000));
    world.node("ada").disk.slowness = 5_000;
    let number = world.run("ada", "register f 1000");
    world.pass(5_000);
    let shown =
        world.node("ada").events.iter().filter(|event| matches!(event, Event::Progress { .. })).count();
    assert!((7..=10).contains(&shown), "{shown}");
    let Outcome::Transfers { transfers } = world.ok("ada", "transfers") else { panic!() };
    assert_eq!(transfers.len(), 1);
    assert!((400..600).contains(&transfers[0].progress.have), "{transfers:?}");
    assert!((80_000..120_000).contains(&transfers[0].progress.rate), "{transfers:?}");
    world.ok("ada", "cancel f");
    assert_eq!(code(world.wait("ada", number)).0, ErrorCode::Cancelled);
    world.pass(10_000);
    assert_eq!(world.error("ada", "searchFile f").0, ErrorCode::NotRegistered);
    assert_eq!(world.error("ada", "cancel f").0, ErrorCode::NoTransfer);
}

#[test]
fn without_a_server_nothing_is_promised() {
    let mut world = World::new(6, &["ada"]);
    world.node("ada").disk.files.insert("f".to_owned(), content(1, 100));
    world.server_away(true);
    assert_eq!(world.error("ada", "register f 2").0, ErrorCode::NotConnected);
    world.server_away(false);
    let number = world.run("ada", "register f 2");
    world.until(|world| world.node("ada").disk.jobs.contains_key("share"));
    world.server_away(true);
    assert_eq!(code(world.wait("ada", number)).0, ErrorCode::NotConfirmed);
}
