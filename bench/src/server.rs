//! The server as a child process: its start, its end, and its figures.

use std::{
    cell::Cell,
    fs,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use protocol::{
    scram::{Iterations, Verifier},
    transport,
};
use tempfile::TempDir;

use crate::{PASSWORD, wire::Route};

/// Rounds of key derivation: the fewest allowed, because here one machine pays for all clients.
const ITERATIONS: u32 = 4096;
/// How long the server may take to tell its status.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    route: Route,
    log: Receiver<String>,
    /// Lines of its log so far.
    log_lines: Cell<usize>,
    // Last, so that it goes after the program that works in it.
    _directory: TempDir,
}

/// How to start it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The accounts, all with [`PASSWORD`].
    pub users: Vec<String>,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The limit of its descriptors; `None`: as high as the system allows.
    pub descriptors_max: Option<usize>,
}

/// What the system knows of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Time on a processor, all threads together.
    pub cpu: Duration,
    /// Time in which its event loop would have run, but something else had the processor: on a busy machine this
    /// is part of its turns.
    pub held_up: Duration,
    /// Resident memory.
    pub memory_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Sockets of clients.
    pub connections: usize,
    /// Users logged in.
    pub online: usize,
    /// Bytes in all outboxes.
    pub waiting_len: u64,
    /// The longest turn of the loop since it was last asked.
    pub longest_turn: Duration,
    /// The most processor time of one turn since then.
    pub busiest_turn: Duration,
}

impl Server {
    /// Starts the server that lies beside this program, and waits until it accepts connections.
    pub fn start(setup: &Setup) -> io::Result<Self> {
        Self::start_at(&std::env::current_exe()?.with_file_name("parlour-server"), setup)
    }

    /// Starts the server that lies there.
    pub fn start_at(program: &Path, setup: &Setup) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let credentials = directory.path().join("credentials");
        fs::write(&credentials, accounts(&setup.users)?)?;
        let mut command = Command::new("sh");
        // The shell lowers the limit, and becomes the server.
        let limit = setup.descriptors_max.map(|max| format!("ulimit -n {max} && ")).unwrap_or_default();
        command.arg("-c").arg(format!("{limit}exec \"$0\" \"$@\"")).arg(program);
        command.arg("--credentials").arg(credentials).arg("--data-dir").arg(directory.path().join("data"));
        if !setup.tls {
            command.arg("--no-tls");
        }
        command.args(["0", "60", "0"]).env("RUST_LOG", "info");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let log = lines(child.stderr.take());
        let mut said = child.stdout.take().map(BufReader::new).ok_or_else(|| other("no standard output"))?;
        let mut first = String::new();
        said.read_line(&mut first)?;
        let address = first.trim_end().strip_prefix("listening ").map(SocketAddr::from_str);
        let Some(Ok(address)) = address else {
            let _ = child.kill();
            let complaints: Vec<String> = log.iter().collect();
            return Err(other(&format!("the server did not start: {}", complaints.join("\n"))));
        };
        let tls = if setup.tls { Some(transport::client_config().map_err(io::Error::other)?) } else { None };
        Ok(Self { child, route: Route { address, tls }, log, log_lines: Cell::new(0), _directory: directory })
    }

    /// How to reach it.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Its process, whose first thread is the event loop.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it for its status; this starts a new count of its longest turn.
    pub fn status(&self) -> io::Result<Status> {
        self.log_lines();
        let pid = self.child.id().to_string();
        if !Command::new("kill").args(["-s", "USR1", &pid]).status()?.success() {
            return Err(other("the server is gone"));
        }
        loop {
            let line = self.log.recv_timeout(STATUS_PATIENCE).map_err(io::Error::other)?;
            self.log_lines.set(self.log_lines.get() + 1);
            if let Some((_, status)) = line.split_once("status: ") {
                return parse_status(status).ok_or_else(|| other(&format!("an odd status: {status}")));
            }
        }
    }

    /// How many lines it has logged so far.
    pub fn log_lines(&self) -> usize {
        self.log_lines.set(self.log_lines.get() + self.log.try_iter().count());
        self.log_lines.get()
    }

    /// What the system knows of it.
    pub fn figures(&self) -> io::Result<Figures> {
        let process = format!("/proc/{}", self.child.id());
        // The process's own file is that of its first thread, the event loop.
        let cpu = cpu(self.child.id())?;
        let held_up = nanos(Path::new(&format!("{process}/schedstat")), 1)?;
        let status = fs::read_to_string(format!("{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory_kib = number(memory.and_then(|rest| rest.split_whitespace().next()))?;
        let descriptors = fs::read_dir(format!("{process}/fd"))?.count();
        Ok(Figures { cpu, held_up, memory_kib, descriptors })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the threads of a process that live have used so far.
pub fn cpu(process: u32) -> io::Result<Duration> {
    fs::read_dir(format!("/proc/{process}/task"))?.map(|task| nanos(&task?.path().join("schedstat"), 0)).sum()
}

/// The first two numbers of a thread's schedstat are its time on a processor and its time of waiting for one.
fn nanos(path: &Path, at: usize) -> io::Result<Duration> {
    let text = fs::read_to_string(path)?;
    number(text.split_whitespace().nth(at)).map(Duration::from_nanos)
}

/// A credentials file. One salt serves all, so that a thousand accounts are made as fast as one.
pub(crate) fn accounts(users: &[String]) -> io::Result<String> {
    let iterations = Iterations::new(ITERATIONS).ok_or_else(|| other("too few rounds"))?;
    let verifier = Verifier::derive(PASSWORD, b"the salt of all", iterations);
    let lines: Vec<String> = users.iter().map(|user| format!("{user} {verifier}")).collect();
    Ok(lines.join("\n"))
}

/// The lines that come, read by a thread of their own so that the server never waits for this program.
fn lines(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(from) = from {
        thread::spawn(move || {
            BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
    }
    receiver
}

/// `2 connections, 2 users online, 0 bytes waiting, longest turn 81 us, 60 us of processor time`, and what may come behind.
fn parse_status(text: &str) -> Option<Status> {
    let mut numbers = text.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next();
    Some(Status {
        connections: usize::try_from(next()?).ok()?,
        online: usize::try_from(next()?).ok()?,
        waiting_len: next()?,
        longest_turn: Duration::from_micros(next()?),
        busiest_turn: Duration::from_micros(next()?),
    })
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| other("/proc is not as it was"))
}

fn other(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_understood() {
        let text = "2352 connections, 54 users online, 17 bytes waiting, longest turn 3200 us, 900 us of processor time";
        let longest_turn = Duration::from_micros(3200);
        let busiest_turn = Duration::from_micros(900);
        let status = Status { connections: 2352, online: 54, waiting_len: 17, longest_turn, busiest_turn };
        assert_eq!(parse_status(text), Some(status));
        assert_eq!(parse_status("nothing"), None);
    }
}
