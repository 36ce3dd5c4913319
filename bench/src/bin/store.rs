//! How long it takes until a message is confirmed as `stored`, at a steady rate, and what `delivered` takes meanwhile:
//! those who are online should not feel the disk.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use bench::{
    honest::{self, Pair},
    room::Room,
    sample::{Sample, millis},
    server::{Server, Setup},
};
use client::core::{Event, MessageState, Outcome};
use getopts::Options;

/// Each may send 1,000 a second.
const WRITERS: usize = 4;
/// What one mailbox holds, with something to spare.
const PER_ABSENTEE: usize = 900;
/// Delivered messages a second meanwhile.
const DELIVERED_RATE: u32 = 100;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "store: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut table = Options::new();
    table.optopt("r", "rate", "stored messages a second (default 2000)", "COUNT");
    table.optopt("t", "time", "for how long (default 10)", "SECONDS");
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        return say(table.usage("Usage: store [OPTIONS]").trim_end());
    }
    let rate: u32 = matches.opt_get_default("rate", 2_000).map_err(io::Error::other)?;
    let time = Duration::from_secs(matches.opt_get_default("time", 10).map_err(io::Error::other)?);
    for rate in [0, rate.max(1)] {
        measure(rate, time)?;
    }
    Ok(())
}

/// One server, with or without messages that it stores.
fn measure(rate: u32, time: Duration) -> io::Result<()> {
    let absent =
        usize::try_from(u64::from(rate) * time.as_secs()).map_err(io::Error::other)? / PER_ABSENTEE + 1;
    let named = |name: &'static str, count| (0..count).map(move |number| format!("{name}{number}"));
    let writers: Vec<String> = named("writer", WRITERS).collect();
    let absent: Vec<String> = named("absent", absent).collect();
    let users = [writers.clone(), absent.clone(), honest::USERS.map(str::to_owned).to_vec()].concat();
    let server = Server::start(&Setup { users, tls: true, descriptors_max: None })?;
    let pair = Pair::start(server.route().clone(), DELIVERED_RATE, None);
    let mut room = Room::enter(server.route(), &writers)?;
    let (before, start) = (server.figures()?.cpu, Instant::now());
    let stored = write(&mut room, &absent, rate, time)?;
    let end = start + time;
    let spent = server.figures()?.cpu.saturating_sub(before);
    let report = pair.stop()?;
    if report.failed > 0 {
        return Err(io::Error::other(format!("{} messages were not delivered", report.failed)));
    }
    say(&format!(
        "{rate} stored a second, {DELIVERED_RATE} delivered; the server took {} ms of CPU",
        millis(spent)
    ))?;
    if rate > 0 {
        say(&format!("  stored:    {stored}"))?;
    }
    say(&format!("  delivered: {}", report.between(start, end)))?;
    say(&format!("  (the measuring itself was late by {})", report.lateness_between(start, end)))
}

/// Messages to those who are absent, at a steady rate, and how long their confirmations took.
fn write(room: &mut Room, absent: &[String], rate: u32, time: Duration) -> io::Result<Sample> {
    let started = Instant::now();
    let total = u64::from(rate) * time.as_secs();
    let mut lines = [0_u64; WRITERS];
    let (mut sent, mut stored) = (0, Sample::default());
    let mut open: BTreeMap<(usize, u64), Instant> = BTreeMap::new();
    while sent < total || !open.is_empty() || started.elapsed() < time {
        let due = |sent: u64| {
            started + Duration::from_secs(1) * u32::try_from(sent).unwrap_or(u32::MAX) / rate.max(1)
        };
        while sent < total && due(sent) <= Instant::now() {
            let writer = usize::try_from(sent).unwrap_or_default();
            let to = absent.get(writer % absent.len()).map_or("", String::as_str);
            let writer = writer % WRITERS;
            if let Some(line) = lines.get_mut(writer) {
                *line += 1;
                // Counted from when it should have gone, so that a server that slows its clients down is not praised.
                open.insert((writer, *line), due(sent));
                room.say(writer, &format!("message {to} number {sent} for somebody who is away"));
            }
            sent += 1;
        }
        let pause = if sent < total { due(sent).saturating_duration_since(Instant::now()) } else { PAUSE };
        for (writer, event) in room.turn_within(pause)? {
            match event {
                Event::Ok { number, outcome: Outcome::Message { state: MessageState::Stored, .. } } => {
                    stored.extend(open.remove(&(writer, number)).map(|at| at.elapsed()));
                }
                Event::Ok { .. } | Event::Error { .. } => return Err(io::Error::other(format!("{event:?}"))),
                _ => {}
            }
        }
    }
    Ok(stored)
}

/// While nothing is to be sent.
const PAUSE: Duration = Duration::from_millis(100);

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
