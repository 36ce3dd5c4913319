//! Files: what this client offers, and what it fetches.

pub mod disk;
#[expect(dead_code, reason = "nothing downloads yet")]
mod swarm;
