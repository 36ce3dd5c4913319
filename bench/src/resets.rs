//! Many connections that are reset in the middle of a frame, and what the server keeps of them.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    attackers::Resetter,
    server::{Figures, Server},
    swarm::{self, Attacker, Squad, Tools},
};

/// At the same time.
const AT_ONCE: usize = 50;
/// For each; far more than it takes.
const TIME_MAX: Duration = Duration::from_millis(20);
/// How long the server may take to see that they are gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resets `count` connections, and waits until the server knows. Its figures then.
pub fn round(server: &Server, count: usize) -> io::Result<Figures> {
    let make = |_, tools: &mut Tools<'_>| {
        Resetter::dial(tools).map(|resetter| Box::new(resetter) as Box<dyn Attacker>)
    };
    let squads = vec![Squad { size: AT_ONCE, births_max: count, make: Box::new(make) }];
    let time_max = Duration::from_secs(10) + TIME_MAX * u32::try_from(count).unwrap_or(u32::MAX);
    let counts = swarm::run(server.route(), squads, Instant::now() + time_max)?;
    let done = counts.get("resets in mid-frame").copied().unwrap_or_default();
    if done != count as u64 {
        return Err(io::Error::other(format!("only {done} of {count} connections were reset")));
    }
    let deadline = Instant::now() + PATIENCE;
    while server.status()?.connections > 0 {
        if Instant::now() > deadline {
            return Err(io::Error::other("the server still has connections that are gone"));
        }
    }
    server.figures()
}
