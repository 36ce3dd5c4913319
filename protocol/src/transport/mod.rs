//! A connection's bytes on their way through TLS, or plain: the same for a server, a client and a peer.
//!
//! Owns the pumping between a non-blocking stream and a TLS session. Must not know sockets, polls or frames;
//! it is the only part of this crate that calls `read` and `write`.

mod identity;
mod tls;

use std::io::{self, Read, Write};

use rustls::Connection;

use crate::fingerprint::Fingerprint;

pub use identity::{Identity, IdentityError};
pub use tls::{client_config, peer_configs, server_config, server_name};

/// Bytes of plaintext, and of TLS records, that a session holds for a stream that takes no more.
const BUFFER_LEN_MAX: usize = 64 * 1024;
/// Calls of `read` on the stream for one call of [`Transport::read`], unless much is to be read: records without
/// plaintext must not keep a loop busy.
const READS_MAX: usize = 32;
/// A session takes no more than twice that from the stream at once, in bytes.
const READ_LEN: usize = 2 * 1024;

/// What came of reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The stream gives or takes no more; the poll will tell when it does.
    Blocked,
    /// There may be more, and no event will come for it.
    More,
    /// The other side closed, or the connection broke.
    Ended,
}

/// What a finished handshake has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// The data to which a log-in over this connection is bound: `tls-exporter` (RFC 9266).
    pub binding: [u8; 32],
    /// The other side's key, if it showed one.
    pub peer: Option<Fingerprint>,
}

/// A stream, with or without TLS around it.
#[derive(Debug)]
pub enum Transport<S> {
    /// As it is.
    Plain(S),
    /// Encrypted.
    Tls(Box<Session<S>>),
}

/// A TLS session over a stream.
#[derive(Debug)]
pub struct Session<S> {
    stream: S,
    tls: Connection,
    /// Whether [`Transport::secured`] has told.
    told: bool,
    fault: Option<rustls::Error>,
}

impl<S: Read + Write> Transport<S> {
    /// A session at the start of its handshake.
    pub fn tls(stream: S, session: impl Into<Connection>) -> Self {
        let mut tls = session.into();
        tls.set_buffer_limit(Some(BUFFER_LEN_MAX));
        Self::Tls(Box::new(Session { stream, tls, told: false, fault: None }))
    }

    /// The stream itself.
    pub fn stream(&self) -> &S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => &session.stream,
        }
    }

    /// The stream itself.
    pub fn stream_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => &mut session.stream,
        }
    }

    /// Reads until `into` is full or the stream has no more. What was read counts even with
    /// [`Progress::Ended`].
    pub fn read(&mut self, into: &mut [u8]) -> (usize, Progress) {
        match self {
            Self::Plain(stream) => {
                let (len, progress) = retry(|| stream.read(into));
                if progress == Progress::More && len == 0 { (0, Progress::Ended) } else { (len, progress) }
            }
            Self::Tls(session) => session.read(into),
        }
    }

    /// Writes as much of `bytes` as the stream, or the session's buffer, takes.
    pub fn write(&mut self, bytes: &[u8]) -> (usize, Progress) {
        match self {
            Self::Plain(stream) => retry(|| stream.write(bytes)),
            Self::Tls(session) => session.write(bytes),
        }
    }

    /// Sends what the session has waiting. [`Progress::More`]: nothing waits any more.
    pub fn flush(&mut self) -> Progress {
        match self {
            Self::Plain(_) => Progress::More,
            Self::Tls(session) => session.flush(),
        }
    }

    /// Whether the session has something waiting to be sent.
    pub fn wants_write(&self) -> bool {
        matches!(self, Self::Tls(session) if session.tls.wants_write())
    }

    /// What the handshake has shown: once, when it is finished.
    pub fn secured(&mut self) -> Option<Secured> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.secured(),
        }
    }

    /// Says that no more will be sent, as far as TLS goes.
    pub fn end_writing(&mut self) {
        if let Self::Tls(session) = self {
            session.tls.send_close_notify();
            session.flush();
        }
    }

    /// Why the TLS session failed, if it did.
    pub fn fault(&self) -> Option<&rustls::Error> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.fault.as_ref(),
        }
    }
}

impl<S: Read + Write> Session<S> {
    fn read(&mut self, into: &mut [u8]) -> (usize, Progress) {
        let mut len = 0;
        for _ in 0..READS_MAX.max(into.len() / READ_LEN) {
            let Some(room) = into.get_mut(len..).filter(|room| !room.is_empty()) else {
                return (len, Progress::More);
            };
            match self.tls.reader().read(room) {
                // The other side has said that it sends no more.
                Ok(0) => return (len, Progress::Ended),
                Ok(more) => {
                    len += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return (len, Progress::Ended),
            }
            match retry(|| self.tls.read_tls(&mut self.stream)) {
                (0, Progress::More) => return (len, Progress::Ended),
                (_, Progress::More) => {}
                (_, stopped) => return (len, stopped),
            }
            if let Err(fault) = self.tls.process_new_packets() {
                self.fault = Some(fault);
                // The alert that tells the other side why.
                self.flush();
                return (len, Progress::Ended);
            }
            if self.tls.wants_write() && self.flush() == Progress::Ended {
                return (len, Progress::Ended);
            }
        }
        (len, Progress::More)
    }

    fn write(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut len = self.tls.writer().write(bytes).unwrap_or_default();
        let mut progress = self.flush();
        if len == 0 && progress == Progress::More {
            // The session was full and is not any more. No event would tell: the stream itself was not.
            len = self.tls.writer().write(bytes).unwrap_or_default();
            progress = self.flush();
        }
        match progress {
            Progress::More if len == 0 && !bytes.is_empty() => (0, Progress::Blocked),
            progress => (len, progress),
        }
    }

    fn flush(&mut self) -> Progress {
        while self.tls.wants_write() {
            match retry(|| self.tls.write_tls(&mut self.stream)) {
                (0, Progress::More) => return Progress::Ended,
                (_, Progress::More) => {}
                (_, stopped) => return stopped,
            }
        }
        Progress::More
    }

    fn secured(&mut self) -> Option<Secured> {
        if self.told || self.tls.is_handshaking() {
            return None;
        }
        self.told = true;
        let binding = self.tls.export_keying_material([0; 32], tls::BINDING_LABEL, Some(&[])).ok()?;
        let peer = self.tls.peer_certificates().and_then(<[_]>::first).and_then(tls::fingerprint);
        Some(Secured { binding, peer })
    }
}

/// Calls until the call was not interrupted by a signal.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> (usize, Progress) {
    loop {
        return match call() {
            Ok(len) => (len, Progress::More),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Progress::Blocked),
            Err(_) => (0, Progress::Ended),
        };
    }
}

#[cfg(test)]
mod tests;
