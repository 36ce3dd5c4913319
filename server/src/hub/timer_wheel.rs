//! Deadlines in their order: a hierarchical timer wheel.
//!
//! Owns the order and the cancelling. Must not read a clock or know what a deadline is for.
//!
//! Level 0 has a slot for each of the 64 ticks around the wheel's time, level 1 one for each of the 64 spans of 64
//! ticks around it, and so on up to the whole range of `u64`. An entry lies at the level of the highest group of six
//! bits in which its deadline differs from the wheel's time, so it moves down at most ten times before it fires.

use std::collections::BTreeMap;
use std::mem;

use protocol::time::MonoMs;
use slab::Slab;

const BITS_PER_LEVEL: u32 = 6;
const SLOTS_PER_LEVEL: usize = 1 << BITS_PER_LEVEL;
const DIGIT_MASK: u64 = (1 << BITS_PER_LEVEL) - 1;
/// Enough for all 64 bits, so that no deadline is too far.
const LEVELS: usize = u64::BITS.div_ceil(BITS_PER_LEVEL) as usize;
/// An index that no entry has: the end of a list.
const NIL: usize = usize::MAX;

/// Values that wait for their deadlines.
#[derive(Debug)]
pub(super) struct TimerWheel<T> {
    /// The wheel's time, in milliseconds: no entry in `levels` has an earlier deadline.
    elapsed: u64,
    /// Numbers the entries in the order of insertion. No number comes twice.
    seq_next: u64,
    entries: Slab<Entry<T>>,
    levels: Vec<Level>,
    /// Entries whose deadline lay before the wheel's time when they came, by deadline and number. Ordinary use
    /// leaves it empty.
    late: BTreeMap<(u64, u64), usize>,
}

impl<T> TimerWheel<T> {
    /// An empty wheel that starts at `now`.
    pub(super) fn new(now: MonoMs) -> Self {
        let level = Level { occupied: 0, slots: [List::EMPTY; SLOTS_PER_LEVEL] };
        Self {
            elapsed: now.0,
            seq_next: 0,
            entries: Slab::new(),
            levels: vec![level; LEVELS],
            late: BTreeMap::new(),
        }
    }

    /// Keeps `value` until `at`. A time in the past is due at once.
    pub(super) fn insert(&mut self, at: MonoMs, value: T) -> TimerKey {
        let seq = self.seq_next;
        self.seq_next = seq.wrapping_add(1);
        let index =
            self.entries.insert(Entry { at: at.0, seq, prev: NIL, next: NIL, place: Place::Late, value });
        if at.0 < self.elapsed {
            self.late.insert((at.0, seq), index);
        } else {
            self.link(index);
        }
        TimerKey { index, seq }
    }

