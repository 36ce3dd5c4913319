//! One user's client, which is killed and started again.
//!
//! Owns his process of the moment, the commands it was given and what of them is open.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::Sender,
    thread::{self, JoinHandle},
};

use super::book::Life;
use crate::PASSWORD;

/// A line that a client wrote, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub by: Life,
    /// `None`: the process is gone, and all that it wrote was read.
    pub line: Option<String>,
}

/// A user and his clients, one at a time.
#[derive(Debug)]
pub struct Player {
    program: PathBuf,
    home: PathBuf,
    name: String,
    life: Life,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    reader: JoinHandle<()>,
    commands: u64,
    /// The messages that were not answered, by the number of the command.
    open: BTreeMap<u64, usize>,
}

impl Player {
    /// The user of that number and name, with an empty folder of his own in `home`.
    pub fn new(program: PathBuf, home: &Path, number: usize, name: &str) -> io::Result<Self> {
        let home = home.join(name);
        fs::create_dir(&home)?;
        let life = Life { user: number, number: 0 };
        Ok(Self { program, home, name: name.to_owned(), life, process: None })
    }

    /// Starts a client; what it writes goes to `sink`.
    pub fn start(&mut self, server: SocketAddr, sink: Sender<Said>) -> io::Result<()> {
        self.life.number += 1;
        let by = self.life;
        let mut child = Command::new(&self.program)
            .args(["--json", "--user", &self.name, "--dir", "."])
            .args([server.ip().to_string(), server.port().to_string()])
            .current_dir(&self.home)
            .env("PARLOUR_CONFIG_DIR", self.home.join("config"))
            .env("PARLOUR_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::options().create(true).append(true).open(self.home.join("client.log"))?)
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sink.send(Said { by, line: Some(line) });
            }
            let _ = sink.send(Said { by, line: None });
        });
        self.process = Some(Process { child, input, reader, commands: 0, open: BTreeMap::new() });
        Ok(())
    }

    /// The process of the moment, or the last.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Whether there is one.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Messages that were sent and not answered.
    pub fn open_count(&self) -> usize {
        self.process.as_ref().map_or(0, |process| process.open.len())
    }

    /// Sends the message of that number. One that cannot be written any more has no answer, as with any client that
    /// dies.
    pub fn send(&mut self, to: &str, number: usize) {
        let Some(process) = &mut self.process else { return };
        let Some(input) = &mut process.input else { return };
        process.commands += 1;
        process.open.insert(process.commands, number);
        let _ = writeln!(input, "message {to} {number}").and_then(|()| input.flush());
    }

    /// A command of this client's has ended: the message that it sent.
    pub fn answered(&mut self, command: u64) -> Option<usize> {
        self.process.as_mut()?.open.remove(&command)
    }

    /// Kills it.
    pub fn kill(&mut self) -> io::Result<()> {
        match &mut self.process {
            Some(process) => process.child.kill(),
            None => Ok(()),
        }
    }

    /// No more commands: it leaves when all are answered.
    pub fn close_input(&mut self) {
        if let Some(process) = &mut self.process {
            process.input = None;
        }
    }

    /// All that it wrote was read: it is over, with this exit code if it was not killed.
    pub fn bury(&mut self) -> io::Result<Option<i32>> {
        let Some(Process { mut child, reader, .. }) = self.process.take() else { return Ok(None) };
        let _ = reader.join();
        Ok(child.wait()?.code())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = self.bury();
    }
}
