//! All that a program has written to one stream, line by line, and waiting for more of it.
//!
//! Owns the reader thread; must not know what the lines mean.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

/// How many lines a failure shows of each stream.
const QUOTED_MAX: usize = 200;

/// One stream's lines so far; clones see the same stream.
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    /// With their line feeds, so that a last line without one shows.
    lines: Vec<String>,
    ended: bool,
}

impl Transcript {
    /// Collects `stream` on a thread of its own until it ends.
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let transcript = Self::default();
        let collector = transcript.clone();
        thread::spawn(move || collector.collect(stream));
        transcript
    }

    /// Line `index`, from 0, as soon as it is there; `None` when the stream ends or `deadline` passes before.
    pub(crate) fn line(&self, index: usize, deadline: Instant) -> Option<String> {
        let said = self.wait(deadline, |said| said.lines.len() > index);
        said.lines.get(index).cloned()
    }

    /// The first line from `index` on that `wanted` accepts; `None` as for `line`.
    pub(crate) fn find(
        &self,
        index: usize,
        deadline: Instant,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        (index..).map_while(|at| self.line(at, deadline)).find(|line| wanted(line))
    }

    /// Whether the stream has ended, at the latest at `deadline`.
    pub(crate) fn await_end(&self, deadline: Instant) -> bool {
        self.wait(deadline, |_| false).ended
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said().lines.clone()
    }

    /// The last lines so far, indented for a failure's message; very long ones are cut.
    pub(crate) fn quoted(&self) -> String {
        let said = self.said();
        let left_out = said.lines.len().saturating_sub(QUOTED_MAX);
        let cut = |line: &str| line.trim_end().chars().take(400).flat_map(visible).collect::<String>();
        let mut quoted =
            if left_out == 0 { String::new() } else { format!("    ({left_out} lines before)\n") };
        for line in said.lines.iter().skip(left_out) {
            quoted.extend(["    ", &cut(line), "\n"]);
        }
        quoted
    }

    fn collect(&self, stream: impl Read) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            let more = stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0);
            let mut said = self.said();
            if more {
                said.lines.push(String::from_utf8_lossy(&line).into_owned());
            } else {
                said.ended = true;
            }
            self.shared.changed.notify_all();
            if !more {
                return;
            }
        }
    }

    fn wait(&self, deadline: Instant, enough: impl Fn(&Said) -> bool) -> MutexGuard<'_, Said> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let unfinished = |said: &mut Said| !said.ended && !enough(said);
        self.shared.changed.wait_timeout_while(self.said(), patience, unfinished).unwrap().0
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.shared.said.lock().unwrap()
    }
}

/// A character as a failure shows it: one that would move the terminal comes escaped.
fn visible(letter: char) -> Vec<char> {
    if letter.is_control() { letter.escape_default().collect() } else { vec![letter] }
}
