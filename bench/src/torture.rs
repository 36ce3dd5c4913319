//! Real servers and clients that are killed at random, and the account of what became of every message.
//!
//! Owns the processes and the book. Must not know how anything inside them works: it reads what a person would see.

mod book;
mod keeper;
mod player;

pub use book::{Book, Life, Told, Verdict};
pub use keeper::Keeper;
pub use player::{Player, Said};
