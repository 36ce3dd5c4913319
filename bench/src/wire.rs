//! One connection to the server, from dialling on: bytes, whatever they mean.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use mio::{Interest, Registry, Token, net::TcpStream};
use protocol::transport::{self, Progress, Secured, Transport};
use rustls::{ClientConfig, ClientConnection};

/// How to reach the server.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it listens.
    pub address: SocketAddr,
    /// `None`: without TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// A connection that stands, or is about to.
#[derive(Debug)]
pub struct Wire {
    transport: Transport<TcpStream>,
    is_dialling: bool,
}

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Neither there nor lost.
    Waits,
    /// It stands, since now; this is what a handshake has shown.
    Stands(Option<Secured>),
    /// It will not stand.
    Lost,
}

impl Route {
    /// The same without TLS, whether or not the server expects that.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { address: self.address, tls: None }
    }

    /// Starts to connect.
    pub fn dial(&self, registry: &Registry, token: Token) -> io::Result<Wire> {
        let mut stream = TcpStream::connect(self.address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(config) => {
                let name = transport::server_name("localhost");
                let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Transport::tls(stream, session)
            }
        };
        Ok(Wire { transport, is_dialling: true })
    }
}

impl Wire {
    /// Goes on until the connection stands; not to be called after that.
    pub fn step(&mut self) -> Step {
        if self.is_dialling {
            match self.transport.stream().peer_addr() {
                Ok(_) => self.is_dialling = false,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    let failed = !matches!(self.transport.stream().take_error(), Ok(None));
                    return if failed { Step::Lost } else { Step::Waits };
                }
                Err(_) => return Step::Lost,
            }
            if self.transport.stream().set_nodelay(true).is_err() {
                return Step::Lost;
            }
        }
        if let Transport::Plain(_) = self.transport {
            return Step::Stands(None);
        }
        self.transport.flush();
        // Nothing but the handshake can come before this side has said something.
        let (_, progress) = self.transport.read(&mut [0]);
        match self.transport.secured() {
            Some(secured) => Step::Stands(Some(secured)),
            None if progress == Progress::Ended => Step::Lost,
            None => Step::Waits,
        }
    }

    /// Reads what is there, up to the buffer's length.
    pub fn read(&mut self, into: &mut [u8]) -> (usize, Progress) {
        self.transport.read(into)
    }

    /// Reads and forgets everything that is there. Whether more may come.
    pub fn discard(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.transport.read(buffer).1 {
                Progress::More => {}
                Progress::Blocked => return true,
                Progress::Ended => return false,
            }
        }
    }

    /// Writes as much as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> (usize, Progress) {
        self.transport.write(bytes)
    }

    /// Sends what TLS has waiting.
    pub fn flush(&mut self) {
        self.transport.flush();
    }

    /// Ends the connection by a reset instead of an orderly end.
    pub fn reset(self) -> io::Result<()> {
        socket2::SockRef::from(self.transport.stream()).set_linger(Some(Duration::ZERO))
    }
}
