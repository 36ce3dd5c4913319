//! How much processor time a log-in costs the server, and how much of it is TLS.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use bench::{
    chat::Chat,
    clock::Clock,
    server::{Server, Setup},
    wire::{Step, Wire},
};
use client::core::Event;
use getopts::Options;
use mio::{Events, Poll, Token};

/// Accounts, used in turn: the server has long seen that one is gone before he comes again.
const USERS: u32 = 256;

/// What one connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// TLS is agreed on, and that is all.
    Handshake,
    /// A user logs in, and is gone.
    LogIn,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "logins: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut table = Options::new();
    table.optopt("n", "", "how many of each in a round (default 2000)", "COUNT");
    table.optopt("r", "rounds", "how many rounds, of which the median counts (default 3)", "COUNT");
    table.optopt(
        "a",
        "at-once",
        "how many at the same time (default 1); each log-in is told to the others",
        "COUNT",
    );
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        return say(&table.usage("Usage: logins [OPTIONS]"));
    }
    let count = matches.opt_get_default("n", 2000_u32).map_err(io::Error::other)?;
    let rounds = matches.opt_get_default("rounds", 3_usize).map_err(io::Error::other)?;
    let at_once = matches.opt_get_default("at-once", 1_usize).map_err(io::Error::other)?;
    let users: Vec<String> = (0..USERS).map(user).collect();
    let start = |tls| Server::start(&Setup { users: users.clone(), tls, descriptors_max: None });
    let (encrypted, plain) = (start(true)?, start(false)?);
    // The first ones pay for memory that the others find.
    measure(&encrypted, Purpose::LogIn, count / 10, at_once)?;
    measure(&plain, Purpose::LogIn, count / 10, at_once)?;
    let mut costs = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let measured = [
            measure(&encrypted, Purpose::LogIn, count, at_once)?,
            measure(&encrypted, Purpose::Handshake, count, at_once)?,
            measure(&plain, Purpose::LogIn, count, at_once)?,
            measure(&plain, Purpose::Handshake, count, at_once)?,
        ];
        costs.iter_mut().zip(measured).for_each(|(costs, cost)| costs.push(cost));
    }
    let [login, handshake, plain_login, plain_connection] = costs.map(|costs| median(costs, count));
    say(&format!(
        "server CPU, median of {rounds} rounds of {count}:\n\
         TLS log-in            {login:7.1} us, so {:.0} a second on one core\n\
         TLS handshake         {handshake:7.1} us\n\
         difference            {:7.1} us\n\
         log-in without TLS    {plain_login:7.1} us\n\
         bare connection       {plain_connection:7.1} us",
        1e6 / login,
        login - handshake,
    ))
}

/// Microseconds of processor time for one of them.
fn median(mut costs: Vec<Duration>, count: u32) -> f64 {
    costs.sort_unstable();
    costs.get(costs.len() / 2).map_or(f64::NAN, |cpu| cpu.as_secs_f64() * 1e6 / f64::from(count))
}

/// A connection of one purpose.
enum Visit {
    Handshake(Wire),
    LogIn(Box<Chat>),
}

/// The server's processor time for `count` of them.
fn measure(server: &Server, purpose: Purpose, count: u32, at_once: usize) -> io::Result<Duration> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let clock = Clock::start();
    let mut buffer = vec![0; 16 * 1024];
    let mut visits: Vec<Option<Visit>> = (0..at_once).map(|_| None).collect();
    let (mut begun, mut done) = (0, 0);
    let before = server.figures()?.cpu;
    while done < count {
        for (index, place) in visits.iter_mut().enumerate() {
            if place.is_none() && begun < count {
                begun += 1;
                let (route, registry, token) = (server.route(), poll.registry(), Token(index));
                *place = Some(match purpose {
                    Purpose::Handshake => Visit::Handshake(route.dial(registry, token)?),
                    Purpose::LogIn => Visit::LogIn(Box::new(Chat::dial(
                        route,
                        &user(begun % USERS),
                        registry,
                        token,
                        clock.read(),
                    )?)),
                });
            }
        }
        poll.poll(&mut events, Some(Duration::from_secs(5)))?;
        if events.is_empty() {
            return Err(io::Error::other("nothing happened for 5 s"));
        }
        for event in &events {
            let Some(place) = visits.get_mut(event.token().0) else { continue };
            let is_over = match place {
                None => false,
                Some(Visit::Handshake(wire)) => match wire.step() {
                    Step::Waits => false,
                    Step::Stands(_) => true,
                    Step::Lost => return Err(io::Error::other("a connection was lost")),
                },
                Some(Visit::LogIn(chat)) => {
                    let mut shown = Vec::new();
                    let goes_on = chat.turn(clock.read(), &mut buffer, &mut shown);
                    let is_in = shown.iter().any(|event| matches!(event, Event::Login { .. }));
                    if !is_in && !goes_on {
                        return Err(io::Error::other("a log-in failed"));
                    }
                    is_in
                }
            };
            if is_over {
                *place = None;
                done += 1;
            }
        }
    }
    drop(visits);
    while server.status()?.connections > 0 {}
    Ok(server.figures()?.cpu.saturating_sub(before))
}

fn user(index: u32) -> String {
    format!("user-{index}")
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
