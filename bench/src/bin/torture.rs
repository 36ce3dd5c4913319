//! Kills servers and clients at random for a while, and fails when a promise about a message was not kept.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use bench::torture::{Book, Keeper, Player, Said, Told, Verdict};
use getopts::Options;
use protocol::random::RandomStream;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use tempfile::TempDir;

/// Messages of one client that may be open at a time.
const OPEN_MAX: usize = 16;
/// How long all may take to come to rest in the end: a client that is away tries again within a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// How a notice ends, before the text of a message that a client showed last.
const RECALLED: &str = "or right after: ";
/// Between two messages of all together, on average.
const PAUSE_MS: u64 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "torture: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Wishes {
    time: Duration,
    kills: u64,
    users: usize,
    kill_pause_ms: u64,
    seed: [u8; 32],
    keep: bool,
}

fn run() -> io::Result<bool> {
    let mut table = Options::new();
    table.optopt("t", "time", "for how long processes are killed (default 30)", "SECONDS");
    table.optopt("k", "kills", "or until so many were killed", "COUNT");
    table.optopt("u", "users", "how many users talk (default 6)", "COUNT");
    table.optopt("p", "pause", "between two kills, on average (default 150)", "MS");
    table.optopt("s", "seed", "whom to kill when, and who writes to whom (default: random)", "NUMBER");
    table.optflag("", "keep", "leave the folder with logs and database behind");
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        say(table.usage("Usage: torture [OPTIONS]").trim_end())?;
        return Ok(true);
    }
    let number = |name, default| matches.opt_get_default(name, default).map_err(io::Error::other);
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    let seed: u64 = number("seed", u64::from_be_bytes(random) >> 32)?;
    let mut wishes = Wishes {
        time: Duration::from_secs(number("time", 30)?),
        kills: number("kills", u64::MAX)?,
        users: usize::try_from(number("users", 6)?.max(2)).map_err(io::Error::other)?,
        kill_pause_ms: number("pause", 150)?.max(1),
        seed: [0; 32],
        keep: matches.opt_present("keep"),
    };
    if matches.opt_present("kills") && !matches.opt_present("time") {
        wishes.time = Duration::from_secs(u64::from(u32::MAX));
    }
    wishes.seed[..8].copy_from_slice(&seed.to_be_bytes());
    say(&format!("seed {seed}"))?;
    let folder = TempDir::new()?;
    let outcome =
        Scene::new(folder.path(), wishes.users, wishes.seed).and_then(|mut scene| scene.play(&wishes));
    if wishes.keep {
        say(&format!("see {}", folder.keep().display()))?;
    }
    outcome
}

struct Scene {
    keeper: Keeper,
    players: Vec<Player>,
    names: Vec<String>,
    book: Book,
    random: RandomStream,
    sink: Sender<Said>,
    said: Receiver<Said>,
    server_kills: u64,
    client_kills: u64,
    /// Errors that senders were told, other than for a full mailbox.
    complaints: Vec<String>,
}

impl Scene {
    fn new(home: &Path, users: usize, seed: [u8; 32]) -> io::Result<Self> {
        let beside = |name| -> io::Result<PathBuf> { Ok(std::env::current_exe()?.with_file_name(name)) };
        let names: Vec<String> = (0..users).map(|number| format!("user{number}")).collect();
        let client = beside("parlour")?;
        let player = |(number, name): (usize, &String)| Player::new(client.clone(), home, number, name);
        let (sink, said) = mpsc::channel();
        Ok(Self {
            keeper: Keeper::new(beside("parlour-server")?, home, &names)?,
            players: names.iter().enumerate().map(player).collect::<io::Result<_>>()?,
            names,
            book: Book::default(),
            random: RandomStream::from_seed(seed),
            sink,
            said,
            server_kills: 0,
            client_kills: 0,
            complaints: Vec::new(),
        })
    }

    fn play(&mut self, wishes: &Wishes) -> io::Result<bool> {
        let started = Instant::now();
        self.kill_at_random(wishes)?;
        let spent = started.elapsed();
        self.calm_down()?;
        // What waits for a user is all shown at one log-in, unless that was the one that has just ended.
        self.have_all_leave()?;
        self.have_all_leave()?;
        self.keeper.stop()?;
        let sound = self.keeper.check()?;
        // Whatever was shown must have been taken off.
        let is_empty = sound.contains("messages that wait: 0,");
        let verdict = self.book.verdict();
        let Verdict {
            sent,
            delivered,
            stored,
            refused,
            unanswered,
            lost,
            doubled,
            misordered,
            strange,
            cut_off,
        } = verdict;
        say(&format!(
            "{} s, {} kills ({} of servers, {} of clients)",
            spent.as_secs(),
            self.server_kills + self.client_kills,
            self.server_kills,
            self.client_kills
        ))?;
        say(&format!(
            "{sent} messages: {} confirmed ({delivered} delivered, {stored} stored), {refused} refused, \
             {unanswered} of senders who were killed",
            delivered + stored
        ))?;
        say(&format!(
            "{lost} lost, {doubled} doubled, {misordered} out of order, {strange} astray; {cut_off} told in a notice, \
             because the client that was showing them was killed"
        ))?;
        say(&sound)?;
        self.complaints.sort();
        self.complaints.dedup();
        for complaint in &self.complaints {
            say(&format!("refused: {complaint}"))?;
        }
        Ok(verdict.is_clean() && is_empty && delivered > 0 && stored > 0)
    }

