//! What a link's TLS session reads and writes: a socket, or a relay of the server's.

use std::io::{self, BufReader, IoSlice, Read, Write};

use mio::net::TcpStream;

/// Encrypted bytes that wait to be given to the server above which a relay takes no more.
const OUTBOX_LEN_MAX: usize = 64 * 1024;

/// Bytes read from a socket at once; TLS takes them in small pieces.
const INBOX_LEN: usize = 128 * 1024;

/// The bytes of a link.
#[derive(Debug)]
pub(super) enum PeerStream {
    /// Straight to the other client.
    Tcp(BufReader<TcpStream>),
    /// Through the server.
    Relay(Pipe),
}

/// Both directions of a relay.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// What came and was not read yet; the server's credit bounds it.
    inbox: Vec<u8>,
    read_to: usize,
    outbox: Vec<u8>,
    ended: bool,
}

impl PeerStream {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::Tcp(BufReader::with_capacity(INBOX_LEN, stream))
    }
}

impl Pipe {
    /// Bytes came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.inbox.drain(..self.read_to);
        self.read_to = 0;
        self.inbox.extend_from_slice(bytes);
    }

    /// No more will come, and nothing can be sent.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Takes up to `len_max` bytes that are to be sent.
    pub(super) fn take_outgoing(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.outbox.len().min(len_max);
        self.outbox.drain(..len).collect()
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.inbox.get(self.read_to..).unwrap_or_default();
        let len = rest.read(into)?;
        self.read_to += len;
        if len == 0 && !self.ended && !into.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = OUTBOX_LEN_MAX.saturating_sub(self.outbox.len());
        if self.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.outbox.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PeerStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Relay(pipe) => pipe.read(into),
        }
    }
}

impl Write for PeerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.get_mut().write(bytes),
            Self::Relay(pipe) => pipe.write(bytes),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.get_mut().write_vectored(pieces),
            Self::Relay(pipe) => pipe.write_vectored(pieces),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_blocks_when_empty_or_full_and_ends() {
        let mut pipe = Pipe::default();
        let mut into = [0; 3];
        assert_eq!(pipe.read(&mut into).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.push(b"abcde");
        assert_eq!((pipe.read(&mut into).unwrap(), into), (3, *b"abc"));
        pipe.push(b"f");
        assert_eq!((pipe.read(&mut into).unwrap(), into), (3, *b"def"));
        assert_eq!(pipe.write(&vec![0; 2 * OUTBOX_LEN_MAX]).unwrap(), OUTBOX_LEN_MAX);
        assert_eq!(pipe.write(b"x").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(pipe.take_outgoing(5).len(), 5);
        assert_eq!(pipe.write(&[0; 9]).unwrap(), 5);
        pipe.end();
        assert_eq!(pipe.read(&mut into).unwrap(), 0);
    }
}
