//! The event loop: one thread, one poll, one turn after the other.
//!
//! A turn: wait; read what came, within budgets; let the hub's timers fire; carry out its effects; write.
//! mio is edge-triggered: whatever is left over a budget goes on a list of its own, since no event will come
//! for it.

use core::time::Duration;
use std::{collections::VecDeque, io, path::PathBuf, sync::Arc};

use mio::{Events, Poll, Token, Waker};
use protocol::{time::Now, transport::Progress};
use rustls::ServerConfig;

use super::{
    clock::Clock,
    connections::{Connections, GATHER_LEN_MAX, READ_LEN_MAX, WRITE_LEN_MAX},
    deriver::{Deriver, Job},
    listeners::{Accepted, Listeners},
    signals::{Signal, Signals},
    store::{Done, Job as StoreJob, StoreThread},
};
use crate::{
    credentials,
    hub::{ConnId, Effect, Hub, Input, Lane},
    store::Store,
};

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const FIRST_LISTENER: usize = 2;

/// Events taken from the kernel in one turn.
const EVENTS_MAX: usize = 1024;
/// Connections accepted from one listener in one turn.
const ACCEPTS_MAX: usize = 64;
/// Connections written to in one turn that only have their copy of something for everyone: a slice of a
/// large fan-out, after which direct answers get their turn again.
const BULK_SLICE: usize = 64;
/// How long to leave a listener alone when there is no descriptor to take its connections.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Reactor {
    poll: Poll,
    clock: Clock,
    hub: Hub,
    listeners: Listeners,
    connections: Connections,
    first_connection: usize,
    signals: Signals,
    deriver: Deriver,
    store: StoreThread,
    credentials: PathBuf,
    /// Listeners that may have more to accept.
    acceptable: Vec<bool>,
    /// Connections that may have more to read.
    readable: VecDeque<ConnId>,
    /// Connections that can take more, and have more.
    writable: VecDeque<ConnId>,
    /// No descriptor is left: accept again after a pause.
    exhausted: bool,
    buffer: Vec<u8>,
    stopped: bool,
}

impl Reactor {
    pub(super) fn new(
        mut listeners: Listeners,
        tls: Option<Arc<ServerConfig>>,
        clock: Clock,
        hub: Hub,
        store: Store,
        credentials: PathBuf,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let signals = Signals::register(poll.registry(), SIGNALS)?;
        listeners.register(poll.registry(), FIRST_LISTENER)?;
        Ok(Self {
            first_connection: FIRST_LISTENER + listeners.len(),
            acceptable: vec![false; listeners.len()],
            deriver: Deriver::start(Arc::clone(&waker))?,
            store: StoreThread::start(store, waker)?,
            connections: Connections::new(tls),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            exhausted: false,
            buffer: vec![0; READ_LEN_MAX],
            stopped: false,
            credentials,
            poll,
            clock,
            hub,
            listeners,
            signals,
        })
    }

