//! The command `download`, from honest holders.

use protocol::ErrorCode;

use super::rig::{World, code, content};
use crate::core::{Event, Outcome, files::Rates};

fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Progress { .. })
}

#[test]
fn a_whole_file_comes_under_its_own_name_and_is_offered_before_the_answer() {
    let mut world = World::new(1, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 3_000_000, 16);
    let done = world.download("bob", "download f");
    assert_eq!((done.file.as_str(), done.bytes, done.wasted), ("f", 3_000_000, 0));
    assert!(done.held.is_full());
    assert_eq!(done.path.to_str(), Some("f"));
    assert_eq!(done.sources, ["ada".parse().unwrap()]);
    assert_eq!(world.node("bob").disk.files["f"], bytes);
    assert_eq!(world.server.held("f", "bob"), 16);
    assert_eq!(
        world.node("bob").events.iter().filter(|event| is_progress(event)).count(),
        0,
        "it was done at once"
    );
}

#[test]
fn chunks_come_alone_and_the_rest_later() {
    let mut world = World::new(2, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 3_000_000, 16);
    let done = world.download("bob", "download f 3 1 3");
    assert_eq!(done.held.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((done.bytes, done.path.to_str()), (375_000, Some("f.part")));
    assert!(!world.node("bob").disk.files.contains_key("f"));
    assert_eq!(world.error("bob", "download f 3").0, ErrorCode::AlreadyHave);
    assert_eq!(world.download("bob", "download f 3 4").bytes, 187_500);
    assert_eq!(world.download("bob", "download f").bytes, 3_000_000 - 3 * 187_500);
    assert_eq!(world.node("bob").disk.files["f"], bytes);
    for line in ["download f", "download f 0"] {
        assert_eq!(world.error("bob", line).0, ErrorCode::AlreadyHave);
        assert_eq!(world.error("ada", line).0, ErrorCode::AlreadyHave);
    }
}

#[test]
fn the_last_chunks_alone_complete_the_file() {
    let mut world = World::new(3, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 1_000, 3);
    world.download("bob", "download f 0 1");
    assert!(world.download("bob", "download f 2").held.is_full());
    assert_eq!(world.node("bob").disk.files["f"], bytes);
}

#[test]
fn what_cannot_be_fetched_is_told_in_the_order_of_the_table() {
    let mut world = World::new(4, &["ada", "bob"]);
    world.share("ada", "f", 1_000, 4);
    world.node("bob").disk.files.insert("f".to_owned(), content(1, 5));
    for (line, expected) in [
        ("download g 9", ErrorCode::NotRegistered),
        ("download ../f", ErrorCode::NotRegistered),
        ("download f 4", ErrorCode::NoSuchChunk),
        ("download f", ErrorCode::Exists),
    ] {
        assert_eq!(world.error("bob", line).0, expected, "{line}");
    }
    world.kill("ada");
    let before = world.now;
    let (code, text) = world.error("bob", "download f");
    assert_eq!(code, ErrorCode::NotAvailable);
    assert!(text.contains("chunks 0-3 of 'f'"), "{text}");
    assert!(world.now - before < 100, "at once");
}

#[test]
fn what_can_be_had_is_kept_and_the_rest_is_named() {
    let mut world = World::new(5, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 100_000, 10);
    world.download("bob", "download f 2 3 4 8");
    world.kill("ada");
    let (code, text) = world.error("cyd", "download f 0 1 2 4 8 9");
    assert_eq!(code, ErrorCode::NotAvailable);
    assert!(text.contains("chunks 0-1, 9 of 'f'"), "{text}");
    assert_eq!(world.server.held("f", "cyd"), 3);
    assert_eq!(world.error("cyd", "download f 2").0, ErrorCode::AlreadyHave);
}

#[test]
fn a_full_disk_ends_it_and_keeps_what_is_there() {
    let mut world = World::new(6, &["ada", "bob"]);
    world.share("ada", "f", 10_000_000, 50);
    world.node("bob").disk.room = Some(5_000_000);
    assert_eq!(world.error("bob", "download f").0, ErrorCode::DiskFull);
    world.node("bob").disk.room = None;
    let number = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") >= 10);
    world.node("bob").disk.is_full = true;
    assert_eq!(code(world.wait("bob", number)).0, ErrorCode::DiskFull);
    let held = world.server.held("f", "bob");
    assert!(held >= 10);
    world.node("bob").disk.is_full = false;
    assert!(world.download("bob", "download f").bytes <= u64::from(50 - held) * 200_000);
}

#[test]
fn a_file_that_comes_in_the_way_stays() {
    let mut world = World::new(7, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 10_000_000, 50);
    let number = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") >= 10);
    world.node("bob").disk.files.insert("f".to_owned(), content(3, 7));
    assert_eq!(code(world.wait("bob", number)).0, ErrorCode::Exists);
    assert_eq!(world.node("bob").disk.files.remove("f"), Some(content(3, 7)));
    assert_eq!(world.download("bob", "download f").bytes, 0, "everything was there");
    assert_eq!(world.node("bob").disk.files["f"], bytes);
}

#[test]
fn progress_is_told_twice_a_second() {
    let mut world = World::new(8, &["ada", "bob"]);
    world.share("ada", "f", 10_000_000, 4);
    world.node("ada").line = 1_000;
    let number = world.run("bob", "download f");
    world.wait("bob", number);
    let progress: Vec<_> =
        world.node("bob").events.iter().filter(|event| is_progress(event)).cloned().collect();
    assert!((16..=21).contains(&progress.len()), "{}", progress.len());
    let bytes = |event: &Event| match event {
        Event::Progress { progress, .. } => progress.bytes,
        _ => 0,
    };
    assert!(progress.is_sorted_by_key(bytes), "it never goes back");
    let actives = &world.node("bob").actives;
    assert!((16..=22).contains(&actives.len()), "{actives:?}");
    assert!(actives.windows(2).all(|pair| pair[1] - pair[0] >= 500));
    assert!((16..=22).contains(&world.node("ada").actives.len()));
}

#[test]
fn two_downloads_go_on_at_once_and_a_second_command_joins() {
    let mut world = World::new(9, &["ada", "bob"]);
    let (f, g) = (world.share("ada", "f", 10_000_000, 10), world.share("ada", "g", 5_000_000, 5));
    let first = world.run("bob", "download f 0 1");
    let other = world.run("bob", "download g");
    let joins = world.run("bob", "download f");
    let chunk = world.run("bob", "download f 1");
    for number in [first, other, joins, chunk] {
        assert!(matches!(world.wait("bob", number), Event::Ok { .. }), "{number}");
    }
    let files = &world.node("bob").disk.files;
    assert!(files["f"] == f && files["g"] == g);
    assert_eq!(world.passed[&("ada".to_owned(), "bob".to_owned())], 15_000_000, "nothing came twice");
    let place = |number| {
        world.nodes["bob"]
            .events
            .iter()
            .position(|event| matches!(event, Event::Ok { number: of, .. } if *of == number))
    };
    assert!(place(first) < place(joins));
}

#[test]
fn a_stopped_download_keeps_and_offers_what_it_has() {
    let mut world = World::new(10, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 20_000_000, 100);
    world.node("ada").line = 2_000;
    let number = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") >= 20);
    world.ok("bob", "cancel f");
    assert_eq!(code(world.wait("bob", number)).0, ErrorCode::Cancelled);
    let passed = world.passed[&("ada".to_owned(), "bob".to_owned())];
    world.pass(10_000);
    let late = world.passed[&("ada".to_owned(), "bob".to_owned())] - passed;
    assert!(late <= 2 * 1024 * 1024, "what was asked for was taken back: {late}");
    assert_eq!(world.error("bob", "cancel f").0, ErrorCode::NoTransfer);
    world.kill("ada");
    let (code, _) = world.error("cyd", "download f");
    assert_eq!(code, ErrorCode::NotAvailable);
    assert_eq!(world.server.held("f", "cyd"), world.server.held("f", "bob"));
    assert!(world.server.held("f", "cyd") >= 20);
}

#[test]
fn a_download_can_be_stopped_at_any_moment() {
    for ms in (0..400).step_by(13) {
        let mut world = World::new(11, &["ada", "bob"]);
        world.share("ada", "f", 4_000_000, 8);
        let number = world.run("bob", "download f");
        world.pass(ms);
        if world.answered("bob", number).is_none() {
            let stop = world.run("bob", "cancel f");
            match world.wait("bob", stop) {
                Event::Ok { .. } => assert_eq!(code(world.wait("bob", number)).0, ErrorCode::Cancelled),
                event => {
                    assert_eq!(code(event).0, ErrorCode::NoTransfer);
                    assert!(matches!(world.wait("bob", number), Event::Ok { .. }), "it was all but done");
                    continue;
                }
            }
            world.pass(1_000);
            world.download("bob", "download f");
        }
        assert!(world.node("bob").disk.files.contains_key("f"), "at {ms} ms");
    }
}

#[test]
fn a_holder_who_cannot_be_reached_ends_it_soon() {
    let mut world = World::new(12, &["ada", "bob"]);
    world.share("ada", "f", 1_000, 4);
    world.wall("ada", "bob");
    let before = world.now;
    assert_eq!(world.error("bob", "download f").0, ErrorCode::NotAvailable);
    assert!(world.now - before < 10_000, "{}", world.now - before);
}

#[test]
fn a_fetched_file_that_was_deleted_is_fetched_again() {
    let mut world = World::new(13, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 1_000, 4);
    world.download("bob", "download f");
    world.node("bob").disk.files.remove("f");
    assert_eq!(world.download("bob", "download f").bytes, 1_000);
    assert_eq!(world.node("bob").disk.files["f"], bytes);
}

#[test]
fn it_goes_on_without_the_server_and_tells_it_afterwards() {
    let mut world = World::new(14, &["ada", "bob"]);
    world.share("ada", "f", 20_000_000, 100);
    let number = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") >= 10);
    world.server_away(true);
    assert!(matches!(world.wait("bob", number), Event::Ok { .. }));
    assert!(world.server.held("f", "bob") < 100);
    world.server_away(false);
    assert_eq!(world.server.held("f", "bob"), 100);
}

#[test]
fn without_server_and_holder_it_says_so_in_bounded_time() {
    let mut world = World::new(15, &["ada", "bob"]);
    world.share("ada", "f", 20_000_000, 100);
    let number = world.run("bob", "download f");
    world.until(|world| world.server.held("f", "bob") >= 10);
    world.server_away(true);
    world.kill("ada");
    let before = world.now;
    assert_eq!(code(world.wait("bob", number)).0, ErrorCode::NotConnected);
    assert!((20_000..60_000).contains(&(world.now - before)));
}

#[test]
fn a_limit_holds_for_all_downloads_together() {
    let mut world = World::new(16, &["ada"]);
    world.add("bob", Rates { upload: None, download: Some(1_000_000) });
    world.share("ada", "f", 5_000_000, 10);
    world.share("ada", "g", 5_000_000, 10);
    let before = world.now;
    let (first, second) = (world.run("bob", "download f"), world.run("bob", "download g"));
    world.wait("bob", first);
    world.wait("bob", second);
    assert!((8_500..12_500).contains(&(world.now - before)), "{}", world.now - before);
}

#[test]
fn the_end_of_the_program_names_what_is_left() {
    let mut world = World::new(17, &["ada", "bob"]);
    world.share("ada", "f", 20_000_000, 100);
    world.run("bob", "download f");
    world.pass(300);
    world.run("bob", "download f 0");
    world.run("bob", "searchFile f");
    world.run("bob", "register g 1");
    assert!(world.node("bob").files.is_busy());
    let left = world.node("bob").files.abandon();
    assert_eq!(left, [(1, "download"), (2, "download"), (3, "searchFile"), (4, "register")]);
    assert!(!world.node("bob").files.is_busy());
}

#[test]
fn the_same_bytes_under_another_name_are_known() {
    let mut world = World::new(18, &["ada", "bob"]);
    world.share("ada", "f", 1_000, 4);
    let bytes = world.node("ada").disk.files["f"].clone();
    world.node("ada").disk.files.insert("g".to_owned(), bytes);
    world.ok("ada", "register g 4");
    world.download("bob", "download f");
    let (code, text) = world.error("bob", "download g");
    assert_eq!(code, ErrorCode::AlreadyHave);
    assert!(text.contains("as 'f'"), "{text}");
    let Outcome::SearchFile { holders, .. } = world.ok("bob", "searchFile g") else { panic!() };
    assert_eq!(holders.len(), 2);
}

#[test]
fn the_most_chunks_come_too() {
    let mut world = World::new(19, &["ada", "bob"]);
    let bytes = world.share("ada", "f", 100_000, 65_536);
    let done = world.download("bob", "download f");
    assert_eq!((done.held.len(), done.bytes, done.wasted), (65_536, 100_000, 0));
    assert_eq!(world.node("bob").disk.files["f"], bytes);
}