    /// Takes a value back before it fires, in constant time (in O(log n) of the late ones if it was late at
    /// insertion). A key whose value has gone already hits nothing.
    pub(super) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.entries.get(key.index).filter(|entry| entry.seq == key.seq)?;
        self.remove(key.index)
    }

    /// When to call [`Self::pop_due`] next; `None` when empty.
    ///
    /// Never later than the earliest deadline, but perhaps earlier: the call then finds nothing due and the next
    /// answer is closer. For one deadline this happens at most ten times, whatever its distance.
    pub(super) fn next(&self) -> Option<MonoMs> {
        let late = self.late.keys().next().map(|&(at, _)| at);
        late.or_else(|| self.first_slot().map(|(_, start)| start)).map(MonoMs)
    }

    /// Takes the value with the earliest deadline that is not after `now`; of equal deadlines, the one inserted
    /// first. `None` when nothing is due.
    ///
    /// Constant time on average over an entry's life; one call may move a whole slot of far deadlines closer.
    pub(super) fn pop_due(&mut self, now: MonoMs) -> Option<T> {
        if let Some((&(at, _), &index)) = self.late.first_key_value() {
            return if at <= now.0 { self.remove(index) } else { None };
        }
        while let Some((slot, start)) = self.first_slot().filter(|&(_, start)| start <= now.0) {
            self.elapsed = start;
            if slot.level == 0 {
                return self.remove(self.list(slot)?.head);
            }
            self.move_down(slot);
        }
        // No deadline lies in between, so every entry keeps its place, and new ones get theirs by the true distance.
        self.elapsed = self.elapsed.max(now.0);
        None
    }

    /// The occupied slot with the earliest deadlines, and the first tick of its span. Slots of a lower level all lie
    /// before those of a higher one, and no slot behind the wheel's time is occupied.
    fn first_slot(&self) -> Option<(Slot, u64)> {
        let (level, &Level { occupied, .. }) =
            (0..).zip(&self.levels).find(|(_, level)| level.occupied != 0)?;
        let digit = occupied.trailing_zeros();
        let shift = level * BITS_PER_LEVEL;
        let before = self.elapsed >> shift & !DIGIT_MASK;
        Some((Slot { level, digit }, (before | u64::from(digit)) << shift))
    }

    /// Puts the entries of a slot whose span has begun where they belong now: lower, because the wheel's time
    /// differs from their deadlines in lower bits only. Keeps their order, so equal deadlines stay in order of
    /// insertion: whatever comes to the lower slots directly comes later.
    fn move_down(&mut self, slot: Slot) {
        let Some(List { head: mut index, .. }) = self.list(slot) else { return };
        while let Some(entry) = self.entries.get(index) {
            let (prev, next) = (entry.prev, entry.next);
            self.unlink(slot, prev, next);
            self.link(index);
            index = next;
        }
    }

    /// Appends the entry to the slot of its deadline, which must not lie before the wheel's time.
    fn link(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let slot = Slot::of(entry.at, self.elapsed);
        let Some(level) = self.levels.get_mut(slot.level as usize) else { return };
        let Some(list) = level.slots.get_mut(slot.digit as usize) else { return };
        let tail = mem::replace(&mut list.tail, index);
        if tail == NIL {
            list.head = index;
        }
        level.occupied |= 1 << slot.digit;
        (entry.prev, entry.next, entry.place) = (tail, NIL, Place::Slot(slot));
        if let Some(tail) = self.entries.get_mut(tail) {
            tail.next = index;
        }
    }

    /// Takes an entry with these neighbours out of its slot.
    fn unlink(&mut self, slot: Slot, prev: usize, next: usize) {
        if let Some(entry) = self.entries.get_mut(prev) {
            entry.next = next;
        }
        if let Some(entry) = self.entries.get_mut(next) {
            entry.prev = prev;
        }
        let Some(level) = self.levels.get_mut(slot.level as usize) else { return };
        let Some(list) = level.slots.get_mut(slot.digit as usize) else { return };
        if prev == NIL {
            list.head = next;
        }
        if next == NIL {
            list.tail = prev;
        }
        if list.head == NIL {
            level.occupied &= !(1 << slot.digit);
        }
    }

    fn remove(&mut self, index: usize) -> Option<T> {
        let entry = self.entries.try_remove(index)?;
        match entry.place {
            Place::Slot(slot) => self.unlink(slot, entry.prev, entry.next),
            Place::Late => _ = self.late.remove(&(entry.at, entry.seq)),
        }
        Some(entry.value)
    }

    fn list(&self, slot: Slot) -> Option<List> {
        self.levels.get(slot.level as usize)?.slots.get(slot.digit as usize).copied()
    }
}

/// Names one insertion for ever, also after another value took its place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimerKey {
    index: usize,
    seq: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    seq: u64,
    prev: usize,
    next: usize,
    place: Place,
    value: T,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Late,
    Slot(Slot),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    level: u32,
    /// Which of the level's slots: the deadline's six bits there.
    digit: u32,
}

impl Slot {
    /// Where a deadline lies that is not before the wheel's time `elapsed`.
    fn of(at: u64, elapsed: u64) -> Self {
        let highest_bit = (at ^ elapsed).checked_ilog2().unwrap_or(0);
        let level = highest_bit / BITS_PER_LEVEL;
        Self { level, digit: (at >> (level * BITS_PER_LEVEL) & DIGIT_MASK) as u32 }
    }
}

#[derive(Clone, Debug)]
struct Level {
    /// A bit for each slot that has entries.
    occupied: u64,
    slots: [List; SLOTS_PER_LEVEL],
}

/// The ends of a list through the entries' `prev` and `next`.
#[derive(Clone, Copy, Debug)]
struct List {
    head: usize,
    tail: usize,
}

impl List {
    const EMPTY: Self = Self { head: NIL, tail: NIL };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

    fn drain<T>(wheel: &mut TimerWheel<T>, now: u64) -> Vec<T> {
        std::iter::from_fn(|| wheel.pop_due(MonoMs(now))).collect()
    }

