//! What outlives a client, and what others do to its files meanwhile.

use protocol::ErrorCode;

use super::rig::{World, content};
use crate::core::{Event, Outcome};

fn notices(world: &mut World, name: &str) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Notice { text } => Some(text.clone()),
        _ => None,
    };
    world.node(name).events.iter().filter_map(text).collect()
}

#[test]
fn what_was_shared_and_fetched_is_offered_again() {
    let mut world = World::new(1, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 1_000_000, 10);
    world.download("bob", "download f 1 2 3");
    for name in ["ada", "bob"] {
        world.kill(name);
        assert_eq!(world.server.held("f", name), 0);
        world.start(name);
    }
    world.pass(100);
    assert_eq!((world.server.held("f", "ada"), world.server.held("f", "bob")), (10, 3));
    assert_eq!(world.error("ada", "register f 10").0, ErrorCode::AlreadyRegistered);
    assert_eq!(world.error("ada", "download f").0, ErrorCode::AlreadyHave);
    assert_eq!(world.error("bob", "download f 1").0, ErrorCode::AlreadyHave);
    assert!(world.download("cyd", "download f").held.is_full());
}

#[test]
fn a_killed_download_goes_on_where_it_was() {
    for ms in [100, 300, 700, 1_900, 4_000] {
        let mut world = World::new(2, &["ada", "bob"]);
        let bytes = world.share("ada", "f", 5_000_000, 25);
        world.node("ada").line = 1_000;
        world.run("bob", "download f");
        world.pass(ms);
        world.kill("bob");
        world.start("bob");
        let done = world.download("bob", "download f");
        assert!(done.held.is_full());
        assert_eq!(world.node("bob").disk.files["f"], bytes);
        // One chunk is 0.2 s of the line; what was on its way comes twice.
        assert!(done.bytes <= 5_000_000 - (ms.saturating_sub(700)) * 1_000, "{ms}: {}", done.bytes);
    }
}

#[test]
fn a_command_right_after_the_start_waits_for_what_is_restored() {
    let mut world = World::new(3, &["ada", "bob"]);
    world.share("ada", "f", 1_000_000, 10);
    world.download("bob", "download f");
    world.kill("bob");
    world.node("bob").disk.busy_until = world.now + 5_000;
    world.start("bob");
    assert_eq!(world.error("bob", "download f").0, ErrorCode::AlreadyHave);
}

#[test]
fn a_changed_file_is_taken_off_and_told_once() {
    let mut world = World::new(4, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 1_000_000, 10);
    world.connect("ada", "bob");
    world.download("bob", "download f 1");
    world.node("ada").disk.files.insert("f".to_owned(), content(77, 1_000_000));
    assert_eq!(world.error("bob", "download f").0, ErrorCode::NotAvailable);
    assert_eq!(world.server.held("f", "ada"), 0);
    let told = notices(&mut world, "ada");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("'f' was changed"));
    assert_eq!(world.error("cyd", "download f").0, ErrorCode::NotAvailable);
    assert_eq!(notices(&mut world, "ada").len(), 1);
    world.ok("ada", "unregister f");
    world.ok("ada", "register f 10");
    assert!(world.download("cyd", "download f").held.is_full());
}

#[test]
fn a_new_connection_to_the_server_hears_of_everything() {
    let mut world = World::new(5, &["ada", "bob"]);
    world.share("ada", "f", 1_000, 4);
    world.share("ada", "g", 1_000, 5);
    world.node("ada").haves.clear();
    world.server_away(true);
    world.server_away(false);
    let mut told: Vec<u32> = world.node("ada").haves.iter().map(|have| have.2).collect();
    told.sort_unstable();
    assert_eq!(told, [4, 5]);
    assert_eq!(world.node("ada").disk.jobs["restore"], 1, "the disk is asked once");
    let Outcome::Files { files } = world.ok("bob", "files") else { panic!() };
    assert_eq!(files.len(), 2);
}
