//! What one client passes on to many.

use protocol::{FileId, PeerFrame};

use super::rig::{Fate, World};
use crate::core::{Event, files::Rates};

fn id(world: &mut World, name: &str) -> FileId {
    world.node(name).haves.last().expect("a file").1
}

fn passed(world: &World, from: &str, to: &str) -> u64 {
    world.passed.get(&(from.to_owned(), to.to_owned())).copied().unwrap_or_default()
}

#[test]
fn eight_are_served_and_the_others_when_these_are_done() {
    let names: Vec<String> = (0..10).map(|number| format!("u{number}")).collect();
    let mut world = World::new(1, &["ada"]);
    world.share("ada", "f", 2_000_000, 16);
    world.node("ada").line = 1_000;
    for (count, name) in names.iter().enumerate() {
        world.add(name, Rates::default());
        // They serve nobody, so that all of it comes from one.
        for other in names.iter().take(count) {
            world.wall(name, other);
        }
    }
    let numbers: Vec<u64> = names.iter().map(|name| world.run(name, "download f")).collect();
    world.pass(10_000);
    let served = names.iter().filter(|name| passed(&world, "ada", name) > 0).count();
    assert_eq!(served, 8);
    let least = names.iter().map(|name| passed(&world, "ada", name)).filter(|&bytes| bytes > 0).min();
    assert!(least > Some(700_000), "each gets his turn: {least:?}");
    for (name, number) in names.iter().zip(numbers) {
        assert!(matches!(world.wait(name, number), Event::Ok { .. }), "{name}");
    }
    assert!(world.now < 45_000, "{}", world.now);
}

#[test]
fn a_queue_has_an_end_and_what_is_read_ahead_too() {
    let mut world = World::new(2, &["ada", "bob"]);
    world.share("ada", "f", 20_000_000, 10);
    world.connect("ada", "bob");
    world.stop_reading("bob", "ada");
    let file = id(&mut world, "ada");
    let mut refused = 0;
    let link = world.link("ada", "bob");
    for number in 0..100u64 {
        let (chunk, offset) = (u32::try_from(number / 10).unwrap(), number % 10 * 131_072);
        world.forge("bob", "ada", &PeerFrame::Request { file, chunk, offset, len: 131_072 });
        refused += u64::from(world.waiting_len("ada", "bob") > 0);
    }
    world.pass(1_000);
    let reads = world.node("ada").disk.jobs["read"];
    assert!((8..=9).contains(&reads), "{reads}");
    assert!(world.waiting_len("ada", "bob") < 1_400_000);
    assert_eq!(100 - 64 - reads, refused, "the rest was refused");
    world.forge("bob", "ada", &PeerFrame::Cancel { file, chunk: 1, offset: 0 });
    assert!(link.is_some_and(|link| world.node("ada").files.uses(link)));
    // He takes nothing: his place goes to another.
    world.pass(25_000);
    assert!(link.is_some_and(|link| !world.node("ada").files.uses(link)));
}

#[test]
fn what_is_taken_back_is_not_sent() {
    let mut world = World::new(3, &["ada"]);
    world.add("bob", Rates::default());
    world.share("ada", "f", 20_000_000, 10);
    world.node("ada").line = 100;
    world.connect("ada", "bob");
    let file = id(&mut world, "ada");
    for number in 0..15 {
        world.forge(
            "bob",
            "ada",
            &PeerFrame::Request { file, chunk: 0, offset: number * 131_072, len: 131_072 },
        );
    }
    for number in 0..15 {
        world.forge("bob", "ada", &PeerFrame::Cancel { file, chunk: 0, offset: number * 131_072 });
    }
    world.pass(60_000);
    assert_eq!(passed(&world, "ada", "bob"), 0);
    let link = world.link("ada", "bob").unwrap();
    assert!(!world.node("ada").files.uses(link));
}