    #[test]
    fn an_empty_wheel_has_nothing_to_do() {
        let mut wheel = TimerWheel::<()>::new(MonoMs(5));
        assert_eq!((wheel.next(), wheel.entries.len(), wheel.entries.is_empty()), (None, 0, true));
        assert_eq!(wheel.pop_due(MonoMs(u64::MAX)), None);
    }

    #[test]
    fn nothing_fires_early_and_next_gets_exact() {
        let mut wheel = TimerWheel::new(MonoMs(0));
        wheel.insert(MonoMs(12_345_678), "due");
        let mut wakes = 0;
        while let Some(at) = wheel.next().filter(|at| at.0 < 12_345_678) {
            assert_eq!(wheel.pop_due(at), None);
            wakes += 1;
        }
        assert!(wakes <= LEVELS, "{wakes}");
        assert_eq!(wheel.next(), Some(MonoMs(12_345_678)));
        assert_eq!(wheel.pop_due(MonoMs(12_345_677)), None);
        assert_eq!(wheel.pop_due(MonoMs(12_345_678)), Some("due"));
        assert!(wheel.entries.is_empty());
    }

    #[test]
    fn equal_deadlines_fire_in_order_of_insertion() {
        let mut wheel = TimerWheel::new(MonoMs(0));
        wheel.insert(MonoMs(1_000_000), 0);
        wheel.insert(MonoMs(1_000_000), 1);
        // Brings the time so near that the next ones land on lower levels at once.
        assert_eq!(wheel.pop_due(MonoMs(999_000)), None);
        wheel.insert(MonoMs(1_000_000), 2);
        assert_eq!(wheel.pop_due(MonoMs(999_999)), None);
        wheel.insert(MonoMs(1_000_000), 3);
        assert_eq!(drain(&mut wheel, 1_000_000), [0, 1, 2, 3]);
    }

    #[test]
    fn past_deadlines_fire_at_once_in_their_order() {
        let mut wheel = TimerWheel::new(MonoMs(1000));
        for (at, value) in [(1000, 4), (7, 1), (999, 3), (7, 2), (0, 0), (1001, 5)] {
            wheel.insert(MonoMs(at), value);
        }
        assert_eq!(wheel.next(), Some(MonoMs(0)));
        assert_eq!(drain(&mut wheel, 1000), [0, 1, 2, 3, 4]);
        assert_eq!(drain(&mut wheel, 1001), [5]);
    }

    #[test]
    fn a_turn_may_stop_insert_and_cancel_among_the_due() {
        let mut wheel = TimerWheel::new(MonoMs(0));
        let keys: Vec<_> = (0..6).map(|i| wheel.insert(MonoMs(100 + i / 2), i)).collect();
        assert_eq!(wheel.pop_due(MonoMs(500)), Some(0));
        assert_eq!(wheel.cancel(keys[0]), None);
        assert_eq!(wheel.cancel(keys[1]), Some(1));
        assert_eq!(wheel.cancel(keys[4]), Some(4));
        assert!(wheel.next().unwrap() <= MonoMs(500));
        let late = wheel.insert(MonoMs(3), 10);
        wheel.insert(MonoMs(101), 11);
        wheel.insert(MonoMs(300), 12);
        wheel.insert(MonoMs(4), 13);
        assert_eq!(wheel.cancel(late), Some(10));
        assert_eq!(drain(&mut wheel, 500), [13, 2, 3, 11, 5, 12]);
        assert_eq!(wheel.entries.len(), 0);
    }

    #[test]
    fn stale_keys_hit_nobody() {
        let mut wheel = TimerWheel::new(MonoMs(0));
        let cancelled = wheel.insert(MonoMs(10), "cancelled");
        assert_eq!(wheel.cancel(cancelled), Some("cancelled"));
        let fired = wheel.insert(MonoMs(10), "fired");
        assert_eq!(fired.index, cancelled.index);
        assert_eq!(wheel.cancel(cancelled), None);
        assert_eq!(wheel.pop_due(MonoMs(10)), Some("fired"));
        let late = wheel.insert(MonoMs(0), "late");
        assert_eq!(late.index, fired.index);
        assert_eq!((wheel.cancel(fired), wheel.cancel(cancelled)), (None, None));
        assert_eq!(wheel.cancel(late), Some("late"));
        assert_eq!(wheel.cancel(late), None);
    }