    /// Turns until the hub says that everything is over.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.stopped {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                // The events of an interrupted poll are those of the one before.
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            self.turn(&events);
        }
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        let busy = self.hub.is_dirty()
            || !self.readable.is_empty()
            || !self.writable.is_empty()
            || (!self.exhausted && self.acceptable.contains(&true));
        if busy {
            return Some(Duration::ZERO);
        }
        let timer = self.hub.poll_timeout().map(|deadline| self.clock.until(deadline));
        let pause = self.exhausted.then_some(EXHAUSTED_PAUSE);
        timer.into_iter().chain(pause).min()
    }

    fn turn(&mut self, events: &Events) {
        let now = self.clock.read();
        for event in events {
            self.sort(now, event);
        }
        self.accept(now);
        self.read(now);
        while let Some(done) = self.deriver.finished() {
            let input = Input::Derived { name: done.name, job: done.number, verifier: done.verifier };
            self.hub.handle_input(now, input);
        }
        while let Some(done) = self.store.finished() {
            let input = match done {
                Done::Committed { batch, durable } => Input::Committed { batch, durable },
                Done::Loaded { conn, page } => Input::Loaded { conn, page },
            };
            self.hub.handle_input(now, input);
        }
        self.hub.handle_timeout(now);
        self.carry_out();
        self.write(now);
        self.connections.free();
    }

    /// Puts what an event says on the lists.
    fn sort(&mut self, now: Now, event: &mio::event::Event) {
        match event.token() {
            WAKER => {}
            SIGNALS => self.handle_signals(now),
            Token(token) if token < self.first_connection => {
                if let Some(acceptable) = self.acceptable.get_mut(token - FIRST_LISTENER) {
                    *acceptable = true;
                }
            }
            Token(token) => {
                let Some(conn) = self.connections.at(token - self.first_connection) else { return };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.mark_readable(conn, event.is_read_closed());
                }
                if event.is_writable() {
                    self.writable.push_back(conn);
                }
            }
        }
    }

    fn mark_readable(&mut self, conn: ConnId, read_closed: bool) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.read_closed |= read_closed;
        if !connection.ready {
            connection.ready = true;
            if connection.reading {
                self.readable.push_back(conn);
            }
        }
    }

    fn handle_signals(&mut self, now: Now) {
        for signal in self.signals.pending() {
            match signal {
                Signal::Stop => {
                    log::info!("stopping");
                    self.listeners.close();
                    self.acceptable.clear();
                    self.hub.handle_input(now, Input::Shutdown);
                }
                Signal::Reload => match credentials::load(&self.credentials) {
                    Ok(credentials) => {
                        log::info!(
                            "{} accounts read again from {}",
                            credentials.len(),
                            self.credentials.display()
                        );
                        self.hub.handle_input(now, Input::Accounts(credentials));
                    }
                    Err(error) => log::error!("the accounts stay as they were: {error}"),
                },
            }
        }
    }

    fn accept(&mut self, now: Now) {
        self.exhausted = false;
        for index in 0..self.acceptable.len() {
            if self.acceptable.get(index) != Some(&true) {
                continue;
            }
            for _ in 0..ACCEPTS_MAX {
                match self.listeners.accept(index, now.mono) {
                    Accepted::Connection(stream, peer) => {
                        match self.connections.insert(stream, self.poll.registry(), self.first_connection) {
                            Ok(conn) => {
                                let peer = peer.ip().to_canonical();
                                self.hub.handle_input(now, Input::Opened { conn, peer });
                            }
                            Err(error) => log::debug!("a connection from {peer} did not last: {error}"),
                        }
                    }
                    Accepted::Lost => {}
                    Accepted::Drained => {
                        if let Some(acceptable) = self.acceptable.get_mut(index) {
                            *acceptable = false;
                        }
                        break;
                    }
                    Accepted::Exhausted => {
                        self.exhausted = true;
                        break;
                    }
                }
            }
        }
    }

    /// Reads from each connection on the ready list, once around.
    fn read(&mut self, now: Now) {
        for _ in 0..self.readable.len() {
            let Some(conn) = self.readable.pop_front() else { return };
            let Some(connection) = self.connections.get_mut(conn) else { continue };
            if !(connection.reading && connection.ready) {
                continue;
            }
            let (len, progress) = connection.read(&mut self.buffer);
            let secured = connection.secured();
            if connection.wants_write() {
                self.writable.push_back(conn);
            }
            if let Some(fault) = connection.fault() {
                log::debug!("TLS failed: {fault}");
            }
            connection.ready = progress == Progress::More;
            if connection.ready {
                self.readable.push_back(conn);
            }
            if let Some(secured) = secured {
                self.hub.handle_input(now, Input::Secured { conn, binding: secured.binding });
            }
            if let Some(bytes) = self.buffer.get(..len).filter(|bytes| !bytes.is_empty()) {
                self.hub.handle_input(now, Input::Received { conn, bytes });
            }
            if progress == Progress::Ended {
                self.hub.handle_input(now, Input::Closed { conn });
            }
        }
    }

    /// Carries out what the hub asks for, until it asks for nothing more.
    fn carry_out(&mut self) {
        while let Some(effect) = self.hub.poll_output() {
            match effect {
                Effect::Read { conn, wanted } => {
                    if let Some(connection) = self.connections.get_mut(conn) {
                        connection.reading = wanted;
                        if wanted && connection.ready {
                            self.readable.push_back(conn);
                        }
                    }
                }
                Effect::EndWriting { conn } => {
                    if let Some(connection) = self.connections.get_mut(conn) {
                        connection.end_writing();
                    }
                }
                Effect::Close { conn } => self.connections.close(conn, self.poll.registry()),
                Effect::Derive { name, job, password, salt, iterations } => {
                    self.deriver.start_job(Job { name, number: job, password, salt, iterations });
                }
                Effect::Commit { batch, operations } => {
                    self.store.start_job(StoreJob::Commit { batch, operations });
                }
                Effect::Load { conn, user, after, len_max } => {
                    self.store.start_job(StoreJob::Load { conn, user, after, len_max });
                }
                Effect::Stopped => {
                    log::info!("stopped");
                    self.stopped = true;
                }
            }
        }
    }

    /// Writes: first where a socket has become writable, then answers, then a slice of what is for everyone.
    fn write(&mut self, now: Now) {
        for _ in 0..self.writable.len() {
            if let Some(conn) = self.writable.pop_front() {
                self.flush(now, conn);
            }
        }
        self.flush_direct(now);
        for _ in 0..BULK_SLICE {
            let Some(conn) = self.hub.next_dirty(Lane::Bulk) else { break };
            self.flush(now, conn);
        }
        self.flush_direct(now);
    }

    /// Room in an outbox can let requests go on that waited for it, so this goes on until nothing is left.
    fn flush_direct(&mut self, now: Now) {
        loop {
            self.carry_out();
            let Some(mut conn) = self.hub.next_dirty(Lane::Direct) else { return };
            loop {
                self.flush(now, conn);
                match self.hub.next_dirty(Lane::Direct) {
                    Some(next) => conn = next,
                    None => break,
                }
            }
        }
    }

    /// Gathers what waits for a connection and sends it in as few calls as the budget allows.
    fn flush(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let mut written = 0;
        let progress = loop {
            self.buffer.clear();
            self.hub.gather(conn, &mut self.buffer, GATHER_LEN_MAX);
            if self.buffer.is_empty() {
                // Only what TLS itself has to say may be left.
                break Some(connection.flush()).filter(|&progress| progress != Progress::More);
            }
            if written >= WRITE_LEN_MAX {
                break Some(Progress::More);
            }
            let (len, progress) = connection.write(&self.buffer);
            written += len;
            self.hub.handle_input(now, Input::Sent { conn, len });
            if progress != Progress::More {
                break Some(progress);
            }
        };
        self.buffer.resize(READ_LEN_MAX, 0);
        let blocked = progress == Some(Progress::Blocked);
        let token = Token(self.first_connection + conn.index as usize);
        if connection.await_writable(blocked, self.poll.registry(), token).is_err()
            || progress == Some(Progress::Ended)
        {
            self.hub.handle_input(now, Input::Closed { conn });
        } else if progress == Some(Progress::More) {
            self.writable.push_back(conn);
        }
    }
}
