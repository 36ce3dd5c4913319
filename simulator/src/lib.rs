//! Histories of one hub and several client cores, without sockets, threads or clocks: a seed is a history, and
//! the same seed is the same history, byte for byte.
//!
//! The two cores are the real ones. Around them `world` puts people who type, machines whose clocks drift and
//! jump, a network that cuts, delays, stalls, breaks and swallows, a store that is slow and fails, a server that crashes and starts
//! again with what it had written, and programs that mean no good. While it goes on, `tap` reads every frame, `diary` every client's screen, and `judge`
//! compares what senders were promised with what recipients saw.
//!
//! It covers rows 1 to 10, 14, 15, 20, 22, 23, 27, 28, 30, 33, 34 and 37 to 41 of the list of threats as far as the cores
//! are concerned.

mod diary;
mod dice;
mod hostile;
mod judge;
mod machine;
mod net;
mod people;
mod plan;
mod rig;
mod script;
mod server;
mod store;
mod tap;
mod trace;
mod world;

use core::fmt;
use std::panic::{self, AssertUnwindSafe};

use world::World;

/// A lie built into the world, to show that the checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The store says that messages are durable, and forgets them.
    StoreForgets,
    /// The store says that all is durable before it is.
    StoreHurries,
    /// The store gives waiting messages in the wrong order.
    StoreReverses,
    /// Clients log in without knowing what was shown before.
    SeenForgotten,
    /// Nothing that a client shows reaches its user.
    ScreenDark,
    /// The hub's timers never fire.
    TimersSleep,
}

/// What a history came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Over all that happened and every byte that was sent.
    pub hash: u64,
    /// Things done.
    pub steps: u64,
    /// How long it took in its own time.
    pub virtual_ms: u64,
    /// Clients that ran.
    pub clients: u64,
    /// Messages and broadcasts shown.
    pub shown: u64,
    /// Messages that were confirmed to their senders.
    pub confirmed: u64,
    /// How often the server crashed.
    pub crashes: u64,
    /// Most bytes that waited in the hub at once.
    pub peak_waiting_len: usize,
}

/// A history in which something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The history.
    pub seed: u64,
    /// Where in it.
    pub step: u64,
    /// When in its own time.
    pub virtual_ms: u64,
    /// What did not hold.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, virtual_ms, what } = self;
        write!(
            f,
            "seed {seed}, step {step}, at {virtual_ms} ms: {what}\nreplay it: cargo run -p simulator -- --seed {seed}"
        )
    }
}

/// Lives through the history of a seed. `print`: every step is written to standard output.
pub fn run(seed: u64, print: bool, sabotage: Option<Sabotage>) -> Result<Summary, Failure> {
    let mut world = World::new(seed, print, sabotage);
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| world.run())).is_err();
    let what = if panicked { Some("a core panicked".to_owned()) } else { world.judge.failure().cloned() };
    match what {
        Some(what) => Err(Failure { seed, step: world.net.step, virtual_ms: world.net.now_ms, what }),
        None => Ok(world.summary()),
    }
}
