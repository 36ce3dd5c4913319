//! The accepted sockets, by slot and generation.
//!
//! Owns reading and writing until the socket has no more or the budget is spent. Must not know what bytes mean.

use core::time::Duration;
use std::{io, sync::Arc};

use mio::{Interest, Registry, Token, net::TcpStream};
use protocol::transport::{Progress, Secured, Transport};
use rustls::{ServerConfig, ServerConnection};
use slab::Slab;

use crate::hub::ConnId;

/// Bytes read from one socket in one turn, so that a firehose leaves time for others: as TLS records of one
/// small frame each, they take a tenth of a millisecond.
pub(super) const READ_LEN_MAX: usize = 8 * 1024;
/// Bytes written to one socket in one turn: encrypted in some 50 µs.
pub(super) const WRITE_LEN_MAX: usize = 64 * 1024;
/// Bytes gathered for one `send`: small frames leave together, and large ones are not copied needlessly far
/// ahead of a socket that will not take them.
pub(super) const GATHER_LEN_MAX: usize = 64 * 1024;
/// How long sent bytes may stay without the other side's TCP acknowledging them. Below the 60 s in which a
/// dead connection must be found.
const UNACKNOWLEDGED: Duration = Duration::from_secs(45);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one socket")]
pub(super) struct Connection {
    transport: Transport<TcpStream>,
    generation: u32,
    /// Whether the hub wants its bytes.
    pub(super) reading: bool,
    /// Whether the socket may have bytes for us.
    pub(super) ready: bool,
    /// Whether the last read has left something in the socket.
    pub(super) has_rest: bool,
    /// Whether it stands on the list of those to read from,
    pub(super) is_readable_listed: bool,
    /// or to write to. Nobody stands on a list twice.
    pub(super) is_writable_listed: bool,
    /// Whether TLS is still being agreed on.
    pub(super) is_newcomer: bool,
    /// Whether the other side has said that no more comes: then only a read of 0 bytes is the end.
    pub(super) read_closed: bool,
    /// Whether the socket was too full at the last try, and no event has told since that it is not.
    pub(super) blocked: bool,
    /// Whether the poll was asked for writability.
    awaits_writable: bool,
    /// It was closed, and its slot is freed at the end of the turn.
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    /// How connections are encrypted, if they are.
    tls: Option<Arc<ServerConfig>>,
    slots: Slab<Connection>,
    /// How often each slot was used.
    generations: Vec<u32>,
    to_free: Vec<usize>,
}

impl Connections {
    pub(super) fn new(tls: Option<Arc<ServerConfig>>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// Takes a connection in; `first_token` is the token of slot 0.
    pub(super) fn insert(
        &mut self,
        mut stream: TcpStream,
        registry: &Registry,
        first_token: usize,
    ) -> io::Result<ConnId> {
        // Small frames must not wait for acknowledgements of earlier ones.
        stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        registry.register(&mut stream, Token(first_token + key), Interest::READABLE)?;
        if self.generations.len() <= key {
            self.generations.resize(key + 1, 0);
        }
        let generation = self.generations.get(key).copied().unwrap_or_default();
        let transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Transport::tls(stream, session)
            }
        };
        entry.insert(Connection {
            transport,
            generation,
            reading: true,
            ready: false,
            has_rest: false,
            is_readable_listed: false,
            is_writable_listed: false,
            is_newcomer: self.tls.is_some(),
            read_closed: false,
            blocked: false,
            awaits_writable: false,
            closed: false,
        });
        Ok(ConnId { index: u32::try_from(key).unwrap_or(u32::MAX), generation })
    }

    /// How many sockets there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The connection that has this slot now.
    pub(super) fn at(&self, index: usize) -> Option<ConnId> {
        let connection = self.slots.get(index).filter(|connection| !connection.closed)?;
        Some(ConnId { index: u32::try_from(index).ok()?, generation: connection.generation })
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(conn.index as usize)?;
        (connection.generation == conn.generation && !connection.closed).then_some(connection)
    }

    /// Closes the socket; the slot stays taken until [`Connections::free`], so that events of this turn that
    /// are still to come hit nobody else.
    pub(super) fn close(&mut self, conn: ConnId, registry: &Registry) {
        if let Some(connection) = self.get_mut(conn) {
            connection.closed = true;
            let stream = connection.transport.stream_mut();
            let _ = registry.deregister(stream);
            let _ = stream.shutdown(std::net::Shutdown::Both);
            self.to_free.push(conn.index as usize);
        }
    }

    /// Frees the slots of this turn's closed connections.
    pub(super) fn free(&mut self) {
        for key in self.to_free.drain(..) {
            self.slots.try_remove(key);
            if let Some(generation) = self.generations.get_mut(key) {
                *generation = generation.wrapping_add(1);
            }
        }
    }
}

impl Connection {
    /// Reads at most `into`.
    ///
    /// Where readiness comes from epoll or kqueue, a read that does not fill the buffer has emptied the socket
    /// (epoll(7)), so no second call is needed to learn that.
    pub(super) fn read(&mut self, into: &mut [u8]) -> (usize, Progress) {
        let (len, progress) = self.transport.read(into);
        let emptied = len < into.len() && cfg!(unix) && !self.read_closed;
        match (&self.transport, progress) {
            (Transport::Plain(_), Progress::More) if emptied => (len, Progress::Blocked),
            _ => (len, progress),
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> (usize, Progress) {
        self.transport.write(bytes)
    }

    /// Sends what TLS has waiting. [`Progress::More`]: nothing waits.
    pub(super) fn flush(&mut self) -> Progress {
        self.transport.flush()
    }

    /// Whether TLS has something waiting.
    pub(super) fn wants_write(&self) -> bool {
        self.transport.wants_write()
    }

    /// What the handshake has shown, once.
    pub(super) fn secured(&mut self) -> Option<Secured> {
        let secured = self.transport.secured();
        self.is_newcomer &= secured.is_none();
        secured
    }

    /// Why TLS failed, if it did.
    pub(super) fn fault(&self) -> Option<&rustls::Error> {
        self.transport.fault()
    }

    /// Tells the other side that no more comes.
    pub(super) fn end_writing(&mut self) {
        self.transport.end_writing();
        // It may be gone already; the read side will tell.
        let _ = self.transport.stream().shutdown(std::net::Shutdown::Write);
    }

    /// Asks the poll for writability only while bytes wait: elsewhere than on Linux each acknowledgement of
    /// sent bytes would wake the loop.
    pub(super) fn await_writable(
        &mut self,
        wanted: bool,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        if self.awaits_writable == wanted {
            return Ok(());
        }
        self.awaits_writable = wanted;
        let interest = if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        registry.reregister(self.transport.stream_mut(), token, interest)
    }
}
