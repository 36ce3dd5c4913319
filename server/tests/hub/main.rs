//! The hub alone, driven by hand.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod durable;
mod fanout;
mod files;
mod goodbye;
mod guessing;
mod order;
mod patience;
mod reach;
mod relay;
mod rig;
mod tickets;
mod turns;
