//! What the everyday work costs the server: idle connections, direct messages, a broadcast to a thousand.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use bench::{
    attackers::Silent,
    honest::{self, Pair},
    room::Room,
    sample::millis,
    server::{Server, Setup},
    swarm::{self, Attacker, Squad, Tools},
};
use client::core::Event;

/// Connections that do nothing.
const IDLE: u32 = 2000;
/// Users who hear a broadcast.
const AUDIENCE: usize = 1000;

fn main() -> ExitCode {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "costs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    for tls in [true, false] {
        let way = if tls { "TLS" } else { "plain" };
        let start = |users| Server::start(&Setup { users, tls, descriptors_max: None });
        let (kib, load) = idle(&start(Vec::new())?)?;
        say(&format!(
            "{way}: {kib:.1} KiB for an idle connection; {IDLE} of them take {load:.2} % of a core"
        ))?;
        let cost = slow_messages(&start(honest::USERS.map(str::to_owned).to_vec())?)?;
        say(&format!(
            "{way}: {cost:.1} us of CPU for a direct message with its confirmation, at 100 a second"
        ))?;
        let (cost, rate) = fast_messages(&start(honest::USERS.map(str::to_owned).to_vec())?)?;
        say(&format!("{way}: {cost:.1} us at full speed, {rate:.0} a second"))?;
        let (turn, cpu, wall) = broadcast(&start((0..AUDIENCE).map(listener).collect())?)?;
        say(&format!(
            "{way}: a broadcast to {}: longest turn {} ms, {} ms of CPU, heard by all after {} ms",
            AUDIENCE - 1,
            millis(turn),
            millis(cpu),
            millis(wall)
        ))?;
    }
    Ok(())
}

/// Memory of one idle connection in KiB, and the processor time of all in percent.
fn idle(server: &Server) -> io::Result<(f64, f64)> {
    let before = server.figures()?;
    let route = server.route().clone();
    // They are thrown out after 10 s.
    let end = Instant::now() + Duration::from_secs(9);
    let make =
        |_, tools: &mut Tools<'_>| Silent::dial(tools).map(|silent| Box::new(silent) as Box<dyn Attacker>);
    let squads = vec![Squad { size: IDLE as usize, births_max: IDLE as usize, make: Box::new(make) }];
    let swarm = thread::spawn(move || swarm::run(&route, squads, end));
    while server.status()?.connections < IDLE as usize {
        thread::sleep(Duration::from_millis(50));
    }
    // The last ones agree on TLS.
    thread::sleep(Duration::from_millis(500));
    let all_there = server.figures()?;
    let quiet = Duration::from_secs(2);
    thread::sleep(quiet);
    let spent = server.figures()?.cpu.saturating_sub(all_there.cpu);
    swarm.join().map_err(|_| io::Error::other("the swarm fell over"))??;
    let kib = all_there.memory_kib.saturating_sub(before.memory_kib);
    Ok((to_f64(kib) / f64::from(IDLE), spent.as_secs_f64() / quiet.as_secs_f64() * 100.0))
}

/// Microseconds of processor time for one message when there are few.
fn slow_messages(server: &Server) -> io::Result<f64> {
    let pair = Pair::start(server.route().clone(), 100, None);
    thread::sleep(Duration::from_millis(500));
    let (before, start) = (server.figures()?.cpu, Instant::now());
    thread::sleep(Duration::from_secs(3));
    let (after, end) = (server.figures()?.cpu, Instant::now());
    let count = pair.stop()?.between(start, end).len();
    Ok(after.saturating_sub(before).as_secs_f64() * 1e6 / to_f64(count as u64))
}

/// The same as fast as it goes, and how many a second that were. The server lets nobody send more than 1,000 a
/// second after the first 2,000, so this is about the first.
fn fast_messages(server: &Server) -> io::Result<(f64, f64)> {
    let mut room = Room::enter(server.route(), &honest::USERS.map(str::to_owned))?;
    let (before, started) = (server.figures()?.cpu, Instant::now());
    let burst = 1900;
    let (mut said, mut confirmed) = ([0; 2], 0);
    while confirmed < 2 * burst {
        for (index, to) in [(0, 1), (1, 0)] {
            let (Some(said), Some(to)) = (said.get_mut(index), honest::USERS.get(to)) else { continue };
            while *said < burst && room.wants_input(index) {
                room.say(index, &format!("message {to} number {said} of many that are on their way"));
                *said += 1;
            }
        }
        let events = room.turn()?;
        confirmed += events.iter().filter(|(_, event)| matches!(event, Event::Ok { .. })).count();
    }
    let wall = started.elapsed();
    let spent = server.figures()?.cpu.saturating_sub(before);
    let count = to_f64(confirmed as u64);
    Ok((spent.as_secs_f64() * 1e6 / count, count / wall.as_secs_f64()))
}

/// The longest turn, the processor time, and the time until everyone has heard.
fn broadcast(server: &Server) -> io::Result<(Duration, Duration, Duration)> {
    let users: Vec<String> = (0..AUDIENCE).map(listener).collect();
    let mut room = Room::enter(server.route(), &users)?;
    // Who came is told to all; that must be over.
    thread::sleep(Duration::from_millis(500));
    room.turn()?;
    server.status()?;
    let (before, started) = (server.figures()?.cpu, Instant::now());
    room.say(0, "broadcast to everyone who can hear this");
    let mut heard = 0;
    while heard < AUDIENCE - 1 {
        heard += room.turn()?.iter().filter(|(_, event)| matches!(event, Event::Broadcast { .. })).count();
    }
    let wall = started.elapsed();
    Ok((server.status()?.longest_turn, server.figures()?.cpu.saturating_sub(before), wall))
}

fn listener(index: usize) -> String {
    format!("listener-{index}")
}

fn to_f64(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
