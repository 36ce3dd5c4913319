//! The socket to the server, from dialling on.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{Interest, Registry, Token, net::TcpStream};

/// A connection that stands, or is about to.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    stands: bool,
    /// The addresses to try if this one fails.
    others: Vec<SocketAddr>,
}

/// What an event has brought to a connection that did not stand yet.
#[derive(Debug)]
pub(super) enum Dialled {
    Stands,
    Waits,
}

impl Connection {
    /// Starts to connect to the first of `addresses` that lets itself be tried.
    pub(super) fn dial(addresses: &[SocketAddr], registry: &Registry, token: Token) -> Result<Self, String> {
        let mut others = addresses.to_vec();
        others.reverse();
        Self::dial_next(others, registry, token, "there is no address to try")
    }

    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    /// Looks whether the connection stands now, and goes on to the next address if it cannot.
    pub(super) fn check(&mut self, registry: &Registry, token: Token) -> Result<Dialled, String> {
        let failed = match self.stream.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => match self.stream.peer_addr() {
                Ok(_) => {
                    self.stands = true;
                    // Small frames must not wait for acknowledgements of earlier ones.
                    let _ = self.stream.set_nodelay(true);
                    return Ok(Dialled::Stands);
                }
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(Dialled::Waits),
                Err(error) => error,
            },
        };
        self.close(registry);
        let others = std::mem::take(&mut self.others);
        *self = Self::dial_next(others, registry, token, &failed.to_string())?;
        Ok(Dialled::Waits)
    }

    /// Reads once. `Ok(None)`: no more for now; 0 bytes: the other side closed.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        unless_blocked(|| self.stream.read(into))
    }

    /// Writes once. `Ok(None)`: no room for now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        unless_blocked(|| self.stream.write(bytes))
    }

    pub(super) fn close(&mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn dial_next(
        mut others: Vec<SocketAddr>,
        registry: &Registry,
        token: Token,
        reason: &str,
    ) -> Result<Self, String> {
        let mut reason = reason.to_owned();
        while let Some(address) = others.pop() {
            let started = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match started {
                Ok(stream) => return Ok(Self { stream, stands: false, others }),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }
}

fn unless_blocked(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        return match call() {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        };
    }
}