    fn kill_at_random(&mut self, wishes: &Wishes) -> io::Result<()> {
        let end = Instant::now() + wishes.time;
        let mut address = self.keeper.start()?;
        let mut next_kill = self.soon(wishes.kill_pause_ms);
        let mut server_back = None;
        let mut back = vec![Some(Instant::now()); self.players.len()];
        let mut next_letter = Instant::now();
        while Instant::now() < end && self.server_kills + self.client_kills < wishes.kills {
            let now = Instant::now();
            if server_back.is_some_and(|at| at <= now) {
                server_back = None;
                address = self.keeper.start()?;
            }
            for (player, back) in self.players.iter_mut().zip(&mut back) {
                // One that was refused, because its dead forerunner still counted, is started again as well.
                if !player.is_running() && back.get_or_insert(now) <= &mut now.clone() {
                    *back = None;
                    player.start(address, self.sink.clone())?;
                }
            }
            if next_kill <= now {
                next_kill = self.soon(wishes.kill_pause_ms);
                let again = self.soon(200);
                let victim = self.below(self.players.len() * 3 / 2);
                if let Some(player) = self.players.get_mut(victim) {
                    if player.is_running() {
                        player.kill()?;
                        self.client_kills += 1;
                        if let Some(back) = back.get_mut(victim) {
                            *back = Some(again);
                        }
                    }
                } else if self.keeper.is_running() {
                    self.keeper.kill()?;
                    self.server_kills += 1;
                    server_back = Some(again);
                }
            }
            if next_letter <= now {
                next_letter = self.soon(PAUSE_MS);
                self.write_to_somebody();
            }
            let pause = next_kill.min(next_letter).saturating_duration_since(Instant::now());
            self.listen(pause)?;
        }
        if server_back.is_some() {
            self.keeper.start()?;
        }
        Ok(())
    }

    /// Nobody is killed any more: waits until every message that still can be is answered.
    fn calm_down(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.players.iter().any(|player| player.open_count() > 0) {
            if Instant::now() > deadline {
                return Err(io::Error::other("messages are not answered"));
            }
            self.listen(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Every user leaves, and if he was not there, he comes first.
    fn have_all_leave(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut has_left = vec![false; self.players.len()];
        // The port stays the same.
        self.keeper.kill()?;
        let address = self.keeper.start()?;
        while has_left.iter().any(|has_left| !has_left) {
            if Instant::now() > deadline {
                return Err(io::Error::other("clients do not leave"));
            }
            for (player, _) in self.players.iter_mut().zip(&has_left).filter(|(_, has_left)| !**has_left) {
                if !player.is_running() {
                    player.start(address, self.sink.clone())?;
                }
                player.close_input();
            }
            for (user, code) in self.listen(Duration::from_millis(100))? {
                if let Some(has_left) = has_left.get_mut(user) {
                    *has_left |= code == Some(0);
                }
            }
        }
        Ok(())
    }

    fn write_to_somebody(&mut self) {
        let from = self.below(self.players.len());
        let to = (from + 1 + self.below(self.players.len() - 1)) % self.players.len();
        let (Some(player), Some(name)) = (self.players.get_mut(from), self.names.get(to)) else { return };
        if player.is_running() && player.open_count() < OPEN_MAX {
            let number = self.book.write(player.life(), to);
            player.send(name, number);
        }
    }

    /// Takes in what was said meanwhile, or what comes next within `pause`. Returns whose clients have ended, and how.
    fn listen(&mut self, pause: Duration) -> io::Result<Vec<(usize, Option<i32>)>> {
        let mut ended = Vec::new();
        let mut next = match self.said.recv_timeout(pause) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("nobody speaks any more")),
        };
        while let Some(Said { by, line }) = next {
            let Some(player) = self.players.get_mut(by.user) else { break };
            match line {
                Some(line) => {
                    // The last line of one that was killed may not be whole.
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
                    let answered = event.get("re").and_then(Value::as_u64);
                    let answered = answered.and_then(|command| player.answered(command));
                    match (text("event"), answered) {
                        ("ok", Some(number)) => {
                            let told = if text("state") == "stored" { Told::Stored } else { Told::Delivered };
                            self.book.told(number, told);
                        }
                        ("error", Some(number)) => {
                            self.book.told(number, Told::Refused);
                            self.complaints.push(text("code").to_owned());
                        }
                        ("message", _) => self.book.shown(by.user, text("text").parse().ok()),
                        ("notice", _) => {
                            let number = text("text").rsplit_once(RECALLED).map(|(_, number)| number.parse());
                            if let Some(Ok(number)) = number {
                                self.book.recalled(by.user, number);
                            }
                        }
                        _ => {}
                    }
                }
                None => ended.push((by.user, player.bury()?)),
            }
            next = self.said.try_recv().ok();
        }
        Ok(ended)
    }

    /// A moment within twice that time.
    fn soon(&mut self, average_ms: u64) -> Instant {
        let span = usize::try_from(average_ms).unwrap_or(usize::MAX).saturating_mul(2_000);
        Instant::now() + Duration::from_micros(self.below(span) as u64)
    }

    fn below(&mut self, bound: usize) -> usize {
        let number = u64::from_be_bytes(self.random.bytes());
        usize::try_from(number % (bound.max(1) as u64)).unwrap_or_default()
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
