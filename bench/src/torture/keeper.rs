//! The server that is killed and started again, on one port and one data directory.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::server::accounts;

/// A place for servers, one at a time.
#[derive(Debug)]
pub struct Keeper {
    program: PathBuf,
    home: PathBuf,
    address: Option<SocketAddr>,
    child: Option<Child>,
}

impl Keeper {
    /// A place in an empty folder, with these accounts. Nothing runs yet.
    pub fn new(program: PathBuf, home: &Path, users: &[String]) -> io::Result<Self> {
        fs::write(home.join("credentials"), accounts(users)?)?;
        Ok(Self { program, home: home.to_owned(), address: None, child: None })
    }

    /// Starts a server; the first picks the port, the others have the same.
    pub fn start(&mut self) -> io::Result<SocketAddr> {
        let log = fs::File::options().create(true).append(true).open(self.home.join("server.log"))?;
        let port = self.address.map_or(0, |address| address.port()).to_string();
        let mut child = self
            .command()
            .args(["--credentials", "credentials", "--data-dir", "data", &port, "60", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut first = String::new();
        if let Some(said) = child.stdout.take() {
            BufReader::new(said).read_line(&mut first)?;
        }
        self.child = Some(child);
        let address = first.trim_end().strip_prefix("listening ").and_then(|address| address.parse().ok());
        let log = || fs::read_to_string(self.home.join("server.log")).unwrap_or_default();
        let address = address.ok_or_else(|| io::Error::other(format!("no server: {}", log())))?;
        self.address = Some(address);
        Ok(address)
    }

    /// Kills it, without a chance to say anything.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status()?;
        if child.wait()?.success() { Ok(()) } else { Err(io::Error::other("the server did not stop well")) }
    }

    /// Whether one runs.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// What `parlour-server check` says of what is left; an error if it is not sound.
    pub fn check(&self) -> io::Result<String> {
        let checked = self.command().args(["check", "--data-dir", "data"]).output()?;
        if checked.status.success() {
            return Ok(String::from_utf8_lossy(&checked.stdout).trim_end().to_owned());
        }
        Err(io::Error::other(String::from_utf8_lossy(&checked.stderr).into_owned()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.home);
        command
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
