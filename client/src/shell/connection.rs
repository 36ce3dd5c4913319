//! The socket to the server, from dialling on.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    sync::Arc,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use protocol::transport::{Progress, Secured, Transport};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

/// How to reach the server.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Where it may be, in the order in which to try.
    pub(super) addresses: Vec<SocketAddr>,
    /// `None`: without TLS.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A connection that stands, or is about to.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport<TcpStream>,
    step: Step,
    /// What the server sent together with the end of its handshake, and nobody has read yet.
    early: Option<u8>,
    route: Route,
    /// The addresses to try if this one fails, the next one last.
    others: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The network has not answered yet.
    Dialling,
    /// TLS is being agreed on.
    Handshake,
    Stands,
}

/// What an event has brought to a connection that did not stand yet.
#[derive(Debug)]
pub(super) enum Dialled {
    Stands(Option<Secured>),
    Waits,
}

impl Connection {
    /// Starts to connect to the first address that lets itself be tried.
    pub(super) fn dial(route: Route, registry: &Registry, token: Token) -> Result<Self, String> {
        let others = route.addresses.iter().rev().copied().collect();
        Self::dial_next(route, others, registry, token, "there is no address to try.")
    }

    /// The address of this end.
    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        self.transport.stream().local_addr().ok().map(|address| address.ip())
    }

    pub(super) fn stands(&self) -> bool {
        self.step == Step::Stands
    }

    /// Looks whether the connection stands now, and goes on to the next address if it cannot.
    pub(super) fn check(&mut self, registry: &Registry, token: Token) -> Result<Dialled, String> {
        if self.step == Step::Dialling {
            match reached(self.transport.stream()) {
                Ok(false) => return Ok(Dialled::Waits),
                Ok(true) => self.step = Step::Handshake,
                Err(error) => {
                    self.close(registry);
                    let others = std::mem::take(&mut self.others);
                    *self =
                        Self::dial_next(self.route.clone(), others, registry, token, &unreachable(&error))?;
                    return Ok(Dialled::Waits);
                }
            }
        }
        self.shake_hands()
    }

    /// Reads into `into`; what was read counts even when the connection has ended.
    pub(super) fn read(&mut self, into: &mut [u8]) -> (usize, Progress) {
        match (self.early.take(), into) {
            (Some(byte), [first, rest @ ..]) => {
                *first = byte;
                let (len, progress) = self.transport.read(rest);
                (len + 1, progress)
            }
            (_, into) => self.transport.read(into),
        }
    }

    /// Writes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> (usize, Progress) {
        self.transport.write(bytes)
    }

    /// Sends what TLS has waiting.
    pub(super) fn flush(&mut self) {
        self.transport.flush();
    }

    pub(super) fn close(&mut self, registry: &Registry) {
        self.transport.end_writing();
        let stream = self.transport.stream_mut();
        let _ = registry.deregister(stream);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn shake_hands(&mut self) -> Result<Dialled, String> {
        if let Transport::Plain(_) = self.transport {
            self.step = Step::Stands;
            return Ok(Dialled::Stands(None));
        }
        self.transport.flush();
        // Reading is what drives the handshake, and takes no less than a byte of what may come behind it.
        let mut byte = [0];
        let (len, progress) = self.transport.read(&mut byte);
        self.early = (len > 0).then_some(byte[0]);
        if let Some(secured) = self.transport.secured() {
            self.step = Step::Stands;
            return Ok(Dialled::Stands(Some(secured)));
        }
        match (self.transport.fault(), progress) {
            (Some(fault), _) => Err(explain(fault)),
            (None, Progress::Ended) => Err("it closed the connection while TLS was agreed on.".to_owned()),
            (None, _) => Ok(Dialled::Waits),
        }
    }

    fn dial_next(
        route: Route,
        mut others: Vec<SocketAddr>,
        registry: &Registry,
        token: Token,
        reason: &str,
    ) -> Result<Self, String> {
        let mut reason = reason.to_owned();
        while let Some(address) = others.pop() {
            let started = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                wrap(stream, &route)
            });
            match started {
                Ok(transport) => {
                    return Ok(Self { transport, step: Step::Dialling, early: None, route, others });
                }
                Err(error) => reason = unreachable(&error),
            }
        }
        Err(reason)
    }
}

fn wrap(stream: TcpStream, route: &Route) -> io::Result<Transport<TcpStream>> {
    let Some((config, name)) = &route.tls else { return Ok(Transport::Plain(stream)) };
    let session = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
    Ok(Transport::tls(stream, session))
}

fn unreachable(error: &io::Error) -> String {
    format!("{error}. Is the server running there?")
}

/// What a failed handshake means. Going without TLS gives up its protection, so that is advised only where the other
/// side speaks something else, and not where somebody tries to pass for a server.
fn explain(fault: &rustls::Error) -> String {
    match fault {
        rustls::Error::InvalidMessage(_) => format!(
            "it does not speak TLS ({fault}). If its operator says that it runs without, give --no-tls; then \
             everybody on the way can read along."
        ),
        rustls::Error::InvalidCertificate(_) => format!(
            "it does not prove that it has the key it shows ({fault}). Somebody may sit between you and the server."
        ),
        _ => format!("TLS could not be agreed on ({fault})."),
    }
}

/// Whether the network has answered; for every socket of this program that dials.
pub(super) fn reached(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => {
            // Small frames must not wait for acknowledgements of earlier ones.
            stream.set_nodelay(true)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
