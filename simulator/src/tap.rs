//! What passes between the hub and one connection, read frame by frame: is it the protocol, is every answer
//! the answer to something, does the lock-out hold.

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::{
    ClientFrame, FrameDecoder, LoginRefusal, RequestId, ServerFrame, State, Username, limits::FRAME_LEN_MAX,
    time::MonoMs,
};

/// One connection.
#[derive(Debug)]
pub(crate) struct Tap {
    up: FrameDecoder,
    /// What came was no protocol; the hub will see to it.
    up_over: bool,
    down: FrameDecoder,
    /// The bytes that `down` holds: the beginning of a frame.
    down_tail: Vec<u8>,
    down_state: State,
    said_goodbye: bool,
    /// How often each request number waits for an answer. Only hostile clients use one twice.
    asked: BTreeMap<RequestId, u32>,
    /// Who says it logs in.
    name: Option<String>,
    login: Login,
}

/// How far a log-in has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Open,
    /// A proof came that was not judged yet.
    Proven,
    /// It was right; the user's first connection is probed.
    Probing,
    Over,
}

/// How a log-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The user is in.
    Welcome,
    /// Nothing yet, so the proof was right, but somebody else may be online.
    Probing,
    Refused(LoginRefusal, u64),
    /// The hub hung up.
    Goodbye,
}

impl Tap {
    pub(crate) fn new() -> Self {
        Self {
            up: FrameDecoder::new(FRAME_LEN_MAX),
            up_over: false,
            down: FrameDecoder::new(FRAME_LEN_MAX),
            down_tail: Vec::new(),
            down_state: State::Greeting,
            said_goodbye: false,
            asked: BTreeMap::new(),
            name: None,
            login: Login::Open,
        }
    }

    /// Bytes that the hub is given.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        if self.up_over {
            return;
        }
        self.up.push(bytes);
        loop {
            match self.up.next_body() {
                Ok(Some(body)) => {
                    let states = [State::Chat, State::Login, State::Greeting];
                    let Some(frame) = states.iter().find_map(|&state| ClientFrame::decode(body, state).ok())
                    else {
                        self.up_over = true;
                        return;
                    };
                    match &frame {
                        ClientFrame::Auth { client_first, .. } => {
                            let name = client_first.strip_prefix("n,,n=").and_then(|t| t.split_once(','));
                            self.name = name.map(|(name, _)| name.to_owned());
                        }
                        ClientFrame::Proof { .. } if self.login == Login::Open => self.login = Login::Proven,
                        _ => {}
                    }
                    if let Some(request) = request_of(&frame) {
                        *self.asked.entry(request).or_default() += 1;
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.up_over = true;
                    return;
                }
            }
        }
    }

    /// Bytes that have left the hub. An error says what is wrong with them.
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.down.push(bytes);
        self.down_tail.extend_from_slice(bytes);
        while let Some(body) = self.down.next_body().map_err(|e| format!("the hub sent no frame: {e}"))? {
            let frame = ServerFrame::decode(body, self.down_state)
                .map_err(|e| format!("the hub sent no message: {e}"))?;
            if self.said_goodbye {
                return Err(format!("the hub said goodbye and then {frame:?}"));
            }
            match &frame {
                ServerFrame::Hello { .. } => self.down_state = State::Login,
                ServerFrame::Welcome { .. } => self.down_state = State::Chat,
                ServerFrame::Goodbye { .. } => self.said_goodbye = true,
                _ => {}
            }
            if let Some((request, is_last)) = answer_of(&frame) {
                let count = self.asked.get_mut(&request).filter(|count| **count > 0);
                let count = count.ok_or_else(|| format!("the hub answered what was not asked: {frame:?}"))?;
                *count -= u32::from(is_last);
            }
        }
        let read_len = self.down_tail.len() - self.down.buffered_len();
        self.down_tail.drain(..read_len);
        Ok(())
    }

    /// Who logs in.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the verdict over a log-in is still to come.
    pub(crate) fn awaits_verdict(&self) -> bool {
        matches!(self.login, Login::Proven | Login::Probing)
    }

    /// Whether a proof came, and no sign of what the hub makes of it was seen yet.
    pub(crate) fn is_proven(&self) -> bool {
        self.login == Login::Proven
    }

    /// Whether there is no verdict in what waits to be sent.
    pub(crate) fn is_silent(&self, waiting: &[u8]) -> bool {
        self.verdict(waiting) == Verdict::Probing
    }

    /// The verdict in what waits to be sent. A proof that was neither refused nor welcomed at once was right.
    fn verdict(&self, waiting: &[u8]) -> Verdict {
        if self.said_goodbye {
            return Verdict::Goodbye;
        }
        let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
        // What has left of a frame that is still on its way comes first.
        decoder.push(&self.down_tail);
        decoder.push(waiting);
        while let Ok(Some(body)) = decoder.next_body() {
            match [State::Login, State::Chat].iter().find_map(|&s| ServerFrame::decode(body, s).ok()) {
                Some(ServerFrame::Welcome { .. }) => return Verdict::Welcome,
                Some(ServerFrame::LoginRefused { code, retry_after_s, .. }) => {
                    return Verdict::Refused(code, retry_after_s);
                }
                Some(ServerFrame::Goodbye { .. }) => return Verdict::Goodbye,
                _ => {}
            }
        }
        Verdict::Probing
    }
}

