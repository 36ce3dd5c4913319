//! Kills a server with a thousand users who write to each other, starts it again, and tells how long it takes until all
//! are back, and whether any message was lost or came twice.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use bench::{
    chat::Chat,
    clock::Clock,
    sample::millis,
    torture::{Book, Keeper, Life, Told, Verdict},
    wire::Route,
};
use client::core::{Event, MessageState, Outcome};
use getopts::Options;
use mio::{Events, Poll, Token};
use protocol::transport;
use tempfile::TempDir;

/// Between two messages of one user.
const PAUSE: Duration = Duration::from_millis(200);
/// How late a timer of a core may be looked at.
const TICK: Duration = Duration::from_millis(5);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// All must be back by then.
const BACK_MAX: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "comeback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let mut table = Options::new();
    table.optopt("n", "", "how many users (default 1000)", "COUNT");
    table.optopt("d", "down", "for how long the server is away (default 1)", "SECONDS");
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        say(table.usage("Usage: comeback [OPTIONS]").trim_end())?;
        return Ok(true);
    }
    let count: usize = matches.opt_get_default("n", 1_000).map_err(io::Error::other)?;
    let down = Duration::from_secs(matches.opt_get_default("down", 1).map_err(io::Error::other)?);
    let folder = TempDir::new()?;
    let mut crowd = Crowd::enter(folder.path(), count)?;
    crowd.is_writing = true;
    crowd.until("all have written", |crowd| crowd.written >= 5 * count)?;
    crowd.keeper.kill()?;
    let killed = Instant::now();
    crowd.until("the server's end", |_| killed.elapsed() >= down)?;
    crowd.keeper.start()?;
    let started = Instant::now();
    crowd.until("all are back", |crowd| crowd.online_count() == count)?;
    let back = started.elapsed();
    crowd.is_writing = false;
    crowd.until("all answers", |crowd| crowd.people.iter().all(|person| person.open.is_empty()))?;
    crowd.until("all messages", |crowd| crowd.book.verdict().lost == 0)?;
    let Verdict { sent, delivered, stored, refused, lost, doubled, misordered, .. } = crowd.book.verdict();
    say(&format!("{count} users, server away for {} ms: all back after {} ms", millis(down), millis(back)))?;
    say(&format!("{sent} messages: {delivered} delivered, {stored} stored, {refused} refused"))?;
    say(&format!("{lost} lost, {doubled} doubled, {misordered} out of order"))?;
    Ok(back <= BACK_MAX && crowd.book.verdict().is_clean() && refused == 0)
}

/// A user.
struct Person {
    chat: Chat,
    is_online: bool,
    /// Lines typed so far, and when the next may be.
    count: u64,
    next_at: Instant,
    /// The messages that were not answered, by the number of the command.
    open: BTreeMap<u64, usize>,
}

struct Crowd {
    keeper: Keeper,
    route: Route,
    poll: Poll,
    clock: Clock,
    people: Vec<Person>,
    buffer: Vec<u8>,
    book: Book,
    written: usize,
    is_writing: bool,
}

impl Crowd {
    fn enter(home: &Path, count: usize) -> io::Result<Self> {
        let users: Vec<String> = (0..count).map(name).collect();
        let mut keeper =
            Keeper::new(std::env::current_exe()?.with_file_name("parlour-server"), home, &users)?;
        let tls = Some(transport::client_config().map_err(io::Error::other)?);
        let route = Route { address: keeper.start()?, tls };
        let mut crowd = Self {
            keeper,
            route,
            poll: Poll::new()?,
            clock: Clock::start(),
            people: Vec::new(),
            buffer: vec![0; 64 * 1024],
            book: Book::default(),
            written: 0,
            is_writing: false,
        };
        for (index, user) in users.iter().enumerate() {
            let registry = crowd.poll.registry();
            let chat = Chat::dial(&crowd.route, user, registry, Token(index), crowd.clock.read())?;
            crowd.people.push(Person {
                chat,
                is_online: false,
                count: 0,
                next_at: Instant::now(),
                open: BTreeMap::new(),
            });
            // One at a time, since here one machine pays for all of them.
            crowd.until("a log-in", |crowd| crowd.online_count() == index + 1)?;
        }
        Ok(crowd)
    }

    fn online_count(&self) -> usize {
        self.people.iter().filter(|person| person.is_online).count()
    }

    /// Goes on until it is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(1_024);
        while !is_so(self) {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("awaited in vain: {what}")));
            }
            self.poll.poll(&mut events, Some(TICK))?;
            for index in 0..self.people.len() {
                self.turn(index)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, index: usize) -> io::Result<()> {
        let to = (index + 1) % self.people.len();
        let Some(person) = self.people.get_mut(index) else { return Ok(()) };
        // One message at a time, typed whether there is a connection or not.
        if self.is_writing && person.open.is_empty() && person.next_at <= Instant::now() {
            person.next_at = Instant::now() + PAUSE;
            let number = self.book.write(Life { user: index, number: 1 }, to);
            person.count += 1;
            person.open.insert(person.count, number);
            person.chat.say(self.clock.read(), format!("message {} {number}", name(to)));
            self.written += 1;
        }
        let mut events = Vec::new();
        person.is_online &= person.chat.turn(self.clock.read(), &mut self.buffer, &mut events);
        if person.chat.wants_dial() {
            person.chat.dial_again(&self.route, self.poll.registry(), Token(index))?;
        }
        for event in events {
            match event {
                Event::Login { .. } | Event::Reconnected { .. } => person.is_online = true,
                Event::Disconnected { .. } => {
                    return Err(io::Error::other(format!("{index} was thrown out")));
                }
                Event::Ok { number, outcome: Outcome::Message { state, .. } } => {
                    let told = if state == MessageState::Stored { Told::Stored } else { Told::Delivered };
                    if let Some(letter) = person.open.remove(&number) {
                        self.book.told(letter, told);
                    }
                }
                Event::Error { number, .. } => {
                    if let Some(letter) = person.open.remove(&number) {
                        self.book.told(letter, Told::Refused);
                    }
                }
                Event::Message { text, .. } => self.book.shown(index, text.parse().ok()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn name(index: usize) -> String {
    format!("user{index}")
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
