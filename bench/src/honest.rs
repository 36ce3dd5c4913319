//! Two users who write to each other all the time, and measure how long it takes until the server says
//! `delivered`.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use client::core::Event;
use mio::{Events, Poll, Token};

use crate::{chat::Chat, clock::Clock, sample::Sample, wire::Route};

/// A message that is not confirmed after this long is lost, however busy the machine is.
const CONFIRMED_AFTER_MAX: Duration = Duration::from_secs(20);

/// Their accounts.
pub const USERS: [&str; 2] = ["ada", "bob"];

/// The two at work, on a thread of their own.
#[derive(Debug)]
pub struct Pair {
    thread: JoinHandle<io::Result<Report>>,
    enough: Arc<AtomicBool>,
}

/// Gives a thread precedence.
pub type Favour = fn(thread: &str) -> io::Result<()>;

/// What they have measured.
#[derive(Debug, Default)]
pub struct Report {
    /// When each message was sent, and how long its confirmation took.
    pub times: Vec<(Instant, Duration)>,
    /// How late each was sent by fault of this machine: what the measurement itself cannot tell from the server.
    pub lateness: Vec<(Instant, Duration)>,
    /// Messages that were refused, or never confirmed.
    pub failed: usize,
}

impl Pair {
    /// Logs both in; from then on they send `per_second` messages together. `favour` is called for their thread.
    pub fn start(route: Route, per_second: u32, favour: Option<Favour>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let thread = thread::spawn(move || converse(&route, per_second, favour, &told));
        Self { thread, enough }
    }

    /// Ends it.
    pub fn stop(self) -> io::Result<Report> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the honest pair fell over"))?
    }
}

impl Report {
    /// The confirmations of messages sent from `start` to `end`.
    pub fn between(&self, start: Instant, end: Instant) -> Sample {
        cut(&self.times, start, end)
    }

    /// The lateness in the same time.
    pub fn lateness_between(&self, start: Instant, end: Instant) -> Sample {
        cut(&self.lateness, start, end)
    }
}

fn cut(times: &[(Instant, Duration)], start: Instant, end: Instant) -> Sample {
    times.iter().filter(|(at, _)| (start..end).contains(at)).map(|&(_, time)| time).collect()
}

/// One of the two.
struct Talker {
    chat: Chat,
    is_online: bool,
    /// Lines typed so far.
    count: u64,
    sent_at: BTreeMap<u64, Instant>,
}

fn converse(
    route: &Route,
    per_second: u32,
    favour: Option<Favour>,
    enough: &AtomicBool,
) -> io::Result<Report> {
    if let Some(favour) = favour {
        // `/proc/thread-self` leads to `<process>/task/<thread>`.
        let this = std::fs::read_link("/proc/thread-self")?;
        favour(this.file_name().and_then(|name| name.to_str()).unwrap_or_default())?;
    }
    let mut poll = Poll::new()?;
    let clock = Clock::start();
    let mut talkers = Vec::new();
    for (index, user) in USERS.iter().enumerate() {
        let chat = Chat::dial(route, user, poll.registry(), Token(index), clock.read())?;
        talkers.push(Talker { chat, is_online: false, count: 0, sent_at: BTreeMap::new() });
    }
    let pause = Duration::from_secs(1) / per_second;
    let mut report = Report::default();
    let mut events = Events::with_capacity(16);
    let mut buffer = vec![0; 64 * 1024];
    let mut due = Instant::now() + pause;
    let mut turns = 0_usize;
    // At the end, confirmations may still be to come.
    let mut until = None;
    while until.is_none_or(|until| Instant::now() < until && talkers.iter().any(Talker::is_waiting)) {
        poll.poll(&mut events, Some(due.saturating_duration_since(Instant::now())))?;
        let now = Instant::now();
        if until.is_none() && enough.load(Ordering::Relaxed) {
            until = Some(now + CONFIRMED_AFTER_MAX);
        }
        if now >= due {
            let both = talkers.iter().all(|talker| talker.is_online);
            if both && until.is_none() {
                report.lateness.push((now, now - due));
                let index = turns % USERS.len();
                let to = USERS.get(1 - index).copied().unwrap_or_default();
                if let Some(talker) = talkers.get_mut(index) {
                    talker.say(&clock, now, &format!("message {to} number {turns} of an honest user"));
                }
                turns += 1;
            }
            // Whoever was held up goes on from here, and does not send in a burst what he missed.
            due = now.max(due + pause);
        }
        for talker in &mut talkers {
            talker.turn(&clock, &mut buffer, &mut report)?;
        }
    }
    report.failed += talkers.iter().map(|talker| talker.sent_at.len()).sum::<usize>();
    Ok(report)
}

impl Talker {
    fn is_waiting(&self) -> bool {
        !self.sent_at.is_empty()
    }

    fn say(&mut self, clock: &Clock, now: Instant, line: &str) {
        self.count += 1;
        self.sent_at.insert(self.count, now);
        self.chat.say(clock.read(), line.to_owned());
    }

    fn turn(&mut self, clock: &Clock, buffer: &mut [u8], report: &mut Report) -> io::Result<()> {
        let mut events = Vec::new();
        let goes_on = self.chat.turn(clock.read(), buffer, &mut events);
        for event in events {
            match event {
                Event::Login { .. } => self.is_online = true,
                Event::Ok { number, .. } => {
                    if let Some(sent) = self.sent_at.remove(&number) {
                        report.times.push((sent, sent.elapsed()));
                    }
                }
                Event::Error { number, .. } => {
                    report.failed += usize::from(self.sent_at.remove(&number).is_some());
                }
                _ => {}
            }
        }
        if goes_on { Ok(()) } else { Err(io::Error::other("an honest user lost his connection")) }
    }
}