    #[test]
    fn the_end_of_the_range_is_reached() {
        let mut wheel = TimerWheel::new(MonoMs(0));
        wheel.insert(MonoMs(u64::MAX), 2);
        wheel.insert(MonoMs(u64::MAX - 1), 1);
        assert_eq!(drain(&mut wheel, u64::MAX - 1), [1]);
        assert_eq!(drain(&mut wheel, u64::MAX), [2]);
        wheel.insert(MonoMs(u64::MAX), 4);
        wheel.insert(MonoMs(5), 3);
        assert_eq!(drain(&mut wheel, u64::MAX), [3, 4]);
        assert_eq!((wheel.next(), wheel.pop_due(MonoMs(u64::MAX))), (None, None));
    }

    #[test]
    fn a_clock_that_goes_back_fires_nothing_early() {
        let mut wheel = TimerWheel::new(MonoMs(1000));
        wheel.insert(MonoMs(900), "late");
        assert_eq!(wheel.pop_due(MonoMs(899)), None);
        assert_eq!(wheel.pop_due(MonoMs(900)), Some("late"));
        wheel.insert(MonoMs(1010), "ahead");
        for now in [10, 50, 1009] {
            assert_eq!(wheel.pop_due(MonoMs(now)), None, "{now}");
        }
        assert_eq!(wheel.pop_due(MonoMs(1010)), Some("ahead"));
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// At this distance from now, behind it if `past`.
        Insert {
            distance: u64,
            past: bool,
        },
        /// The key at this index, modulo their number, fired or not.
        Cancel(usize),
        Advance(u64),
        /// To exactly when the wheel wants.
        Follow,
        /// At most so many.
        Pop(usize),
    }

    /// Each magnitude as likely as the next, up to decades and to the end of the range.
    fn distance() -> impl Strategy<Value = u64> {
        prop_oneof![
            20 => (0..42_u32).prop_flat_map(|bits| 0..=(1_u64 << bits)),
            4 => 0..4_u64,
            1 => Just(30 * YEAR_MS),
            1 => any::<u64>(),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (distance(), prop::bool::weighted(0.1)).prop_map(|(distance, past)| Op::Insert { distance, past }),
            3 => any::<usize>().prop_map(Op::Cancel),
            2 => (0..38_u32).prop_flat_map(|bits| 0..=(1_u64 << bits)).prop_map(Op::Advance),
            2 => Just(Op::Follow),
            4 => (0..6_usize).prop_map(Op::Pop),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            // The same cases on every run.
            rng_seed: RngSeed::Fixed(64),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn behaves_like_an_ordered_map(
            start in distance(),
            ops in prop::collection::vec(op(), 1..300),
        ) {
            let mut now = start;
            let mut wheel = TimerWheel::new(MonoMs(start));
            let mut model = BTreeSet::new();
            let mut keys = Vec::new();
            for op in ops {
                match op {
                    Op::Insert { distance, past } => {
                        let at =
                            if past { now.saturating_sub(distance) } else { now.saturating_add(distance) };
                        let id = keys.len();
                        keys.push((at, wheel.insert(MonoMs(at), id)));
                        model.insert((at, id));
                    }
                    Op::Cancel(_) if keys.is_empty() => {}
                    Op::Cancel(which) => {
                        let id = which % keys.len();
                        let (at, key) = keys[id];
                        prop_assert_eq!(wheel.cancel(key), model.remove(&(at, id)).then_some(id));
                    }
                    Op::Advance(by) => now = now.saturating_add(by),
                    Op::Follow => now = wheel.next().map_or(now, |at| at.0.max(now)),
                    Op::Pop(most) => {
                        for _ in 0..most {
                            let due = model.first().is_some_and(|&(at, _)| at <= now);
                            let expected = if due { model.pop_first() } else { None };
                            prop_assert_eq!(wheel.pop_due(MonoMs(now)), expected.map(|(_, id)| id));
                        }
                    }
                }
                prop_assert_eq!((wheel.entries.len(), wheel.entries.is_empty()), (model.len(), model.is_empty()));
                match (wheel.next(), model.first()) {
                    (Some(next), Some(&(at, _))) => prop_assert!(next.0 <= at),
                    (next, first) => prop_assert!(next.is_none() && first.is_none()),
                }
            }
            let rest: Vec<_> = model.iter().map(|&(_, id)| id).collect();
            prop_assert_eq!(drain(&mut wheel, u64::MAX), rest);
        }
    }
}
