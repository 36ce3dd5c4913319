//! One who says that he holds a file, and sends wrong bytes of it: a client's core with false hands.
//!
//! Owns his connections and what he says in place of a disk. What he says about everything else is what an honest
//! client would say, so that nothing but his bytes gives him away.

use core::ops::Range;
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use client::core::{
    Core, Effect, Event, Input, LinkId, PeerEffect, PeerInput, Seen, Setup, Trust,
    files::disk::{DiskJob, DiskReply},
};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use protocol::{
    ChunkSet, FileHash, FileName, Layout, Manifest,
    limits::BLOCK_LEN_MAX,
    transport::{Identity, Progress, Transport, peer_configs},
};
use rustls::{ServerConfig, ServerConnection};

use crate::{
    clock::Clock,
    random,
    wire::{Route, Step, Wire},
};

/// Each turn looks at everything, so it does not matter which of his sockets an event is of.
const TOKEN: Token = Token(0);
/// For what the core does by itself.
const TICK: Duration = Duration::from_millis(5);

/// A user without a file.
#[derive(Debug)]
pub struct Liar {
    core: Core,
    clock: Clock,
    poll: Poll,
    wire: Wire,
    stands: bool,
    tls: Arc<ServerConfig>,
    listener: TcpListener,
    links: BTreeMap<LinkId, Transport<TcpStream>>,
    accepted: u64,
    name: FileName,
    manifest: Arc<Manifest>,
    buffer: Vec<u8>,
}

/// What `bytes` are, cut like that.
pub fn describe(bytes: &[u8], layout: Layout) -> Option<Manifest> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let hash = |part: &[u8]| FileHash(*blake3::hash(part).as_bytes());
    let ranges = ChunkSet::full(layout.chunks()).iter().map(|chunk| layout.range(chunk)).collect::<Vec<_>>();
    let part = |range: Range<u64>| bytes.get(place(range.start)..place(range.end)).unwrap_or_default();
    Manifest::new(layout, hash(bytes), ranges.into_iter().map(|range| hash(part(range))).collect())
}

impl Liar {
    /// Begins to log in as `user`.
    pub fn start(
        route: &Route,
        (user, password): (&str, &str),
        name: FileName,
        manifest: Arc<Manifest>,
    ) -> io::Result<Self> {
        let (certificate, key) = Identity::make().map_err(io::Error::other)?;
        let identity =
            Identity::from_pem(certificate.as_bytes(), key.as_bytes()).map_err(io::Error::other)?;
        let setup = Setup {
            user: Some(user.to_owned()),
            password: Some(password.to_owned()),
            trust: Trust { is_loopback: true, ..Trust::default() },
            ..Setup::for_key(identity.fingerprint())
        };
        let poll = Poll::new()?;
        let clock = Clock::start();
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        poll.registry().register(&mut listener, TOKEN, Interest::READABLE)?;
        Ok(Self {
            core: Core::new(setup, random()?, clock.read()),
            clock,
            wire: route.dial(poll.registry(), TOKEN)?,
            poll,
            stands: false,
            tls: peer_configs(&identity).map_err(io::Error::other)?.0,
            listener,
            links: BTreeMap::new(),
            accepted: 0,
            name,
            manifest,
            buffer: vec![0; 2 * BLOCK_LEN_MAX],
        })
    }

