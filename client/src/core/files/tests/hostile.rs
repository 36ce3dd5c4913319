//! Holders that lie, stall and leave, and peers that ask for what they must not.

use protocol::{ErrorCode, FileId, NoBlockReason, PeerFrame};

use super::rig::{Fate, World, code};
use crate::core::Event;

fn id(world: &mut World, name: &str) -> FileId {
    world.node(name).haves.last().expect("a file").1
}

/// Sends every block with its first byte changed.
fn lie(frame: &PeerFrame<'_>, _: u64) -> Fate {
    match frame {
        PeerFrame::Block { file, chunk, offset, bytes } => {
            let mut wrong = bytes.to_vec();
            wrong[0] ^= 1;
            let (file, chunk, offset) = (*file, *chunk, *offset);
            Fate::Instead(PeerFrame::Block { file, chunk, offset, bytes: &wrong }.encode())
        }
        _ => Fate::Sent,
    }
}

/// Sends no block.
fn stall(frame: &PeerFrame<'_>, _: u64) -> Fate {
    if matches!(frame, PeerFrame::Block { .. }) { Fate::Lost } else { Fate::Sent }
}

/// Sends no manifest.
fn hide(frame: &PeerFrame<'_>, _: u64) -> Fate {
    if matches!(frame, PeerFrame::Manifest { .. }) { Fate::Lost } else { Fate::Sent }
}

/// Sends another manifest than it should.
fn mislead(frame: &PeerFrame<'_>, _: u64) -> Fate {
    match frame {
        PeerFrame::Manifest { file, offset, bytes } => {
            let wrong = vec![7; bytes.len()];
            Fate::Instead(PeerFrame::Manifest { file: *file, offset: *offset, bytes: &wrong }.encode())
        }
        _ => Fate::Sent,
    }
}

/// Is always busy with others.
fn refuse(frame: &PeerFrame<'_>, _: u64) -> Fate {
    match frame {
        PeerFrame::Block { file, chunk, offset, .. } => {
            let reason = NoBlockReason::Busy;
            let (file, chunk, offset) = (*file, *chunk, *offset);
            Fate::Instead(PeerFrame::NoBlock { file, chunk, offset, reason }.encode())
        }
        _ => Fate::Sent,
    }
}

/// Has never heard of the file.
fn deny(frame: &PeerFrame<'_>, _: u64) -> Fate {
    match frame {
        PeerFrame::Manifest { file, .. } | PeerFrame::Holds { file, .. } | PeerFrame::Block { file, .. } => {
            Fate::Instead(PeerFrame::NoFile { file: *file }.encode())
        }
        _ => Fate::Sent,
    }
}

