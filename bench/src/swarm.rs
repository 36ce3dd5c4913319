//! Many attackers on one thread and one poll.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Registry, Token};

use crate::{clock::Clock, wire::Route};

/// How often each attacker is asked what it does without an event.
const TICK: Duration = Duration::from_millis(5);
/// Attackers that are born in one tick.
const BIRTHS_MAX: usize = 100;

/// One who means no good.
pub trait Attacker {
    /// Goes on after an event, or a tick. Whether there is more to come from this one.
    fn act(&mut self, tools: &mut Tools<'_>) -> bool;
}

/// What an attacker works with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// To the server.
    pub route: &'a Route,
    /// The swarm's poll,
    pub registry: &'a Registry,
    /// and this attacker's token in it.
    pub token: Token,
    /// For cores.
    pub clock: &'a Clock,
    /// For timing.
    pub now: Instant,
    /// To read into.
    pub buffer: &'a mut [u8],
    /// What was achieved so far, by name.
    pub counts: &'a mut BTreeMap<&'static str, u64>,
}

impl Tools<'_> {
    /// Notes an achievement.
    pub fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += times as u64;
    }
}

/// Attackers of one kind.
pub struct Squad {
    /// How many at the same time.
    pub size: usize,
    /// How many in all: who is thrown out comes again until then.
    pub births_max: usize,
    /// Makes the one with this place in the squad.
    pub make: Birth,
}

/// Makes an attacker.
pub type Birth = Box<dyn Fn(usize, &mut Tools<'_>) -> io::Result<Box<dyn Attacker>> + Send>;

/// One place of a squad.
struct Place {
    squad: usize,
    index: usize,
    attacker: Option<Box<dyn Attacker>>,
}

/// Lets them loose until `end`, or until nobody is left; then all their sockets are closed. What they have achieved.
pub fn run(route: &Route, mut squads: Vec<Squad>, end: Instant) -> io::Result<BTreeMap<&'static str, u64>> {
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let clock = Clock::start();
    let mut counts = BTreeMap::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut places = Vec::new();
    // All squads at once, not one after the other.
    for index in 0..squads.iter().map(|squad| squad.size).max().unwrap_or_default() {
        for (squad, _) in squads.iter().enumerate().filter(|(_, squad)| index < squad.size) {
            places.push(Place { squad, index, attacker: None });
        }
    }
    let mut vacant: VecDeque<usize> = (0..places.len()).collect();
    let mut events = Events::with_capacity(1024);
    let mut tick = Instant::now();
    loop {
        poll.poll(&mut events, Some(tick.saturating_duration_since(Instant::now())))?;
        let now = Instant::now();
        let is_spent = squads.iter().all(|squad| squad.births_max == 0);
        if now >= end || (is_spent && places.iter().all(|place| place.attacker.is_none())) {
            return Ok(counts);
        }
        let mut called: Vec<usize> = events.iter().map(|event| event.token().0).collect();
        if now >= tick {
            tick = now + TICK;
            called = (0..places.len()).collect();
            for _ in 0..BIRTHS_MAX.min(vacant.len()) {
                let Some(number) = vacant.pop_front() else { break };
                let Some(place) = places.get_mut(number) else { break };
                let Some(squad) = squads.get_mut(place.squad).filter(|squad| squad.births_max > 0) else {
                    continue;
                };
                squad.births_max -= 1;
                let (token, buffer, counts) = (Token(number), &mut buffer, &mut counts);
                let mut tools =
                    Tools { route, registry: &registry, token, clock: &clock, now, buffer, counts };
                place.attacker = Some((squad.make)(place.index, &mut tools)?);
            }
        }
        for number in called {
            let Some(place) = places.get_mut(number) else { continue };
            let Some(attacker) = &mut place.attacker else { continue };
            let (token, buffer, counts) = (Token(number), &mut buffer, &mut counts);
            let mut tools = Tools { route, registry: &registry, token, clock: &clock, now, buffer, counts };
            if !attacker.act(&mut tools) {
                place.attacker = None;
                vacant.push_back(number);
            }
        }
    }
}