fn request_of(frame: &ClientFrame<'_>) -> Option<RequestId> {
    match *frame {
        ClientFrame::Message { request, .. }
        | ClientFrame::Broadcast { request, .. }
        | ClientFrame::WhoElse { request }
        | ClientFrame::WhoElseSince { request, .. }
        | ClientFrame::Block { request, .. }
        | ClientFrame::Unblock { request, .. }
        | ClientFrame::BlockList { request }
        | ClientFrame::Invite { request, .. }
        | ClientFrame::Lookup { request, .. }
        | ClientFrame::Register { request, .. }
        | ClientFrame::Unregister { request, .. }
        | ClientFrame::Files { request }
        | ClientFrame::Search { request, .. }
        | ClientFrame::Logout { request } => Some(request),
        ClientFrame::Hello { .. }
        | ClientFrame::Auth { .. }
        | ClientFrame::Proof { .. }
        | ClientFrame::Reachable { .. }
        | ClientFrame::DialBack { .. }
        | ClientFrame::Relay { .. }
        | ClientFrame::Carry { .. }
        | ClientFrame::RelayEnd { .. }
        | ClientFrame::Have { .. }
        | ClientFrame::Ack { .. }
        | ClientFrame::Active
        | ClientFrame::Ping
        | ClientFrame::Pong => None,
    }
}

/// Which request a frame answers, and whether that ends it.
fn answer_of(frame: &ServerFrame<'_>) -> Option<(RequestId, bool)> {
    match *frame {
        ServerFrame::Delivered { request }
        | ServerFrame::Stored { request }
        | ServerFrame::Sent { request, .. }
        | ServerFrame::Ticket { request, .. }
        | ServerFrame::Found { request, .. }
        | ServerFrame::Done { request }
        | ServerFrame::Refused { request, .. } => Some((request, true)),
        ServerFrame::File { request, .. } | ServerFrame::Holder { request, .. } => Some((request, false)),
        ServerFrame::Users { request, more, .. } => Some((request, !more)),
        _ => None,
    }
}

/// The counts of wrong passwords as they must be.
#[derive(Debug, Default)]
pub(crate) struct LockOuts {
    names: BTreeMap<String, Count>,
}

#[derive(Debug, Default)]
struct Count {
    wrong: u32,
    locked_until: Option<MonoMs>,
}

impl LockOuts {
    /// The server begins anew, with these counts.
    pub(crate) fn recover(&mut self, counts: impl Iterator<Item = (String, u32, Option<MonoMs>)>) {
        let count = |(name, wrong, locked_until)| (name, Count { wrong, locked_until });
        self.names = counts.map(count).collect();
    }

    /// Names with a lock, and when it ends.
    pub(crate) fn locks(&self) -> impl Iterator<Item = (&str, MonoMs)> {
        self.names.iter().filter_map(|(name, count)| Some((name.as_str(), count.locked_until?)))
    }

    /// Forgets a name whose account was taken away or given back.
    pub(crate) fn forget(&mut self, name: &Username) {
        self.names.remove(name.as_str());
    }

    /// Looks at what waits for a connection whose proof came. To be called after each proof that the hub gets,
    /// so that the counts follow the order in which it judges them.
    pub(crate) fn look(
        &mut self,
        now: MonoMs,
        lock_out: Option<Duration>,
        tap: &mut Tap,
        waiting: &[u8],
    ) -> Result<(), String> {
        let verdict = tap.verdict(waiting);
        let was_probing = tap.login == Login::Probing;
        tap.login = if verdict == Verdict::Probing { Login::Probing } else { Login::Over };
        match &tap.name {
            Some(name) if !was_probing => self.judge(now, lock_out, name, verdict),
            _ => Ok(()),
        }
    }

    fn judge(
        &mut self,
        now: MonoMs,
        lock_out: Option<Duration>,
        name: &str,
        verdict: Verdict,
    ) -> Result<(), String> {
        let count = self.names.entry(name.to_owned()).or_default();
        let locked_until = count.locked_until.filter(|&until| now < until);
        match (verdict, lock_out) {
            (Verdict::Refused(LoginRefusal::Busy, _) | Verdict::Goodbye, _)
            | (Verdict::Refused(LoginRefusal::BadCredentials, _), None) => {}
            (Verdict::Welcome | Verdict::Probing | Verdict::Refused(LoginRefusal::AlreadyOnline, _), _) => {
                count.wrong = 0;
                if let Some(until) = locked_until {
                    return Err(format!(
                        "'{name}' got past his lock at {}, {} ms early",
                        now.0,
                        until.0 - now.0
                    ));
                }
            }
            (Verdict::Refused(LoginRefusal::BadCredentials, _), Some(_)) => {
                count.wrong += 1;
                if count.wrong > 2 || locked_until.is_some() {
                    return Err(format!("'{name}' was not locked after {} wrong passwords", count.wrong));
                }
            }
            (Verdict::Refused(LoginRefusal::Locked, _), None) => {
                return Err(format!("'{name}' was locked although nobody ever is"));
            }
            (Verdict::Refused(LoginRefusal::Locked, retry_after_s), Some(lock_out)) => {
                let until = match locked_until {
                    Some(until) => until,
                    None if count.wrong == 2 => now.after(lock_out),
                    None => {
                        return Err(format!("'{name}' was locked after {} wrong passwords", count.wrong));
                    }
                };
                *count = Count { wrong: 0, locked_until: Some(until) };
                let expected_s = until.since(now).as_millis().div_ceil(1_000);
                if u128::from(retry_after_s) != expected_s {
                    return Err(format!("'{name}' was told to wait {retry_after_s} s, not {expected_s} s"));
                }
            }
        }
        Ok(())
    }
}