type Trick = fn(&PeerFrame<'_>, u64) -> Fate;

const TRICKS: [(&str, Trick); 6] = [
    ("lie", lie),
    ("stall", stall),
    ("hide", hide),
    ("mislead", mislead),
    ("refuse", refuse),
    ("deny", deny),
];

#[test]
fn beside_an_honest_holder_no_trick_keeps_the_file_away() {
    for (trick, tamper) in TRICKS {
        let mut world = World::new(1, &["ada", "bob", "cyd"]);
        let bytes = world.share("ada", "f", 4_000_000, 20);
        world.download("bob", "download f");
        // Not so fast that the honest one has given everything before the other is heard.
        world.node("ada").line = 1_000;
        world.node("bob").tamper = Some(Box::new(tamper));
        let done = world.download("cyd", "download f");
        assert!(done.held.is_full(), "{trick}");
        assert!(world.node("cyd").disk.files["f"] == bytes, "{trick}");
        // With the manifest from the honest one, these two give right chunks.
        let gives_chunks = matches!(trick, "hide" | "mislead");
        assert!(gives_chunks || done.sources == ["ada".parse().unwrap()], "{trick}");
        assert!(world.now < 60_000, "{trick}: {}", world.now);
    }
}

#[test]
fn alone_no_trick_makes_a_download_hang() {
    for (trick, tamper) in TRICKS {
        let mut world = World::new(2, &["ada", "bob"]);
        world.share("ada", "f", 4_000_000, 20);
        world.node("ada").tamper = Some(Box::new(tamper));
        let before = world.now;
        assert_eq!(world.error("bob", "download f").0, ErrorCode::NotAvailable, "{trick}");
        assert!(world.now - before <= 310_000, "{trick}: {}", world.now - before);
        assert!(!world.node("bob").disk.files.contains_key("f"));
    }
}

#[test]
fn who_lies_is_named_and_asked_no_more() {
    let mut world = World::new(3, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 4_000_000, 20);
    world.download("bob", "download f");
    world.node("ada").line = 1_000;
    world.node("bob").tamper = Some(Box::new(lie));
    let done = world.download("cyd", "download f");
    assert!(done.wasted > 0);
    let is_named =
        |event: &&Event| matches!(event, Event::Notice { text } if text.contains("bob sent wrong chunks"));
    assert_eq!(world.node("cyd").events.iter().filter(is_named).count(), 1);
    assert!(world.passed[&("bob".to_owned(), "cyd".to_owned())] < 4_000_000);
}

#[test]
fn a_holder_who_is_gone_and_still_named_ends_nothing() {
    let mut world = World::new(4, &["ada", "bob", "cyd"]);
    world.share("ada", "f", 4_000_000, 20);
    world.download("bob", "download f");
    world.server.stale.insert("bob".parse().unwrap());
    world.kill("bob");
    assert!(world.download("cyd", "download f").held.is_full());
    world.kill("ada");
    world.add("dan", crate::core::files::Rates::default());
    world.server.stale.insert("cyd".parse().unwrap());
    world.kill("cyd");
    assert_eq!(world.error("dan", "download f").0, ErrorCode::NotAvailable);
}

#[test]
fn a_holder_who_closes_every_link_at_once_is_given_up() {
    let mut world = World::new(5, &["ada", "bob"]);
    world.share("ada", "f", 4_000_000, 20);
    let number = world.run("bob", "download f");
    let mut links = 0;
    while world.answered("bob", number).is_none() {
        world.until(|world| world.link("ada", "bob").is_some() || world.answered("bob", number).is_some());
        links += 1;
        world.break_link("ada", "bob");
    }
    assert_eq!(code(world.wait("bob", number)).0, ErrorCode::NotAvailable);
    assert!(links < 20, "{links}");
}

#[test]
fn absurd_frames_end_the_link() {
    let mut world = World::new(6, &["ada", "bob"]);
    world.share("ada", "f", 4_000_000, 20);
    let file = id(&mut world, "ada");
    let frames = [
        PeerFrame::Request { file, chunk: 0, offset: 0, len: 0 },
        PeerFrame::Request { file, chunk: 0, offset: 0, len: 128 * 1024 + 1 },
        PeerFrame::Request { file, chunk: 20, offset: 0, len: 1 },
        PeerFrame::Request { file, chunk: 0, offset: 199_999, len: 2 },
        PeerFrame::Request { file, chunk: 0, offset: u64::MAX, len: 2 },
        PeerFrame::WantManifest { file, offset: 704 },
        PeerFrame::Ping,
    ];
    for (count, frame) in frames.iter().enumerate() {
        world.connect("ada", "bob");
        world.forge("bob", "ada", frame);
        assert_eq!(world.misbehaved.len(), count + 1, "{frame:?}");
        assert!(world.link("ada", "bob").is_none());
    }
}

#[test]
fn a_false_set_of_chunks_ends_the_link() {
    let mut world = World::new(7, &["ada", "bob"]);
    world.share("ada", "f", 4_000_000, 20);
    world.node("ada").tamper = Some(Box::new(|frame, _| match frame {
        PeerFrame::Holds { file, .. } => {
            Fate::Instead(PeerFrame::Holds { file: *file, held: b"\x01\xff\xff\xff\xff" }.encode())
        }
        _ => Fate::Sent,
    }));
    let number = world.run("bob", "download f");
    world.until(|world| !world.misbehaved.is_empty());
    assert!(matches!(world.wait("bob", number), Event::Error { .. }));
}

#[test]
fn what_is_unknown_is_refused_without_fuss() {
    let mut world = World::new(8, &["ada", "bob"]);
    world.share("ada", "f", 4_000_000, 20);
    world.connect("ada", "bob");
    let file = FileId([9; 32]);
    for frame in [
        PeerFrame::Request { file, chunk: 99, offset: 5, len: 10 },
        PeerFrame::WantManifest { file, offset: 99 },
        PeerFrame::WantHolds { file },
        PeerFrame::Holds { file, held: b"" },
        PeerFrame::NoFile { file },
        PeerFrame::Manifest { file, offset: 3, bytes: b"x" },
        PeerFrame::Block { file, chunk: 1, offset: 0, bytes: b"x" },
        PeerFrame::NoBlock { file, chunk: 1, offset: 0, reason: NoBlockReason::Gone },
        PeerFrame::Cancel { file, chunk: 1, offset: 0 },
    ] {
        world.forge("bob", "ada", &frame);
    }
    assert!(world.misbehaved.is_empty());
    assert!(world.link("ada", "bob").is_some());
}

#[test]
fn who_asks_without_reading_is_cut_off() {
    let mut world = World::new(9, &["ada", "bob"]);
    world.share("ada", "f", 4_000_000, 65_536);
    world.connect("ada", "bob");
    world.stop_reading("bob", "ada");
    let file = id(&mut world, "ada");
    for count in 0..200_000 {
        if world.link("ada", "bob").is_none() {
            break;
        }
        let request = PeerFrame::Request { file, chunk: count % 65_536, offset: 0, len: 1 };
        let follow = PeerFrame::WantHolds { file };
        world.forge("bob", "ada", if count % 2 == 0 { &request } else { &follow });
    }
    assert_eq!(world.misbehaved.len(), 1);
}
