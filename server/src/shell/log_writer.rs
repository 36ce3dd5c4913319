//! The log on its way to standard error: a queue and a thread, so that a full pipe or disk holds up nobody.
//!
//! Owns the bound of the queue and the count of what did not fit. Must not know what a line says.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Bytes that wait: some thousand lines.
const QUEUE_LEN_MAX: usize = 256 * 1024;
/// How long the end of the program waits for the last lines.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// The name of the thread that writes.
pub(super) const THREAD: &str = "log";

/// Takes lines and never waits. Each call of `write` is one line, taken whole or dropped whole.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Lines that did not fit since the last that did.
    dropped: u64,
    /// What was taken off is not all written yet.
    is_writing: bool,
}

impl LogWriter {
    /// Starts the thread that writes to `out`; it ends with the program.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Self(Arc::clone(&shared));
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || shared.write_to(out))?;
        Ok(writer)
    }

    /// Waits until everything is written, but not for ever.
    pub fn finish(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.bytes.is_empty();
        // Whoever does not read the log must not keep the program from ending.
        let _ = self.0.changed.wait_timeout_while(self.0.lock(), FLUSH_TIME_MAX, is_busy);
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.lock();
        if queue.bytes.len() + line.len() > QUEUE_LEN_MAX {
            queue.dropped += 1;
        } else {
            queue.bytes.extend_from_slice(line);
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        loop {
            let waits = |queue: &mut Queue| queue.bytes.is_empty() && queue.dropped == 0;
            let Ok(mut queue) = self.changed.wait_while(self.lock(), waits) else { return };
            let (bytes, dropped) = (std::mem::take(&mut queue.bytes), std::mem::take(&mut queue.dropped));
            queue.is_writing = true;
            drop(queue);
            // There is nowhere to complain about a log that cannot be written.
            let _ = out.write_all(&bytes);
            if dropped > 0 {
                let text = format!("[{dropped} lines of log were dropped here: nobody read them in time]\n");
                let _ = out.write_all(text.as_bytes());
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// A thread that fell over while it logged left whole lines behind.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Says when it is written to, and waits to be told to go on.
    struct Pipe {
        written: Sender<Vec<u8>>,
        go_on: Receiver<()>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_no_time_and_is_told_how_many() {
        let (written, pieces) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        let mut writer = LogWriter::start(Pipe { written, go_on }).unwrap();
        writer.write_all(b"first\n").unwrap();
        assert_eq!(pieces.recv().unwrap(), b"first\n");
        // The pipe is stuck from here on.
        let line = [b'x'; 1024];
        for _ in 0..QUEUE_LEN_MAX / line.len() + 7 {
            writer.write_all(&line).unwrap();
        }
        drop(release);
        // The thread now fails to write, and goes on.
        writer.finish();
        let rest: Vec<u8> = {
            let mut rest = Vec::new();
            while let Ok(piece) = pieces.try_recv() {
                rest.extend(piece);
            }
            rest
        };
        let text = String::from_utf8(rest).unwrap();
        assert!(text.starts_with(&"x".repeat(QUEUE_LEN_MAX)), "{} bytes", text.len());
        assert!(text.contains("[7 lines of log were dropped"), "{}", text.get(QUEUE_LEN_MAX..).unwrap());
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let (written, pieces) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        let mut writer = LogWriter::start(Pipe { written, go_on }).unwrap();
        release.send(()).unwrap();
        writer.write_all(b"last words\n").unwrap();
        writer.finish();
        assert_eq!(pieces.try_recv().unwrap(), b"last words\n");
    }
}
