//! The rules, one by one.

use core::time::Duration;

use protocol::{ChunkIndex, ChunkSet, NoBlockReason, Username, limits::BLOCK_LEN_MAX, time::MonoMs};

use super::{
    super::{ExpelReason, LinkId, Status, Swarm, SwarmOutput, plan::IN_FLIGHT_MAX},
    world::{MIB, manifest, stream},
};

const BLOCK: u64 = BLOCK_LEN_MAX as u64;

/// A request: link, chunk, offset, length.
type Ask = (u64, u32, u64, u32);

struct Rig {
    swarm: Swarm,
    chunks: u32,
    now: MonoMs,
    /// Everything that came out but requests.
    others: Vec<SwarmOutput>,
}

impl Rig {
    fn new(size: u64, chunks: u32) -> Self {
        Self::with_seed(size, chunks, 1)
    }

    fn with_seed(size: u64, chunks: u32, seed: u64) -> Self {
        let (none, all) = (ChunkSet::empty(chunks), ChunkSet::full(chunks));
        let swarm = Swarm::new(manifest(size, u64::from(chunks)), none, all, stream(seed));
        Self { swarm, chunks, now: MonoMs(1_000), others: Vec::new() }
    }

    /// User and link have the same number, unless it is over 100: then it is another link of that user.
    fn join(&mut self, link: u64, held: &[u32]) -> Vec<Ask> {
        self.swarm.source_joined(LinkId(link), user(link % 100), self.now);
        self.holds(link, held);
        self.requests()
    }

    fn join_all(&mut self, link: u64) -> Vec<Ask> {
        let all: Vec<u32> = (0..self.chunks).collect();
        self.join(link, &all)
    }

    fn holds(&mut self, link: u64, held: &[u32]) {
        let mut set = ChunkSet::empty(self.chunks);
        for &chunk in held {
            set.insert(ChunkIndex(chunk));
        }
        self.swarm.holds(LinkId(link), set, self.now);
    }

    fn requests(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some(output) = self.swarm.poll_output() {
            match output {
                SwarmOutput::Request { link, chunk, offset, len } => {
                    asks.push((link.0, chunk.0, offset, len));
                }
                other => self.others.push(other),
            }
        }
        asks
    }

    fn give(&mut self, (link, chunk, offset, len): Ask) -> Vec<Ask> {
        self.swarm.block(LinkId(link), chunk, offset, &vec![7; len as usize], self.now);
        self.requests()
    }

    fn refuse(&mut self, (link, chunk, offset, _): Ask, reason: NoBlockReason) -> Vec<Ask> {
        self.swarm.no_block(LinkId(link), chunk, offset, reason, self.now);
        self.requests()
    }

    fn verified(&mut self, chunk: u32, right: bool) -> Vec<Ask> {
        self.swarm.verified(ChunkIndex(chunk), right, self.now);
        self.requests()
    }

    /// Lets time pass, and does what falls due.
    fn pass(&mut self, span: Duration) -> Vec<Ask> {
        let (until, mut asks) = (self.now.after(span), Vec::new());
        while let Some(due) = self.swarm.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.swarm.handle_timeout(self.now);
            asks.extend(self.requests());
        }
        self.now = until;
        asks
    }

    fn expelled(&self) -> Vec<(u64, ExpelReason)> {
        let expelled = |output: &SwarmOutput| match output {
            SwarmOutput::Expel { link, reason, .. } => Some((link.0, *reason)),
            _ => None,
        };
        self.others.iter().filter_map(expelled).collect()
    }
}

