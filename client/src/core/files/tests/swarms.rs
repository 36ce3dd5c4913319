//! Downloads from several holders, who come and go.

use protocol::ErrorCode;

use super::rig::{World, code};
use crate::core::Event;

#[test]
fn all_holders_give_their_share() {
    let mut world = World::new(1, &["ada", "bob", "cyd", "dan"]);
    let bytes = world.share("ada", "f", 12_000_000, 60);
    world.download("bob", "download f");
    world.download("cyd", "download f");
    for name in ["ada", "bob", "cyd"] {
        world.node(name).line = 1_000;
    }
    let before = world.now;
    let done = world.download("dan", "download f");
    assert_eq!(done.sources.len(), 3);
    assert_eq!(world.node("dan").disk.files["f"], bytes);
    assert!(world.now - before < 6_000, "three lines carry more than one: {}", world.now - before);
}

#[test]
fn a_leecher_serves_another_while_he_fetches() {
    let mut world = World::new(2, &["ada", "bob", "cyd"]);
    let bytes = world.share("ada", "f", 12_000_000, 60);
    world.node("ada").line = 1_000;
    world.wall("ada", "cyd");
    let first = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") > 0);
    let second = world.run("cyd", "download f");
    let (first, second) = (world.wait("bob", first), world.wait("cyd", second));
    assert!(matches!((first, second), (Event::Ok { .. }, Event::Ok { .. })));
    assert_eq!(world.node("cyd").disk.files["f"], bytes);
    assert!(world.now < 1_000 + 15_000, "it did not wait for all of it: {}", world.now);
}

#[test]
fn a_holder_who_comes_later_is_found_and_used() {
    let mut world = World::new(3, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 20_000_000, 100);
    world.download("cyd", "download f");
    world.kill("cyd");
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    world.pass(2_000);
    world.start("cyd");
    world.wait("bob", number);
    assert!(world.passed[&("cyd".to_owned(), "bob".to_owned())] > 10_000_000);
    assert!(world.now < 15_000, "{}", world.now);
}

#[test]
fn when_a_source_leaves_the_others_go_on() {
    let mut world = World::new(4, &["ada", "bob", "cyd"]);
    let bytes = world.share("ada", "f", 12_000_000, 60);
    world.download("bob", "download f");
    for name in ["ada", "bob"] {
        world.node(name).line = 1_000;
    }
    let number = world.run("cyd", "download f");
    world.pass(2_000);
    world.kill("bob");
    assert!(matches!(world.wait("cyd", number), Event::Ok { .. }));
    assert_eq!(world.node("cyd").disk.files["f"], bytes);
}

#[test]
fn when_the_only_source_leaves_it_ends_and_when_he_is_back_it_goes_on() {
    let mut world = World::new(5, &["ada", "bob"]);
    world.share("ada", "f", 12_000_000, 60);
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    world.pass(5_000);
    world.kill("ada");
    let before = world.now;
    let (code, text) = code(world.wait("bob", number));
    assert_eq!(code, ErrorCode::NotAvailable, "{text}");
    assert!(world.now - before < 30_000, "{}", world.now - before);
    let held = world.server.held("f", "bob");
    assert!(held > 10);
    world.start("ada");
    world.pass(100);
    let done = world.download("bob", "download f");
    assert_eq!(done.bytes, u64::from(60 - held) * 200_000);
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    let mut world = World::new(6, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 12_000_000, 60);
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    for _ in 0..3 {
        world.pass(2_000);
        world.break_link("ada", "bob");
    }
    assert!(matches!(world.wait("bob", number), Event::Ok { .. }));
    assert_eq!(world.node("bob").disk.files["f"], bytes);
    assert!(world.now < 60_000, "{}", world.now);
}

#[test]
fn no_more_than_sixteen_links_are_asked_for_and_the_rare_chunk_is_found() {
    let mut world = World::new(7, &["ada"]);
    world.share("ada", "f", 4_000_000, 40);
    for number in 0..24 {
        let name = format!("u{number}");
        world.add(&name, crate::core::files::Rates::default());
        world.download(&name, "download f 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    }
    world.add("zoe", crate::core::files::Rates::default());
    let done = world.download("zoe", "download f");
    assert!(done.held.is_full() && done.sources.contains(&"ada".parse().unwrap()));
    let links = world.nodes.keys().filter(|name| world.link("zoe", name).is_some()).count();
    assert!(links <= 16, "{links}");
}

#[test]
fn whoever_comes_and_goes_everybody_gets_the_file() {
    for seed in 0..12 {
        let names = ["ada", "bob", "cyd", "dan", "eve"];
        let mut world = World::new(seed, &names);
        let bytes = world.share("ada", "f", 6_000_000 + usize::from(seed) * 9_999, 1 + 13 * u64::from(seed));
        let mut dice = u64::from(seed) + 1;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for name in names {
            world.node(name).line = 500 + roll(4_000);
        }
        let others = &names[1..];
        for name in others {
            world.run(name, "download f");
            world.pass(roll(500));
        }
        for _ in 0..10 {
            world.pass(roll(1_500));
            let name = others[usize::try_from(roll(4)).unwrap()];
            match roll(3) {
                0 => world.break_link("ada", name),
                1 => world.break_link(name, others[usize::try_from(roll(4)).unwrap()]),
                _ => {
                    world.kill(name);
                    world.pass(roll(3_000));
                    world.start(name);
                    world.run(name, "download f");
                }
            }
        }
        for name in others {
            let done = |event: &Event| matches!(event, Event::Ok { .. });
            while !world.node(name).disk.files.contains_key("f") {
                let answer = world.answer(name, "download f");
                let is_there = matches!(&answer, Event::Error { code: ErrorCode::AlreadyHave, .. });
                assert!(done(&answer) || is_there, "seed {seed}: {name}: {answer:?}");
            }
            assert!(world.node(name).disk.files["f"] == bytes, "seed {seed}: {name}");
        }
        assert!(world.misbehaved.is_empty(), "seed {seed}: {:?}", world.misbehaved);
    }
}