#[test]
fn an_upload_limit_holds_for_all_together() {
    let mut world = World::new(4, &["bob", "cyd"]);
    world.add("ada", Rates { upload: Some(1_000_000), download: None });
    world.share("ada", "f", 5_000_000, 10);
    world.wall("bob", "cyd");
    let before = world.now;
    let numbers = ["bob", "cyd"].map(|name| (name, world.run(name, "download f")));
    for (name, number) in numbers {
        assert!(matches!(world.wait(name, number), Event::Ok { .. }));
    }
    assert!((9_000..11_500).contains(&(world.now - before)), "{}", world.now - before);
}

#[test]
fn a_blocked_user_gets_nothing_more() {
    let mut world = World::new(5, &["ada", "bob"]);
    world.share("ada", "f", 10_000_000, 50);
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    world.pass(3_000);
    let before = passed(&world, "ada", "bob");
    assert!(before > 0);
    world.block("ada", "bob");
    assert!(world.link("ada", "bob").is_none());
    assert!(matches!(world.wait("bob", number), Event::Error { .. }));
    assert_eq!(passed(&world, "ada", "bob"), before);
}

#[test]
fn a_peer_who_follows_hears_of_every_chunk_and_of_the_end() {
    let mut world = World::new(6, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 10_000_000, 50);
    world.node("ada").line = 1_000;
    let file = id(&mut world, "ada");
    let number = world.run("bob", "download f");
    world.pass(1_000);
    world.connect("bob", "cyd");
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let tells = told.clone();
    world.node("bob").tamper = Some(Box::new(move |frame, now| {
        if let PeerFrame::Holds { held, .. } = frame {
            tells.borrow_mut().push((now, protocol::ChunkSet::decode(held, 50).unwrap().len()));
        }
        Fate::Sent
    }));
    world.forge("cyd", "bob", &PeerFrame::WantHolds { file });
    let link = world.link("bob", "cyd").unwrap();
    assert!(world.node("bob").files.uses(link), "he may wait for what is still to come");
    world.wait("bob", number);
    world.pass(1_000);
    assert!(!world.node("bob").files.uses(link));
    let told = told.borrow();
    assert_eq!(told.last().map(|told| told.1), Some(50));
    assert!(told.len() > 20 && told.is_sorted());
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 100));
}

#[test]
fn the_server_is_told_twice_a_second_at_most() {
    let mut world = World::new(7, &["ada", "bob"]);
    world.share("ada", "f", 10_000_000, 1_000);
    world.node("ada").line = 1_000;
    world.download("bob", "download f");
    let haves = &world.node("bob").haves;
    assert!((15..=25).contains(&haves.len()), "{}", haves.len());
    assert_eq!(haves.last().map(|have| have.2), Some(1_000));
}

#[test]
fn tiny_requests_do_not_pile_up_at_the_disk() {
    let mut world = World::new(8, &["ada", "bob"]);
    world.share("ada", "f", 1_000_000, 10);
    world.connect("ada", "bob");
    let file = id(&mut world, "ada");
    // The disk has other things to do.
    world.node("ada").disk.busy_until = world.now + 10_000;
    for offset in 0..1_000 {
        world.forge("bob", "ada", &PeerFrame::Request { file, chunk: 0, offset, len: 1 });
    }
    assert_eq!(world.node("ada").disk.jobs["read"], 64);
    assert!(world.misbehaved.is_empty());
    world.pass(20_000);
    assert_eq!(passed(&world, "ada", "bob"), 128, "64 were read and 64 had queued; the rest was refused");
}

#[test]
fn what_is_being_read_for_a_blocked_user_never_leaves() {
    let mut world = World::new(9, &["ada", "bob"]);
    world.share("ada", "f", 1_000_000, 10);
    world.connect("ada", "bob");
    let file = id(&mut world, "ada");
    world.node("ada").disk.busy_until = world.now + 1_000;
    world.forge("bob", "ada", &PeerFrame::Request { file, chunk: 0, offset: 0, len: 100 });
    world.block("ada", "bob");
    world.pass(5_000);
    assert_eq!(passed(&world, "ada", "bob"), 0);
}
