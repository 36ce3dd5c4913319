//! The event loop: one thread, one poll, one turn after the other.
//!
//! A turn: wait; read what came, within budgets; let the hub's timers fire; carry out its effects; write.
//! mio is edge-triggered: whatever is left over a budget goes on a list of its own, since no event will come
//! for it.

use core::time::Duration;
use std::{collections::VecDeque, io, path::PathBuf, sync::Arc, time::Instant};

use mio::{Events, Poll, Token, Waker};
use protocol::{time::Now, transport::Progress};
use rustls::ServerConfig;

use super::{
    clock::{Clock, Longest, Stopwatch},
    connections::{Connection, Connections, GATHER_LEN_MAX, READ_LEN_MAX, WRITE_LEN_MAX},
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
/// Connections read from in one turn, of those who talk and of newcomers.
const READS_MAX: usize = 128;
/// Connections in one turn whose other side has hung up: closing one takes some 20 µs. Two thousand that leave at once
/// are gone in a fifth of a second, and those who stay do not feel it.
const LEAVES_MAX: usize = 32;
/// Time for reading the last of theirs, in one turn.
const LEAVE_TIME_MAX: Duration = Duration::from_micros(500);
/// Time for reading from those who are agreed on TLS, in one turn, and again for those of them who have sent more than is
/// read in one go. Whoever is not reached comes first in the next.
const READ_TIME_MAX: Duration = Duration::from_millis(1);
/// Time for agreeing on TLS with newcomers, in one turn: a handshake takes a quarter of a millisecond, and a
/// thousand at once must not keep those waiting who talk.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_micros(500);
/// Bytes that may wait for a connection whose answer comes before those of others: several messages.
const LIGHT_LEN_MAX: usize = 2 * 1024;
/// Time for writing, in one turn, for each of three: short answers, long ones and what a socket was too full for, what
/// is for everyone.
const WRITE_TIME_MAX: Duration = Duration::from_micros(500);
/// Time for accepting, in one turn: a connection takes up to a tenth of a millisecond.
const ACCEPT_TIME_MAX: Duration = Duration::from_micros(500);
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
    /// The same, of those who have sent more than is read in one go.
    talkative: VecDeque<ConnId>,
    /// The same, of those who are not agreed on TLS yet.
    newcomers: VecDeque<ConnId>,
    /// The same, of those whose other side has hung up: nobody waits for what comes of them.
    leaving: VecDeque<ConnId>,
    /// Connections that can take more, and have more.
    writable: VecDeque<ConnId>,
    /// No descriptor is left: accept again after a pause.
    exhausted: bool,
    read_buffer: Vec<u8>,
    write_buffer: Vec<u8>,
    /// Since it was last asked for: how long the sockets had to wait for the poll at most.
    longest_turn: Longest,
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
            talkative: VecDeque::new(),
            newcomers: VecDeque::new(),
            leaving: VecDeque::new(),
            writable: VecDeque::new(),
            exhausted: false,
            read_buffer: vec![0; READ_LEN_MAX],
            write_buffer: Vec::with_capacity(GATHER_LEN_MAX),
            longest_turn: Longest::default(),
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
            let stopwatch = Stopwatch::start();
            self.turn(&events);
            stopwatch.stop(&mut self.longest_turn);
        }
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        let busy = self.hub.is_dirty()
            || !self.readable.is_empty()
            || !self.talkative.is_empty()
            || !self.newcomers.is_empty()
            || !self.leaving.is_empty()
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
                    self.unblock(conn);
                }
            }
        }
    }

    fn mark_readable(&mut self, conn: ConnId, read_closed: bool) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.read_closed |= read_closed;
        connection.ready = true;
        self.list_readable(conn);
    }

    /// Puts a connection on the list of those to read from, if the hub wants its bytes and there may be some.
    fn list_readable(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.reading && connection.ready && !connection.is_readable_listed {
            connection.is_readable_listed = true;
            let list = match connection {
                Connection { read_closed: true, .. } => &mut self.leaving,
                Connection { is_newcomer: true, .. } => &mut self.newcomers,
                Connection { has_rest: true, .. } => &mut self.talkative,
                _ => &mut self.readable,
            };
            list.push_back(conn);
        }
    }

    fn list_writable(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if !connection.is_writable_listed {
            connection.is_writable_listed = true;
            self.writable.push_back(conn);
        }
    }

    fn unblock(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.blocked = false;
        }
        self.list_writable(conn);
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
                Signal::Status => self.log_status(),
            }
        }
    }

    fn log_status(&mut self) {
        let longest_turn = std::mem::take(&mut self.longest_turn);
        log::info!(
            "status: {} connections, {} users online, {} bytes waiting, longest turn {} us, \
             {} us of processor time",
            self.connections.len(),
            self.hub.online_count(),
            self.hub.waiting_len(),
            longest_turn.wall.as_micros(),
            longest_turn.cpu.as_micros()
        );
    }

    fn accept(&mut self, now: Now) {
        self.exhausted = false;
        let started = Instant::now();
        for index in 0..self.acceptable.len() {
            if self.acceptable.get(index) != Some(&true) {
                continue;
            }
            for _ in 0..ACCEPTS_MAX {
                if started.elapsed() > ACCEPT_TIME_MAX {
                    break;
                }
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

    /// Reads from the connections on the ready lists, at most once around, until the time is up.
    fn read(&mut self, now: Now) {
        self.read_from(now, |reactor| &mut reactor.readable, READS_MAX, READ_TIME_MAX);
        self.read_from(now, |reactor| &mut reactor.talkative, READS_MAX, READ_TIME_MAX);
        self.read_from(now, |reactor| &mut reactor.newcomers, READS_MAX, HANDSHAKE_TIME_MAX);
        self.read_from(now, |reactor| &mut reactor.leaving, LEAVES_MAX, LEAVE_TIME_MAX);
    }

    fn read_from(
        &mut self,
        now: Now,
        list: fn(&mut Self) -> &mut VecDeque<ConnId>,
        count_max: usize,
        time_max: Duration,
    ) {
        let started = Instant::now();
        for _ in 0..list(self).len().min(count_max) {
            let Some(conn) = list(self).pop_front() else { break };
            self.read_one(now, conn);
            if started.elapsed() > time_max {
                break;
            }
        }
    }

    fn read_one(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.is_readable_listed = false;
        if !(connection.reading && connection.ready) {
            return;
        }
        let (len, progress) = connection.read(&mut self.read_buffer);
        let secured = connection.secured();
        let wants_write = connection.wants_write();
        if let Some(fault) = connection.fault() {
            log::debug!("TLS failed: {fault}");
        }
        connection.ready = progress == Progress::More;
        connection.has_rest = connection.ready;
        if wants_write {
            self.list_writable(conn);
        }
        self.list_readable(conn);
        if let Some(secured) = secured {
            self.hub.handle_input(now, Input::Secured { conn, binding: secured.binding });
        }
        if let Some(bytes) = self.read_buffer.get(..len).filter(|bytes| !bytes.is_empty()) {
            self.hub.handle_input(now, Input::Received { conn, bytes });
        }
        if progress == Progress::Ended {
            self.hub.handle_input(now, Input::Closed { conn });
        }
    }

    /// Carries out what the hub asks for, until it asks for nothing more.
    fn carry_out(&mut self) {
        while let Some(effect) = self.hub.poll_output() {
            match effect {
                Effect::Read { conn, wanted } => {
                    if let Some(connection) = self.connections.get_mut(conn) {
                        connection.reading = wanted;
                    }
                    self.list_readable(conn);
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

    /// Writes: short answers, then long ones and where a socket has become writable, then a slice of what is for
    /// everyone.
    fn write(&mut self, now: Now) {
        self.flush_direct(now);
        let started = Instant::now();
        for _ in 0..self.writable.len() {
            let Some(conn) = self.writable.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.is_writable_listed = false;
            }
            self.flush(now, conn);
            if started.elapsed() > WRITE_TIME_MAX {
                break;
            }
        }
        let started = Instant::now();
        for _ in 0..BULK_SLICE {
            let Some(conn) = self.hub.next_dirty(Lane::Bulk) else { break };
            self.flush(now, conn);
            if started.elapsed() > WRITE_TIME_MAX {
                break;
            }
        }
        self.carry_out();
    }

    /// Room in an outbox can let requests go on that waited for it, so this goes on until nothing is left or the
    /// time is up.
    fn flush_direct(&mut self, now: Now) {
        let started = Instant::now();
        loop {
            self.carry_out();
            let Some(mut conn) = self.hub.next_dirty(Lane::Direct) else { return };
            loop {
                self.flush_if_light(now, conn);
                if started.elapsed() > WRITE_TIME_MAX {
                    return;
                }
                match self.hub.next_dirty(Lane::Direct) {
                    Some(next) => conn = next,
                    None => break,
                }
            }
        }
    }

    /// Writes to a connection for which little waits. One who has asked for much, or has hung up, stands in front of
    /// nobody: he goes on the other list.
    fn flush_if_light(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.read_closed || self.hub.waiting_len_of(conn) > LIGHT_LEN_MAX {
            self.list_writable(conn);
        } else {
            self.flush(now, conn);
        }
    }

    /// Gathers what waits for a connection and sends it in as few calls as the budget allows.
    fn flush(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn).filter(|connection| !connection.blocked) else {
            return;
        };
        let mut written = 0;
        let progress = loop {
            self.write_buffer.clear();
            self.hub.gather(conn, &mut self.write_buffer, GATHER_LEN_MAX);
            if self.write_buffer.is_empty() {
                // Only what TLS itself has to say may be left.
                break Some(connection.flush()).filter(|&progress| progress != Progress::More);
            }
            if written >= WRITE_LEN_MAX {
                break Some(Progress::More);
            }
            let (len, progress) = connection.write(&self.write_buffer);
            written += len;
            self.hub.handle_input(now, Input::Sent { conn, len });
            if progress != Progress::More {
                break Some(progress);
            }
        };
        let blocked = progress == Some(Progress::Blocked);
        connection.blocked = blocked;
        let token = Token(self.first_connection + conn.index as usize);
        if connection.await_writable(blocked, self.poll.registry(), token).is_err()
            || progress == Some(Progress::Ended)
        {
            self.hub.handle_input(now, Input::Closed { conn });
        } else if progress == Some(Progress::More) {
            self.list_writable(conn);
        }
    }
}
