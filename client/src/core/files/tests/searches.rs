//! The commands that ask the server one thing, and those that only tell or stop.

use protocol::{ErrorCode, Username};

use super::rig::World;
use crate::core::{Direction, Holder, Outcome};

fn chunks(holders: &[Holder]) -> Vec<(String, Vec<u32>)> {
    let numbers = |holder: &Holder| holder.chunks.iter().map(|chunk| chunk.0).collect();
    holders.iter().map(|holder| (holder.user.to_string(), numbers(holder))).collect()
}

#[test]
fn a_search_tells_who_is_online_and_has_what() {
    let mut world = World::new(1, &["ada", "bob", "cyd"]);
    world.share("cyd", "f", 1_000, 4);
    world.download("ada", "download f 1 2");
    let Outcome::SearchChunk { available, holders, .. } = world.ok("bob", "searchChunk f 3 1 3") else {
        panic!()
    };
    assert!(available);
    assert_eq!(chunks(&holders), [("ada".to_owned(), vec![1]), ("cyd".to_owned(), vec![1, 3])]);
    world.kill("cyd");
    let Outcome::SearchFile { available, holders, layout, .. } = world.ok("bob", "searchFile f") else {
        panic!()
    };
    assert!(!available);
    assert_eq!((layout.size(), layout.chunks()), (1_000, 4));
    assert_eq!(chunks(&holders), [("ada".to_owned(), vec![1, 2])]);
    let Outcome::SearchChunk { available, holders, .. } = world.ok("bob", "searchChunk f 0") else {
        panic!()
    };
    assert!(!available && holders.is_empty());
}

#[test]
fn what_is_not_there_is_named() {
    let mut world = World::new(2, &["ada"]);
    world.share("ada", "f", 1_000, 4);
    for (line, expected) in [
        ("searchFile g", ErrorCode::NotRegistered),
        ("searchFile ../f", ErrorCode::NotRegistered),
        ("searchChunk g 99", ErrorCode::NotRegistered),
        ("searchChunk f 4", ErrorCode::NoSuchChunk),
        ("searchChunk f 0 99999999999999999999", ErrorCode::NoSuchChunk),
        ("unregister g", ErrorCode::NotRegistered),
        ("cancel f", ErrorCode::NoTransfer),
    ] {
        assert_eq!(world.error("ada", line).0, expected, "{line}");
    }
}

#[test]
fn only_the_owner_takes_a_file_back_and_then_nobody_gets_it() {
    let mut world = World::new(3, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 1_000, 4);
    world.download("bob", "download f 0");
    assert_eq!(world.error("bob", "unregister f").0, ErrorCode::NotOwner);
    world.ok("ada", "unregister f");
    assert_eq!(world.error("cyd", "download f").0, ErrorCode::NotRegistered);
    let Outcome::Files { files } = world.ok("cyd", "files") else { panic!() };
    assert!(files.is_empty());
    assert!(world.node("ada").disk.files.contains_key("f"), "the bytes stay");
    world.ok("ada", "register f 4");
    world.download("cyd", "download f");
}

#[test]
fn files_are_listed_with_their_owners() {
    let mut world = World::new(4, &["ada", "bob"]);
    world.share("ada", "f", 1_000, 4);
    world.share("bob", "g", 10, 1);
    let Outcome::Files { files } = world.ok("bob", "files") else { panic!() };
    let owner = |name: &str| name.parse::<Username>().unwrap();
    assert_eq!(files.iter().map(|file| &file.owner).collect::<Vec<_>>(), [&owner("ada"), &owner("bob")]);
}

#[test]
fn transfers_tell_both_directions() {
    let mut world = World::new(5, &["ada", "bob"]);
    world.share("ada", "f", 20_000_000, 40);
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    world.pass(5_000);
    for (name, other, direction) in [("ada", "bob", Direction::Upload), ("bob", "ada", Direction::Download)] {
        let Outcome::Transfers { transfers } = world.ok(name, "transfers") else { panic!() };
        assert_eq!(transfers.len(), 1, "{name}: {transfers:?}");
        assert_eq!((transfers[0].direction, transfers[0].users[0].as_str()), (direction, other));
        let progress = &transfers[0].progress;
        assert!((3_000_000..7_000_000).contains(&progress.bytes), "{name}: {progress:?}");
        assert!((800_000..1_300_000).contains(&progress.rate), "{name}: {progress:?}");
    }
    world.wait("bob", number);
    world.pass(10_000);
    for name in ["ada", "bob"] {
        assert_eq!(world.ok(name, "transfers"), Outcome::Transfers { transfers: Vec::new() });
    }
}

#[test]
fn without_a_server_a_question_has_no_answer() {
    let mut world = World::new(6, &["ada"]);
    world.share("ada", "f", 1_000, 4);
    world.server_away(true);
    for line in ["files", "searchFile f", "searchChunk f 0", "download f"] {
        assert_eq!(world.error("ada", line).0, ErrorCode::NotConnected, "{line}");
    }
    assert_eq!(world.error("ada", "unregister f").0, ErrorCode::NotConfirmed);
}