fn user(number: u64) -> Username {
    format!("user{number}").parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_rarest_chunk_comes_first_and_among_equals_another_each_time() {
    let mut rig = Rig::new(8, 8);
    rig.swarm.allow(0, rig.now);
    assert!(rig.join_all(1).is_empty());
    assert!(rig.join(2, &[0, 1, 2, 4, 5, 6, 7]).is_empty());
    assert!(rig.join(3, &[0, 1, 2, 4, 5, 6]).is_empty());
    rig.swarm.allow(1, rig.now);
    assert_eq!(rig.requests(), [(1, 3, 0, 1)]);
    rig.swarm.allow(1, rig.now);
    assert_eq!(rig.requests()[0].1, 7);

    let firsts = (0..100).map(|seed| Rig::with_seed(8, 8, seed).join_all(1)[0].1);
    assert_eq!(firsts.collect::<std::collections::BTreeSet<_>>().len(), 8);
}

#[test]
fn a_chunk_that_only_a_late_comer_has_is_asked_of_him() {
    let mut rig = Rig::new(100, 4);
    assert_eq!(rig.join(1, &[0, 1, 2]).len(), 3);
    assert_eq!(rig.join(2, &[]), []);
    rig.holds(2, &[3]);
    assert_eq!(rig.requests(), [(2, 3, 0, 25)]);
}

#[test]
fn a_small_chunk_is_fetched_from_one_and_a_large_one_from_all() {
    let mut small = Rig::new(8 * MIB, 2);
    let asks = [small.join_all(1), small.join_all(2)].concat();
    assert!(asks.iter().all(|ask| (ask.1 == asks[0].1) == (ask.0 == 1)), "{asks:?}");
    let mut large = Rig::new(8 * MIB, 1);
    let asks = [large.join_all(1), large.join_all(2)].concat();
    let offsets: Vec<u64> = asks.iter().map(|ask| ask.2 / BLOCK).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_pipeline_grows_with_a_quick_source_and_shrinks_with_a_slow_one() {
    let mut rig = Rig::new(1 << 40, 1);
    let mut out = rig.join_all(1);
    assert_eq!(out.len(), 4);
    for _ in 0..100 {
        rig.now.0 += 1;
        let ask = out.remove(0);
        out.extend(rig.give(ask));
        rig.swarm.wrote(BLOCK_LEN_MAX, rig.now);
    }
    assert_eq!(out.len(), 64);
    for _ in 0..100 {
        rig.now.0 += 1_000;
        let ask = out.remove(0);
        out.extend(rig.give(ask));
        rig.swarm.wrote(BLOCK_LEN_MAX, rig.now);
    }
    assert_eq!(out.len(), 2);
}

#[test]
fn what_the_disk_has_not_taken_counts_against_what_may_be_asked_for() {
    let mut rig = Rig::new(1 << 30, 256);
    let mut out = rig.join_all(1);
    let mut came = 0;
    while let Some(ask) = out.pop() {
        came += u64::from(ask.3);
        out.extend(rig.give(ask));
    }
    assert_eq!(came, IN_FLIGHT_MAX);
    rig.swarm.wrote(BLOCK_LEN_MAX, rig.now);
    assert_eq!(rig.requests().len(), 1);
}

#[test]
fn no_more_is_asked_for_than_allowed() {
    let mut rig = Rig::new(8 * MIB, 1);
    rig.swarm.allow(BLOCK - 1, rig.now);
    assert_eq!(rig.join_all(1), []);
    rig.swarm.allow(1, rig.now);
    assert_eq!(rig.requests().len(), 1);
    for _ in 0..100 {
        rig.swarm.allow(BLOCK, rig.now);
    }
    assert_eq!(rig.requests().len(), 2, "what was not used is no right to a flood");
}

#[test]
fn a_chunk_is_written_before_it_is_checked_and_counts_when_it_was_right() {
    let mut rig = Rig::new(2 * BLOCK + 5, 1);
    let asks = rig.join_all(1);
    assert_eq!(asks.iter().map(|ask| ask.3).collect::<Vec<_>>(), [131_072, 131_072, 5]);
    for ask in asks {
        rig.give(ask);
    }
    assert_eq!(rig.swarm.status(), Status::Working);
    assert_eq!((rig.swarm.figures().useful, rig.swarm.figures().unverified), (0, 2 * BLOCK + 5));
    rig.swarm.source_left(LinkId(1), rig.now);
    assert_eq!(rig.swarm.status(), Status::Working, "it is being checked");
    rig.verified(0, true);
    let kinds = rig.others.iter().map(|output| match output {
        SwarmOutput::Write { offset, .. } => *offset,
        SwarmOutput::Verify { .. } => 100,
        SwarmOutput::Held { .. } => 101,
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [0, BLOCK, 2 * BLOCK, 100, 101]);
    assert_eq!(rig.swarm.status(), Status::Done);
    let figures = rig.swarm.figures();
    assert_eq!((figures.useful, figures.by_user.get(&user(1))), (2 * BLOCK + 5, Some(&(2 * BLOCK + 5))));
    assert!(figures.rate > 0);
    rig.pass(seconds(5));
    assert_eq!(rig.swarm.figures().rate, 0);
    assert_eq!(rig.swarm.poll_timeout(), None);
}

#[test]
fn more_may_be_wanted_later() {
    let (mut none, mut some) = (ChunkSet::empty(4), ChunkSet::empty(4));
    none.insert(ChunkIndex(0));
    some.insert(ChunkIndex(1));
    let swarm = Swarm::new(manifest(40, 4), none, some, stream(1));
    let mut rig = Rig { swarm, chunks: 4, now: MonoMs(0), others: Vec::new() };
    let asks = rig.join_all(1);
    assert_eq!(asks, [(1, 1, 0, 10)]);
    rig.give(asks[0]);
    rig.verified(1, true);
    assert_eq!(rig.swarm.status(), Status::Done);
    rig.swarm.want(&ChunkSet::full(4));
    assert_eq!(rig.swarm.status(), Status::Working);
    assert_eq!(rig.requests().len(), 2);
}

#[test]
fn what_no_source_has_is_told_when_the_rest_is_done() {
    let mut rig = Rig::new(30, 3);
    assert!(matches!(rig.swarm.status(), Status::Starved { missing } if missing.is_full()));
    let asks = rig.join(1, &[0]);
    assert_eq!(rig.swarm.status(), Status::Working);
    rig.give(asks[0]);
    rig.verified(0, true);
    let Status::Starved { missing } = rig.swarm.status() else { panic!() };
    assert_eq!(missing.iter().collect::<Vec<_>>(), [ChunkIndex(1), ChunkIndex(2)]);
    rig.join(2, &[2]);
    assert_eq!(rig.swarm.status(), Status::Working);
    rig.swarm.source_left(LinkId(2), rig.now);
    assert!(matches!(rig.swarm.status(), Status::Starved { .. }));
}

#[test]
fn a_wrong_chunk_is_asked_of_another_and_two_are_too_many() {
    let mut rig = Rig::new(40, 2);
    let mut asks = rig.join_all(1);
    assert_eq!(asks.len(), 2);
    assert_eq!(rig.join_all(2), []);
    let (first, second) = (asks.remove(0), asks.remove(0));
    rig.give(first);
    let again = rig.verified(first.1, false);
    assert_eq!(again, [(2, first.1, 0, 20)]);
    assert_eq!((rig.swarm.figures().wasted, rig.expelled()), (20, vec![]));
    rig.give(second);
    let again = rig.verified(second.1, false);
    assert_eq!(again, [(2, second.1, 0, 20)]);
    assert_eq!(rig.expelled(), [(1, ExpelReason::WrongChunks)]);
    rig.swarm.source_left(LinkId(2), rig.now);
    assert_eq!(rig.join_all(101), [], "under a new link he is the same");
    assert_eq!(rig.expelled().len(), 2);
    assert!(matches!(rig.swarm.status(), Status::Starved { .. }));
}

#[test]
fn who_alone_has_a_chunk_may_give_it_wrong_twice() {
    let mut rig = Rig::new(20, 1);
    let asks = rig.join_all(1);
    rig.give(asks[0]);
    let again = rig.verified(0, false);
    assert_eq!(again, asks);
    rig.give(again[0]);
    assert_eq!(rig.verified(0, false), []);
    assert_eq!(rig.expelled(), [(1, ExpelReason::WrongChunks)]);
}

#[test]
fn a_large_wrong_chunk_is_fetched_again_from_one_at_a_time_until_the_liar_is_found() {
    let mut rig = Rig::new(8 * MIB, 1);
    rig.swarm.allow(0, rig.now);
    rig.join_all(1);
    rig.join_all(2);
    // With the liar's number: he has given the chunk wrong alone, so the other is asked.
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let mut givers = std::collections::BTreeSet::new();
        for _ in 0..64 {
            rig.swarm.allow(BLOCK, rig.now);
            for ask in rig.requests() {
                givers.insert(ask.0);
                assert_eq!(rig.give(ask), []);
            }
            rig.swarm.wrote(BLOCK_LEN_MAX, rig.now);
        }
        rig.verified(0, false);
        rounds.push(givers.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(rounds[0], [1, 2]);
    assert_eq!((rounds[1].len(), rounds[2].len()), (1, 1));
    assert_ne!(rounds[1], rounds[2]);
    assert_eq!(rig.expelled(), []);
}

#[test]
fn blocks_that_do_not_fit_are_waste_and_four_are_too_many() {
    let mut rig = Rig::new(40, 2);
    let asks = rig.join_all(1);
    let bad = |rig: &mut Rig, chunk, offset, len| {
        rig.swarm.block(LinkId(1), chunk, offset, &vec![7; len], rig.now);
        rig.requests()
    };
    assert_eq!(bad(&mut rig, asks[0].1, 0, 19), [asks[0]], "there is nobody else");
    bad(&mut rig, asks[0].1, 1, 20);
    bad(&mut rig, u32::MAX, u64::MAX, 20);
    assert_eq!((rig.swarm.figures().wasted, rig.expelled()), (59, vec![]));
    bad(&mut rig, 0, BLOCK, 1);
    assert_eq!(rig.expelled(), [(1, ExpelReason::BadBlocks)]);
    assert!(rig.others.iter().all(|output| !matches!(output, SwarmOutput::Write { .. })));
}

#[test]
fn a_source_that_drips_loses_its_requests_and_at_the_second_time_its_place() {
    let mut rig = Rig::new(8 * MIB, 1);
    let asks = rig.join_all(1);
    rig.pass(seconds(15));
    rig.give(asks[0]);
    assert_eq!(rig.pass(seconds(19)), [], "a block is progress");
    assert_eq!(rig.pass(seconds(1)), []);
    let cancels = rig.others.iter().filter(|output| matches!(output, SwarmOutput::Cancel { .. }));
    assert_eq!(cancels.count(), 3);
    assert_eq!(rig.swarm.status(), Status::Working, "it is only set aside");
    rig.give(asks[1]);
    assert_eq!((rig.swarm.figures().wasted, rig.expelled()), (BLOCK, vec![]), "late is no offence");
    assert_eq!(rig.join_all(2).len(), 4, "the next takes over");
    assert_eq!(rig.pass(seconds(10)).len(), 4, "and after a while the first is asked again");
    rig.pass(seconds(20));
    assert!(rig.expelled().contains(&(1, ExpelReason::Stalled)));
}

#[test]
fn a_busy_source_is_asked_again_later_and_another_at_once() {
    let mut rig = Rig::new(20, 1);
    let asks = rig.join_all(1);
    assert_eq!(rig.refuse(asks[0], NoBlockReason::Busy), []);
    assert_eq!(rig.pass(Duration::from_millis(1_999)), []);
    assert_eq!(rig.pass(Duration::from_millis(1)), asks);
    assert_eq!(rig.join_all(2), []);
    assert_eq!(rig.refuse(asks[0], NoBlockReason::Busy), [(2, 0, 0, 20)]);
}

#[test]
fn who_is_busy_for_a_minute_is_not_waited_for_but_welcome() {
    let mut rig = Rig::new(20, 1);
    let ask = rig.join_all(1)[0];
    rig.refuse(ask, NoBlockReason::Busy);
    while rig.now < MonoMs(60_000) {
        assert_eq!(rig.swarm.status(), Status::Working);
        if rig.pass(seconds(1)) == [ask] {
            rig.refuse(ask, NoBlockReason::Busy);
        }
    }
    assert_eq!(rig.pass(seconds(8)), [ask]);
    rig.refuse(ask, NoBlockReason::Busy);
    assert!(matches!(rig.swarm.status(), Status::Starved { .. }));
    assert_eq!(rig.pass(seconds(8)), [ask]);
    rig.give(ask);
    assert_eq!(rig.swarm.status(), Status::Working);
}

#[test]
fn a_chunk_that_is_gone_is_not_asked_for_again_until_it_is_held_again() {
    let mut rig = Rig::new(40, 2);
    let asks = rig.join_all(1);
    assert_eq!(rig.refuse(asks[0], NoBlockReason::Gone), []);
    rig.give(asks[1]);
    rig.verified(asks[1].1, true);
    assert!(matches!(rig.swarm.status(), Status::Starved { .. }));
    rig.holds(1, &[0, 1]);
    assert_eq!(rig.requests(), [asks[0]]);
}

#[test]
fn what_a_source_leaves_half_done_goes_to_another() {
    let mut rig = Rig::new(2 * MIB, 1);
    let asks = rig.join_all(1);
    rig.give(asks[0]);
    rig.swarm.source_left(LinkId(1), rig.now);
    assert!(matches!(rig.swarm.status(), Status::Starved { .. }));
    let asks = rig.join_all(2);
    assert_eq!(asks.iter().map(|ask| ask.2 / BLOCK).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(!rig.others.iter().any(|output| matches!(output, SwarmOutput::Cancel { .. })), "nobody to tell");
}

#[test]
fn a_slow_last_block_is_asked_of_another_and_the_first_to_come_wins() {
    let mut rig = Rig::new(20, 1);
    let first = rig.join_all(1)[0];
    assert_eq!(rig.join_all(2), []);
    let second = rig.pass(seconds(3));
    assert_eq!(second, [(2, 0, 0, 20)], "once, and not again and again");
    assert_eq!(rig.join_all(3), []);
    assert_eq!(rig.pass(seconds(3)), [], "two are enough");
    rig.give(second[0]);
    let cancel = SwarmOutput::Cancel { link: LinkId(1), chunk: ChunkIndex(0), offset: 0 };
    assert!(rig.others.contains(&cancel));
    rig.give(first);
    assert_eq!((rig.swarm.figures().wasted, rig.expelled()), (20, vec![]));
    rig.verified(0, true);
    assert_eq!(rig.swarm.figures().by_user.into_keys().collect::<Vec<_>>(), [user(2)]);
}

#[test]
fn a_chunk_of_a_tebibyte_and_65_536_of_one_byte_take_little_memory() {
    let mut rig = Rig::new(1 << 40, 1);
    assert_eq!(rig.join_all(1).len(), 4);
    assert!(format!("{:?}", rig.swarm).len() < 4_096, "nothing is kept per block");
    let mut rig = Rig::new(65_536, 65_536);
    let mut out = rig.join_all(1);
    let mut came = 0;
    while let Some(ask) = out.pop() {
        came += 1;
        out.extend(rig.give(ask));
    }
    assert_eq!(came, 4_096, "no more are begun until some are checked");
    let is_checked = |output: &SwarmOutput| match output {
        SwarmOutput::Verify { chunk } => Some(chunk.0),
        _ => None,
    };
    let checked: Vec<u32> = rig.others.iter().filter_map(is_checked).collect();
    assert!(checked.into_iter().take(1_024).any(|chunk| !rig.verified(chunk, true).is_empty()));
}
