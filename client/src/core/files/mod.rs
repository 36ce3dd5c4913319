//! Files: what this client offers, and what it fetches.

pub mod disk;
