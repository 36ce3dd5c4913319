//! What kind of history a seed gives: limits, weather, moods of the store, who is hostile.

use core::time::Duration;

use protocol::limits::REQUESTS_IN_FLIGHT_MAX;
use server::hub::Limits;

use crate::{dice::Dice, net::Weather, store::Moods};

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices of one history")]
pub(crate) struct Plan {
    pub(crate) limits: Limits,
    pub(crate) people: usize,
    /// The first account has a plain password, whose keys are derived on demand.
    pub(crate) plain_password: bool,
    pub(crate) drifting_clocks: bool,
    pub(crate) loopback: bool,
    /// Everyone sits behind one address.
    pub(crate) crowded: bool,
    /// Times of unrest, with a rest between two of them.
    pub(crate) chaos_ms: Vec<u64>,
    pub(crate) weather: Weather,
    pub(crate) moods: Moods,
    pub(crate) text_len_max: usize,
    /// Between two things that a person does.
    pub(crate) pause_max_ms: u64,
    /// Between two faults; `None`: there are none.
    pub(crate) fault_pause_max_ms: Option<u64>,
    pub(crate) hostiles: usize,
    /// The operator stops the server in the middle of everything.
    pub(crate) sudden_stop: bool,
    /// An account is removed, and given back later.
    pub(crate) removal: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let limits = if dice.chance(250) { Limits::default() } else { limits(dice) };
        let capacity = if dice.chance(500) { 64 * 1024 } else { dice.skewed_size(64, 16 * 1024) };
        let text_len_max =
            dice.skewed_size(8, 16 * 1024).min(limits.outbox_len_hard / 8).min(limits.mailbox_len_max);
        let stormy = dice.chance(700);
        let store_fails = dice.chance(350);
        Self {
            people: dice.size(2, 5),
            plain_password: dice.chance(40),
            drifting_clocks: dice.chance(400),
            loopback: dice.chance(500),
            crowded: dice.chance(500),
            chaos_ms: (0..dice.size(1, 2)).map(|_| dice.between(10_000, 40_000)).collect(),
            weather: Weather {
                delay_max_ms: if stormy { dice.skewed(1, 3_000) } else { dice.between(0, 20) },
                capacity,
                cut: if dice.chance(700) { dice.below(500) } else { 0 },
                piece_len_max: dice.skewed_size(1, 4_096),
            },
            moods: Moods {
                delay_max_ms: if dice.chance(500) { dice.skewed(0, 8_000) } else { dice.below(10) },
                commit_fails: if store_fails { dice.skewed(0, 500) } else { 0 },
                load_fails: if store_fails { dice.skewed(0, 300) } else { 0 },
            },
            text_len_max,
            pause_max_ms: dice.skewed(200, 4_000),
            fault_pause_max_ms: stormy.then(|| dice.skewed(1_500, 15_000)),
            hostiles: if dice.chance(500) { dice.size(1, 4) } else { 0 },
            sudden_stop: dice.chance(100),
            removal: dice.chance(80),
            limits,
        }
    }
}

/// What a message adds to its text on its way to its recipient, at most: its tag, its sender, its id, its time.
const MESSAGE_OVERHEAD: usize = 160;

/// Limits so small that they are hit, yet such that a patient reader of one message at a time gets by.
fn limits(dice: &mut Dice) -> Limits {
    let defaults = Limits::default();
    let seconds =
        |dice: &mut Dice, low: u64, high: u64| Duration::from_millis(dice.between(low * 1_000, high * 1_000));
    let soft = if dice.chance(400) {
        dice.size(1_024, 4_096)
    } else {
        dice.skewed_size(1_024, defaults.outbox_len_soft)
    };
    let keep_alive = seconds(dice, 2, 45);
    let hard = if dice.chance(400) { soft * 2 } else { dice.skewed_size(soft * 2, soft * 64) };
    Limits {
        lock_out: if dice.chance(900) { Some(seconds(dice, 3, 60)) } else { None },
        inactivity: if dice.chance(700) { Some(seconds(dice, 10, 120)) } else { None },
        login_deadline: seconds(dice, 4, 10),
        logging_in_per_address_max: dice.size(2, 8),
        keep_alive,
        keep_alive_answer: seconds(dice, 1, 15).min(keep_alive),
        probe_answer: seconds(dice, 1, 3),
        outbox_len_soft: soft,
        outbox_soft_patience: seconds(dice, 1, 10),
        outbox_len_hard: hard,
        outboxes_len_max: dice.size(hard, hard * 8),
        linger: Duration::from_millis(dice.between(100, 2_000)),
        commands_burst: u32::try_from(dice.skewed(5, 2_000)).unwrap_or(5),
        commands_per_second: u32::try_from(dice.skewed(10, 1_000)).unwrap_or(10),
        mailbox_messages_max: dice.skewed_size(2, defaults.mailbox_messages_max),
        mailbox_len_max: dice.skewed_size(512, defaults.mailbox_len_max),
        in_flight_len_max: dice.skewed_size(64, soft / 2),
        in_flight_messages_max: dice
            .skewed_size(1, (soft / 2 / MESSAGE_OVERHEAD).clamp(1, defaults.in_flight_messages_max)),
        delivery_patience: Duration::from_millis(dice.skewed(100, 10_000)),
        unconfirmed_per_sender_max: dice.skewed_size(2, defaults.unconfirmed_per_sender_max),
        known_ids_per_sender_max: 2 * REQUESTS_IN_FLIGHT_MAX + dice.skewed_size(1, 64),
        known_ids_life: seconds(dice, 1, 86_400),
        unwritten_len_max: dice.skewed_size(16 * 1024, defaults.unwritten_len_max),
        alive_pause: seconds(dice, 1, 60),
        blocked_max: dice.skewed_size(1, 100),
        tickets_max: dice.skewed_size(1, 128),
        relays_max: dice.size(0, 4),
        relays_per_user_max: dice.size(1, 4),
        relay_credit: dice.skewed_size(4, 512),
        relay_rate: dice.skewed(10, defaults.relay_rate),
        relays_rate: dice.skewed(10, defaults.relays_rate),
        relay_idle: seconds(dice, 1, 120),
        files_max: dice.skewed_size(1, 100),
        files_per_user_max: dice.skewed_size(1, 50),
        holdings_per_user_max: dice.skewed_size(1, 50),
        holdings_len_per_user_max: dice.skewed_size(200, 10_000),
        holdings_len_max: dice.skewed_size(200, 20_000),
        search_holders_max: dice.skewed_size(1, defaults.search_holders_max),
        lists_waiting_max: dice.skewed_size(1, 64),
        proofs_per_address_max: dice.size(1, 3),
        wrong_per_address_max: u32::try_from(dice.size(3, 100)).unwrap_or(3),
        wrong_per_address_span: seconds(dice, 1, 60),
        guessing_addresses_max: dice.size(1, 100),
        ghosts_max: dice.skewed_size(1, 100),
        timers_per_turn_max: dice.skewed_size(1, 256),
        work_per_slice_max: dice.skewed(1, 64),
        work_per_turn_max: dice.skewed(1, 256),
    }
}
