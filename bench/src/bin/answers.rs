//! How soon two clients answer their users while a file moves between them at full speed: the programs as they are,
//! over pipes.
//!
//!   answers PARLOUR PORT OWNER FETCHER
//!
//! OWNER has a directory of that name here, with the file `file`, and has registered it; FETCHER fetches it. Both are
//! asked `whoelse` all the time, each anew as soon as he has answered and a millisecond has passed.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use bench::{sample::Sample, server::cpu};

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(1);
/// Questions before the file moves, to compare with.
const QUIET: usize = 300;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "answers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let [program, port, owner, fetcher] = arguments else {
        return Err(io::Error::other("give the client, the server's port, and two users"));
    };
    let mut owner = User::start(program, port, owner)?;
    let mut fetcher = User::start(program, port, fetcher)?;
    let quiet = fetcher.ask_while(|asked| asked < QUIET)?;
    say("while nothing moves", &quiet.to_string())?;
    let cpu_of_both = |owner: &User, fetcher: &User| Ok::<_, io::Error>(owner.cpu()? + fetcher.cpu()?);
    let (began, before) = (Instant::now(), cpu_of_both(&owner, &fetcher)?);
    fetcher.say("download file")?;
    let is_there = AtomicBool::new(false);
    let (giving, fetching) = thread::scope(|scope| {
        let giving = scope.spawn(|| owner.ask_while(|_| !is_there.load(Ordering::Relaxed)));
        let fetching = fetcher.ask_until_downloaded();
        is_there.store(true, Ordering::Relaxed);
        (giving.join(), fetching)
    });
    let (wall, cpu) = (began.elapsed(), cpu_of_both(&owner, &fetcher)?.saturating_sub(before));
    let giving = giving.map_err(|_| io::Error::other("a thread fell over"))??;
    say("while a file is given", &giving.to_string())?;
    say("while a file is fetched", &fetching?.to_string())?;
    say("the file meanwhile", &format!("{:.2} s wall, {:.2} s CPU", wall.as_secs_f64(), cpu.as_secs_f64()))
}

fn say(what: &str, figures: &str) -> io::Result<()> {
    writeln!(io::stdout(), "chat {what:<25} {figures}")
}

/// A running client, killed when dropped.
struct User {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    is_downloaded: bool,
}

impl User {
    fn start(program: &str, port: &str, name: &str) -> io::Result<Self> {
        fs::create_dir_all(name)?;
        let mut child = Command::new(program)
            .args(["--json", "--user", name, "--dir", name, "127.0.0.1", port])
            .env("PARLOUR_CONFIG_DIR", std::env::current_dir()?.join(format!("{name}.conf")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the client has no pipes"));
        };
        let mut user = Self { child, input, output: BufReader::new(output), is_downloaded: false };
        while !user.line()?.contains("\"event\":\"login\"") {}
        Ok(user)
    }

    fn cpu(&self) -> io::Result<Duration> {
        cpu(self.child.id())
    }

    fn ask_until_downloaded(&mut self) -> io::Result<Sample> {
        let mut times = Vec::new();
        while !self.is_downloaded {
            times.push(self.ask()?);
        }
        Ok(times.into_iter().collect())
    }

    fn ask_while(&mut self, goes_on: impl Fn(usize) -> bool) -> io::Result<Sample> {
        let mut times = Vec::new();
        while goes_on(times.len()) {
            times.push(self.ask()?);
        }
        Ok(times.into_iter().collect())
    }

    /// How long the answer takes.
    fn ask(&mut self) -> io::Result<Duration> {
        thread::sleep(PAUSE);
        let asked = Instant::now();
        self.say("whoelse")?;
        loop {
            let line = self.line()?;
            if line.contains("\"event\":\"error\"") {
                return Err(io::Error::other(line));
            }
            self.is_downloaded |= line.contains("\"command\":\"download\"");
            if line.contains("\"command\":\"whoelse\"") {
                return Ok(asked.elapsed());
            }
        }
    }

    fn say(&mut self, command: &str) -> io::Result<()> {
        self.input.write_all(format!("{command}\n").as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(io::Error::other("a client has ended")),
            _ => Ok(line),
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