    /// Lies until the connection to the server ends.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        loop {
            self.poll.poll(&mut events, Some(TICK))?;
            self.core.handle_timeout(self.clock.read());
            self.hear_server()?;
            self.accept()?;
            self.hear_links();
            while self.carry_out()? {}
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.core.handle_input(self.clock.read(), input);
    }

    fn hear_server(&mut self) -> io::Result<()> {
        if !self.stands {
            match self.wire.step() {
                Step::Waits => return Ok(()),
                Step::Lost => return Err(io::Error::other("the server cannot be reached")),
                Step::Stands(secured) => {
                    self.stands = true;
                    self.input(Input::Connected(secured));
                    let addresses = vec![self.listener.local_addr()?];
                    self.input(Input::Peer(PeerInput::Listening(addresses)));
                }
            }
        }
        loop {
            let (len, progress) = self.wire.read(&mut self.buffer);
            let bytes = self.buffer.get(..len).unwrap_or_default();
            self.core.handle_input(self.clock.read(), Input::Received(bytes));
            match progress {
                Progress::More => {}
                Progress::Blocked => return Ok(()),
                Progress::Ended => return Err(io::Error::other("the server has hung up")),
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, TOKEN, both)?;
            let session = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
            self.accepted += 1;
            let link = LinkId(self.accepted);
            self.links.insert(link, Transport::tls(stream, session));
            self.input(Input::Peer(PeerInput::Accepted { link, relay: None }));
        }
        Ok(())
    }

    fn hear_links(&mut self) {
        let Self { core, clock, links, buffer, .. } = self;
        links.retain(|&link, transport| {
            transport.flush();
            loop {
                let (len, progress) = transport.read(buffer);
                if let Some(key) = transport.secured().and_then(|secured| secured.peer) {
                    core.handle_input(clock.read(), Input::Peer(PeerInput::Secured { link, key }));
                }
                let bytes = buffer.get(..len).unwrap_or_default();
                core.handle_input(clock.read(), Input::Peer(PeerInput::Received { link, bytes }));
                match progress {
                    Progress::More => {}
                    Progress::Blocked => return true,
                    Progress::Ended => {
                        core.handle_input(clock.read(), Input::Peer(PeerInput::Closed { link }));
                        return false;
                    }
                }
            }
        });
    }

    /// Does what the core wants, and sends what it has; whether there may be more.
    fn carry_out(&mut self) -> io::Result<bool> {
        let mut is_more = false;
        while let Some(effect) = self.core.poll_output() {
            match effect {
                Effect::Disk(job) => self.invent(&job),
                Effect::Recall { .. } => self.input(Input::Recalled(Seen::default())),
                Effect::Peer(PeerEffect::Close { link }) => drop(self.links.remove(&link)),
                Effect::HangUp | Effect::Exit { .. } => return Err(io::Error::other("it is over")),
                Effect::Show(Event::Error { text, .. }) => return Err(io::Error::other(text)),
                _ => {}
            }
            is_more = true;
        }
        let Self { core, links, .. } = self;
        for link in core.dirty_links() {
            let Some(transport) = links.get_mut(&link) else { continue };
            while !core.link_waiting(link).is_empty() {
                let (len, progress) = transport.write(core.link_waiting(link));
                core.link_sent(link, len);
                if progress != Progress::More {
                    break;
                }
                is_more = true;
            }
        }
        while !self.core.waiting().is_empty() {
            let (len, progress) = self.wire.write(self.core.waiting());
            self.core.sent(len);
            if progress != Progress::More {
                break;
            }
        }
        self.wire.flush();
        Ok(is_more)
    }

    /// What a disk with the file would say, but for its bytes.
    fn invent(&mut self, job: &DiskJob) {
        match *job {
            DiskJob::Restore { .. } => {
                self.input(Input::Disk(DiskReply::Restored {
                    name: self.name.clone(),
                    manifest: Arc::clone(&self.manifest),
                    file: self.manifest.id(),
                    held: ChunkSet::full(self.manifest.layout().chunks()),
                    complete: true,
                }));
                self.input(Input::Disk(DiskReply::AllRestored));
            }
            DiskJob::ReadManifest { job, offset, .. } => {
                let bytes = self.manifest.encode();
                let rest = bytes.get(offset as usize..).unwrap_or_default();
                let piece = rest.get(..BLOCK_LEN_MAX).unwrap_or(rest).to_vec();
                self.input(Input::Disk(DiskReply::Read { job, bytes: Ok(piece) }));
            }
            DiskJob::Read { job, len, .. } => {
                let wrong = vec![b'!'; len as usize];
                self.input(Input::Disk(DiskReply::Read { job, bytes: Ok(wrong) }));
            }
            _ => {}
        }
    }
}
