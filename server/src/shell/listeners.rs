//! The listening sockets, and the one descriptor kept in reserve for when there are no more.

use core::net::{IpAddr, SocketAddr};
use std::{fs::File, io};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use protocol::time::MonoMs;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::quiet::Quiet;

/// Connections that the kernel completes before they are accepted: a burst of reconnects fits.
const BACKLOG: i32 = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}{}", advice(source))]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// What an attempt to accept gave.
#[derive(Debug)]
pub(super) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// A connection that did not survive being accepted, or for which there was no descriptor. There may be more.
    Lost,
    /// No more for now.
    Drained,
    /// No descriptor, and none in reserve: trying on would spin.
    Exhausted,
}

#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    spare: Option<File>,
    complaints: Quiet,
}

impl Listeners {
    pub(super) fn bind(addresses: &[IpAddr], port: u16) -> Result<Self, BindError> {
        // With an IPv4 address beside it, an IPv6 one must not claim IPv4's port too; alone, [::] serves both.
        let v6_only = addresses.iter().any(IpAddr::is_ipv4);
        let bind = |&ip: &IpAddr| {
            let address = SocketAddr::new(ip, port);
            listen(address, v6_only).map_err(|source| BindError { address, source })
        };
        Ok(Self {
            sockets: addresses.iter().map(bind).collect::<Result<_, _>>()?,
            spare: spare(),
            complaints: Quiet::default(),
        })
    }

    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    pub(super) fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        for (socket, token) in self.sockets.iter_mut().zip(first..) {
            registry.register(socket, Token(token), Interest::READABLE)?;
        }
        Ok(())
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.sockets.clear();
    }

    /// Takes one connection. One that cannot be kept for want of descriptors is closed with the spare one, so
    /// that its client knows, and the queue does not keep the loop awake.
    pub(super) fn accept(&mut self, index: usize, now: MonoMs) -> Accepted {
        let Some(socket) = self.sockets.get(index) else { return Accepted::Drained };
        match socket.accept() {
            Ok((stream, peer)) => Accepted::Connection(stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accepted::Drained,
            Err(error) if is_out_of_descriptors(&error) => {
                if self.spare.take().is_none() {
                    self.spare = spare();
                    return if self.spare.is_some() { Accepted::Lost } else { Accepted::Exhausted };
                }
                let outcome = socket.accept();
                let is_drained = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                drop(outcome);
                self.spare = spare();
                // Linux looks for a descriptor before it looks for a connection, so there may be none.
                if is_drained {
                    return Accepted::Drained;
                }
                if let Some(held_back) = self.complaints.admit(now) {
                    log::warn!("out of descriptors, a connection was dropped: {error}{held_back}");
                }
                Accepted::Lost
            }
            Err(error) => {
                log::debug!("a connection was lost before it was accepted: {error}");
                Accepted::Lost
            }
        }
    }
}

fn listen(address: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    // On Windows the same name means that anyone may steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn spare() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

/// EMFILE (24) and ENFILE (23) on every Unix; there is no portable kind for them.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has that port, choose another or stop it",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address, name another with --bind",
        _ => "",
    }
}
