//! Sockets and TLS sessions of links to other clients, and the relays in their place.
//!
//! Owns dialling, accepting, and the pumping of bytes. Decides nothing: which link is wanted, and who may come,
//! the core says.

mod stream;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    sync::Arc,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use protocol::{
    Fingerprint, TicketId,
    time::Now,
    transport::{Identity, Progress, Transport, peer_configs, server_name},
};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use slab::Slab;

use super::connection::reached;
use crate::core::{Core, Input, LinkId, PeerEffect, PeerInput};
use stream::{PeerStream, Pipe};

/// Bytes read from one link in one turn: more than a block, and little enough for a processor's cache.
const READ_LEN_MAX: usize = 256 * 1024;
/// Connections accepted in one turn.
const ACCEPTS_MAX: usize = 16;
/// Bytes given to one link in one turn.
const WRITE_LEN_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Peers {
    tls: (Arc<ServerConfig>, Arc<ClientConfig>),
    /// Tokens from here on are ours: the listener, then the sockets.
    first_token: usize,
    listener: Option<TcpListener>,
    sockets: Slab<Socket>,
    links: BTreeMap<LinkId, usize>,
    relays: BTreeMap<TicketId, usize>,
    next_link: u64,
    /// Sockets that may have something to read, for which no event will come.
    ready: Vec<usize>,
    accepting: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Socket {
    transport: Transport<PeerStream>,
    stage: Stage,
    relay: Option<TicketId>,
    /// Whether it may take bytes.
    writable: bool,
    is_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The network has not answered yet.
    Dialling {
        ticket: TicketId,
        key: Fingerprint,
    },
    /// TLS is being agreed on with who must show that key.
    Dialled {
        ticket: TicketId,
        key: Fingerprint,
    },
    /// TLS is being agreed on with a stranger.
    Accepted(LinkId),
    Stands(LinkId),
}

impl Peers {
    pub(super) fn new(identity: &Identity, first_token: usize) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: peer_configs(identity)?,
            first_token,
            listener: None,
            sockets: Slab::new(),
            links: BTreeMap::new(),
            relays: BTreeMap::new(),
            next_link: 0,
            ready: Vec::new(),
            accepting: false,
            buffer: vec![0; READ_LEN_MAX],
        })
    }

    /// Listens, in place of where it listened before; the address.
    pub(super) fn listen(
        &mut self,
        mut listener: TcpListener,
        registry: &Registry,
    ) -> io::Result<SocketAddr> {
        registry.register(&mut listener, Token(self.first_token), Interest::READABLE)?;
        let address = listener.local_addr()?;
        self.listener = Some(listener);
        Ok(address)
    }

    /// Where it listens, if it does.
    pub(super) fn listening_at(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Notes an event; whether the token is one of ours.
    pub(super) fn note(&mut self, event: &mio::event::Event) -> bool {
        let Some(index) = event.token().0.checked_sub(self.first_token) else { return false };
        if index == 0 {
            self.accepting = true;
            return true;
        }
        if let Some(socket) = self.sockets.get_mut(index - 1) {
            socket.writable |= event.is_writable();
        }
        self.wake(index - 1);
        true
    }

    /// Whether there is work for which no event will come.
    pub(super) fn has_work(&self) -> bool {
        self.accepting || !self.ready.is_empty()
    }

    /// Carries out an effect of the core's.
    pub(super) fn carry_out(&mut self, effect: PeerEffect, core: &mut Core, registry: &Registry, now: Now) {
        match effect {
            PeerEffect::Dial { ticket, addresses, key } => {
                for address in addresses {
                    // An address that cannot even be tried is one that did not answer.
                    let _ = self.dial(address, ticket, key, registry);
                }
                self.report_unreached(ticket, core, now);
            }
            PeerEffect::StopDialling { ticket } => self.stop_dialling(ticket, registry),
            PeerEffect::OpenRelay { ticket, key, starts } => {
                self.open_relay(ticket, key, starts, core, now);
            }
            PeerEffect::RelayReceived { ticket, bytes } => {
                let Some(&index) = self.relays.get(&ticket) else { return };
                if let Some(PeerStream::Relay(pipe)) =
                    self.sockets.get_mut(index).map(|socket| socket.transport.stream_mut())
                {
                    pipe.push(&bytes);
                }
                self.wake(index);
            }
            PeerEffect::EndRelay { ticket } => {
                let Some(index) = self.relays.remove(&ticket) else { return };
                if let Some(PeerStream::Relay(pipe)) =
                    self.sockets.get_mut(index).map(|socket| socket.transport.stream_mut())
                {
                    pipe.end();
                }
                self.wake(index);
            }
            PeerEffect::Close { link } => {
                if let Some(&index) = self.links.get(&link) {
                    self.remove(index, registry);
                }
            }
            // Where keys are kept is not known here.
            PeerEffect::Remember { .. } => {}
        }
    }

    /// Accepts, reads, and tells the core what came.
    pub(super) fn serve(&mut self, core: &mut Core, registry: &Registry, now: Now) {
        if self.accepting {
            self.accept(core, registry, now);
        }
        for index in std::mem::take(&mut self.ready) {
            if let Some(socket) = self.sockets.get_mut(index) {
                socket.is_ready = false;
                self.serve_socket(index, core, registry, now);
            }
        }
    }

    /// Sends what the core has for each link, and what relays have for the server.
    pub(super) fn send(&mut self, core: &mut Core, now: Now) {
        for link in core.dirty_links() {
            let Some(index) = self.links.get(&link).copied() else { continue };
            let Some(socket) = self.sockets.get_mut(index) else { continue };
            let mut len_left = WRITE_LEN_MAX;
            while socket.writable && len_left > 0 {
                let bytes = core.link_waiting(link);
                if bytes.is_empty() {
                    break;
                }
                let (len, progress) = socket.transport.write(bytes);
                core.link_sent(link, len);
                len_left = len_left.saturating_sub(len);
                // The event for more room comes by itself; that of a broken link too, on the read side.
                socket.writable = progress == Progress::More;
            }
            if socket.writable && len_left == 0 {
                self.wake(index);
            }
        }
        let relays: Vec<(TicketId, usize)> =
            self.relays.iter().map(|(&ticket, &index)| (ticket, index)).collect();
        for (ticket, index) in relays {
            let Some(socket) = self.sockets.get_mut(index) else { continue };
            socket.transport.flush();
            let PeerStream::Relay(pipe) = socket.transport.stream_mut() else { continue };
            let bytes = pipe.take_outgoing(core.relay_room(ticket));
            if !bytes.is_empty() {
                socket.writable = true;
                core.handle_input(now, Input::Peer(PeerInput::RelaySend { ticket, bytes: &bytes }));
                self.wake(index);
            }
        }
    }

    fn wake(&mut self, index: usize) {
        if let Some(socket) = self.sockets.get_mut(index).filter(|socket| !socket.is_ready) {
            socket.is_ready = true;
            self.ready.push(index);
        }
    }

    fn accept(&mut self, core: &mut Core, registry: &Registry, now: Now) {
        let Some(listener) = &self.listener else {
            self.accepting = false;
            return;
        };
        let mut accepted = Vec::new();
        for _ in 0..ACCEPTS_MAX {
            match listener.accept() {
                Ok((stream, _)) => accepted.push(stream),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A connection that broke before it was taken, or no descriptor left: the next event tells.
                Err(_) => {
                    self.accepting = false;
                    break;
                }
            }
        }
        for stream in accepted {
            let Ok(session) = ServerConnection::new(Arc::clone(&self.tls.0)) else { continue };
            let _ = stream.set_nodelay(true);
            let link = self.new_link();
            let transport = Transport::tls(PeerStream::tcp(stream), session);
            if let Ok(index) = self.insert(transport, Stage::Accepted(link), registry) {
                self.links.insert(link, index);
                core.handle_input(now, Input::Peer(PeerInput::Accepted { link, relay: None }));
                self.wake(index);
            }
        }
    }

    fn dial(
        &mut self,
        address: SocketAddr,
        ticket: TicketId,
        key: Fingerprint,
        registry: &Registry,
    ) -> io::Result<()> {
        let stream = TcpStream::connect(address)?;
        let transport = self.as_client(PeerStream::tcp(stream))?;
        self.insert(transport, Stage::Dialling { ticket, key }, registry).map(|_| ())
    }

    fn open_relay(&mut self, ticket: TicketId, key: Fingerprint, starts: bool, core: &mut Core, now: Now) {
        let stream = PeerStream::Relay(Pipe::default());
        let (transport, stage) = if starts {
            let Ok(transport) = self.as_client(stream) else { return };
            (transport, Stage::Dialled { ticket, key })
        } else {
            let Ok(session) = ServerConnection::new(Arc::clone(&self.tls.0)) else { return };
            (Transport::tls(stream, session), Stage::Accepted(self.new_link()))
        };
        let index = self.sockets.insert(Socket {
            transport,
            stage,
            relay: Some(ticket),
            writable: true,
            is_ready: false,
        });
        self.relays.insert(ticket, index);
        if let Stage::Accepted(link) = stage {
            self.links.insert(link, index);
            core.handle_input(now, Input::Peer(PeerInput::Accepted { link, relay: Some(ticket) }));
        }
        self.wake(index);
    }

    fn as_client(&self, stream: PeerStream) -> io::Result<Transport<PeerStream>> {
        let name = server_name("parlour.invalid");
        let session = ClientConnection::new(Arc::clone(&self.tls.1), name).map_err(io::Error::other)?;
        Ok(Transport::tls(stream, session))
    }

    fn insert(
        &mut self,
        mut transport: Transport<PeerStream>,
        stage: Stage,
        registry: &Registry,
    ) -> io::Result<usize> {
        let entry = self.sockets.vacant_entry();
        let index = entry.key();
        if let PeerStream::Tcp(stream) = transport.stream_mut() {
            let token = Token(self.first_token + 1 + index);
            registry.register(stream.get_mut(), token, Interest::READABLE | Interest::WRITABLE)?;
        }
        entry.insert(Socket { transport, stage, relay: None, writable: true, is_ready: false });
        Ok(index)
    }

    fn serve_socket(&mut self, index: usize, core: &mut Core, registry: &Registry, now: Now) {
        let Some(socket) = self.sockets.get_mut(index) else { return };
        if let Stage::Dialling { ticket, key } = socket.stage {
            let PeerStream::Tcp(stream) = socket.transport.stream() else { return };
            match reached(stream.get_ref()) {
                Ok(false) => return,
                Ok(true) => socket.stage = Stage::Dialled { ticket, key },
                Err(_) => return self.drop_dialled(index, ticket, core, registry, now),
            }
        }
        socket.transport.flush();
        // Taken out, because the core's answer to the bytes may need all of this.
        let mut buffer = std::mem::take(&mut self.buffer);
        let (len, progress) = socket.transport.read(&mut buffer);
        let secured = socket.transport.secured();
        let stage = socket.stage;
        if let Some(key) = secured.and_then(|secured| secured.peer) {
            self.shaken(index, stage, key, core, registry, now);
        }
        let link = self.sockets.get(index).and_then(|socket| match socket.stage {
            Stage::Stands(link) => Some(link),
            _ => None,
        });
        if let (Some(link), Some(bytes)) = (link, buffer.get(..len).filter(|bytes| !bytes.is_empty())) {
            core.handle_input(now, Input::Peer(PeerInput::Received { link, bytes }));
        }
        self.buffer = buffer;
        match progress {
            Progress::Blocked => {}
            Progress::More => self.wake(index),
            Progress::Ended => match self.sockets.get(index).map(|socket| socket.stage) {
                Some(Stage::Dialling { ticket, .. } | Stage::Dialled { ticket, .. }) => {
                    self.drop_dialled(index, ticket, core, registry, now);
                }
                Some(Stage::Accepted(link) | Stage::Stands(link)) => {
                    self.remove(index, registry);
                    core.handle_input(now, Input::Peer(PeerInput::Closed { link }));
                }
                None => {}
            },
        }
    }

    /// The handshake is done, and the other side has shown that key.
    fn shaken(
        &mut self,
        index: usize,
        stage: Stage,
        shown: Fingerprint,
        core: &mut Core,
        registry: &Registry,
        now: Now,
    ) {
        match stage {
            Stage::Accepted(link) => {
                self.set_stage(index, Stage::Stands(link));
                core.handle_input(now, Input::Peer(PeerInput::Secured { link, key: shown }));
            }
            Stage::Dialled { ticket, key } if key == shown => {
                let link = self.new_link();
                self.set_stage(index, Stage::Stands(link));
                self.links.insert(link, index);
                self.stop_dialling(ticket, registry);
                let relay = self.sockets.get(index).and_then(|socket| socket.relay);
                core.handle_input(now, Input::Peer(PeerInput::Dialled { ticket, link, relay }));
            }
            // Somebody else listens there.
            Stage::Dialled { ticket, .. } => self.drop_dialled(index, ticket, core, registry, now),
            Stage::Dialling { .. } | Stage::Stands(_) => {}
        }
    }

    fn set_stage(&mut self, index: usize, stage: Stage) {
        if let Some(socket) = self.sockets.get_mut(index) {
            socket.stage = stage;
        }
    }

    fn drop_dialled(
        &mut self,
        index: usize,
        ticket: TicketId,
        core: &mut Core,
        registry: &Registry,
        now: Now,
    ) {
        self.remove(index, registry);
        self.report_unreached(ticket, core, now);
    }

    fn report_unreached(&mut self, ticket: TicketId, core: &mut Core, now: Now) {
        if self.dialled_for(ticket).next().is_none() {
            core.handle_input(now, Input::Peer(PeerInput::Unreached { ticket }));
        }
    }

    fn stop_dialling(&mut self, ticket: TicketId, registry: &Registry) {
        let others: Vec<usize> = self.dialled_for(ticket).collect();
        for index in others {
            self.remove(index, registry);
        }
    }

    fn dialled_for(&self, wanted: TicketId) -> impl Iterator<Item = usize> + '_ {
        self.sockets.iter().filter_map(move |(index, socket)| match socket.stage {
            Stage::Dialling { ticket, .. } | Stage::Dialled { ticket, .. } => {
                (ticket == wanted).then_some(index)
            }
            Stage::Accepted(_) | Stage::Stands(_) => None,
        })
    }

    fn remove(&mut self, index: usize, registry: &Registry) {
        let Some(mut socket) = self.sockets.try_remove(index) else { return };
        self.ready.retain(|&ready| ready != index);
        if let Some(ticket) = socket.relay {
            self.relays.remove(&ticket);
        }
        if let Stage::Accepted(link) | Stage::Stands(link) = socket.stage {
            self.links.remove(&link);
        }
        socket.transport.end_writing();
        if let PeerStream::Tcp(stream) = socket.transport.stream_mut() {
            let _ = registry.deregister(stream.get_mut());
            let _ = stream.get_ref().shutdown(Shutdown::Write);
        }
    }

    fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }
}

/// Where to listen so that the others on the way to the server can reach this client.
pub(super) fn default_address(local: IpAddr) -> SocketAddr {
    SocketAddr::new(local, 0)
}
