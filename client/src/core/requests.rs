//! Requests that were sent and not answered yet.
//!
//! Owns their numbers and what each answer will be called. Must not know how they travel.

use std::collections::BTreeMap;

use protocol::{ErrorCode, Frame, MessageId, RequestId, Username, limits::REQUESTS_IN_FLIGHT_MAX};

use super::{
    event::{FileEntry, MessageState, Outcome},
    files::AskId,
    peers,
};

/// What was asked.
#[derive(Debug)]
pub(super) enum Request {
    Message {
        to: Username,
        id: MessageId,
    },
    Broadcast,
    WhoElse {
        users: Vec<Username>,
    },
    WhoElseSince {
        users: Vec<Username>,
    },
    Block {
        user: Username,
    },
    Unblock {
        user: Username,
    },
    BlockList {
        users: Vec<Username>,
    },
    Logout,
    /// Something that links to other clients need; no command of its own stands behind it.
    Peers(peers::Ask),
    /// Something that files need, and what came of the answer.
    Files {
        ask: AskId,
        is_list: bool,
        holders: Vec<(Username, Vec<u8>)>,
        files: Vec<FileEntry>,
    },
}

/// A good answer from the server.
#[derive(Debug)]
pub(super) enum Answer {
    Message(MessageState),
    Sent { recipients: u64, blocked: bool },
    Users { users: Vec<Username>, more: bool },
    Done,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    open: BTreeMap<RequestId, Open>,
}

#[derive(Debug)]
struct Open {
    /// That of the command; a logout at the end of input has none.
    number: Option<u64>,
    request: Request,
    /// As it travels, for when the connection is lost before the answer.
    frame: Frame,
    /// Over how many connections it went.
    sent: u32,
}

/// A command that will not be answered any more.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Abandoned {
    pub(super) number: u64,
    pub(super) command: &'static str,
    /// Whether it may have arrived.
    pub(super) was_sent: bool,
}

/// The server answered something that was not asked, or not like that.
#[derive(Debug)]
pub(super) struct Unexpected;

impl Requests {
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < REQUESTS_IN_FLIGHT_MAX
    }

    /// Whether no command waits for its answer.
    pub(super) fn is_idle(&self) -> bool {
        self.open.values().all(|open| open.number.is_none())
    }

    /// Takes out a request that is answered by something which only its asker understands.
    pub(super) fn take(&mut self, id: RequestId) -> Result<Request, Unexpected> {
        self.open.remove(&id).map(|open| open.request).ok_or(Unexpected)
    }

    /// A request about files, to add to its answer.
    pub(super) fn files_mut(&mut self, id: RequestId) -> Result<&mut Request, Unexpected> {
        self.open.get_mut(&id).map(|open| &mut open.request).ok_or(Unexpected)
    }

    /// Whether that request is one that [`Requests::take`] is meant for.
    pub(super) fn is_inner(&self, id: RequestId) -> bool {
        matches!(self.open.get(&id), Some(Open { request: Request::Peers(_) | Request::Files { .. }, .. }))
    }

    /// The number of the next request.
    pub(super) fn next_id(&mut self) -> RequestId {
        self.last = self.last.wrapping_add(1);
        RequestId(self.last)
    }

    /// Notes a request. `is_sent`: it leaves now; otherwise with [`Requests::again`].
    pub(super) fn open(
        &mut self,
        id: RequestId,
        (number, request): (Option<u64>, Request),
        frame: Frame,
        is_sent: bool,
    ) {
        self.open.insert(id, Open { number, request, frame, sent: u32::from(is_sent) });
    }

    /// The connection is a new one: every request that has no answer yet, in order, to be sent over it.
    pub(super) fn again(&mut self) -> Vec<Frame> {
        let again = |open: &mut Open| {
            open.sent += 1;
            open.request.start_over();
            open.frame.clone()
        };
        self.open.values_mut().map(again).collect()
    }

    /// The outcome of a request that was answered well; `None` while more of the answer is to come, or when
    /// no command of the user's stands behind it.
    pub(super) fn answer(
        &mut self,
        id: RequestId,
        answer: Answer,
    ) -> Result<Option<(u64, Outcome)>, Unexpected> {
        let mut open = self.open.remove(&id).ok_or(Unexpected)?;
        let number = open.number;
        if let Answer::Users { users: found, more } = answer {
            let (Request::WhoElse { users } | Request::WhoElseSince { users } | Request::BlockList { users }) =
                &mut open.request
            else {
                return Err(Unexpected);
            };
            users.extend(found);
            if more {
                self.open.insert(id, open);
                return Ok(None);
            }
            let outcome = match open.request {
                Request::WhoElse { users } => Outcome::WhoElse { users },
                Request::WhoElseSince { users } => Outcome::WhoElseSince { users },
                Request::BlockList { users } => Outcome::BlockList { users },
                _ => return Err(Unexpected),
            };
            return Ok(number.map(|number| (number, outcome)));
        }
        let outcome = match (open.request, answer) {
            (Request::Message { to, id }, Answer::Message(state)) => Outcome::Message { to, id, state },
            (Request::Broadcast, Answer::Sent { recipients, blocked }) => {
                Outcome::Broadcast { delivered: recipients, blocked }
            }
            (Request::Block { user }, Answer::Done) => Outcome::Block { user },
            (Request::Unblock { user }, Answer::Done) => Outcome::Unblock { user },
            (Request::Logout, Answer::Done) => Outcome::Logout,
            _ => return Err(Unexpected),
        };
        Ok(number.map(|number| (number, outcome)))
    }

    /// A request that was refused: the command's number and word. A refusal which only says that the first try,
    /// whose answer was lost, had been carried out is no refusal.
    pub(super) fn refused(&mut self, id: RequestId, code: ErrorCode) -> Result<Refused, Unexpected> {
        let Open { number, request, sent, .. } = self.open.remove(&id).ok_or(Unexpected)?;
        let Some(number) = number else { return Ok(Refused::Nobody) };
        Ok(match (request, code) {
            (Request::Block { user }, ErrorCode::AlreadyBlocked) if sent > 1 => {
                Refused::Done(number, Outcome::Block { user })
            }
            (Request::Unblock { user }, ErrorCode::NotBlocked) if sent > 1 => {
                Refused::Done(number, Outcome::Unblock { user })
            }
            (request, _) => {
                let is_certain = sent < 2 || !matches!(request, Request::Message { .. } | Request::Broadcast);
                Refused::Command { number, command: request.command(), is_certain }
            }
        })
    }

    /// Every command that will not be answered any more, oldest first, and every other request.
    pub(super) fn abandon(&mut self) -> (Vec<Abandoned>, Vec<Request>) {
        let (mut commands, mut others) = (Vec::new(), Vec::new());
        for (_, Open { number, request, sent, .. }) in std::mem::take(&mut self.open) {
            match number {
                Some(number) => {
                    commands.push(Abandoned { number, command: request.command(), was_sent: sent > 0 });
                }
                None => others.push(request),
            }
        }
        commands.sort_unstable();
        (commands, others)
    }
}

/// What a refusal means.
#[derive(Debug)]
pub(super) enum Refused {
    /// That command failed. `is_certain`: nothing of it has happened; otherwise it was sent over a connection that
    /// was lost, and a server that died then may have shown it to somebody.
    Command { number: u64, command: &'static str, is_certain: bool },
    /// It had been carried out before.
    Done(u64, Outcome),
    /// No command stands behind it.
    Nobody,
}

impl Request {
    /// Forgets the part of an answer that came before the connection was lost.
    fn start_over(&mut self) {
        match self {
            Self::WhoElse { users } | Self::WhoElseSince { users } | Self::BlockList { users } => {
                users.clear();
            }
            Self::Files { holders, files, .. } => {
                holders.clear();
                files.clear();
            }
            _ => {}
        }
    }

    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::Broadcast => "broadcast",
            Self::WhoElse { .. } => "whoelse",
            Self::WhoElseSince { .. } => "whoelsesince",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::BlockList { .. } => "blocklist",
            Self::Logout => "logout",
            Self::Peers(_) | Self::Files { .. } => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ClientFrame;

    use super::*;

    #[test]
    fn a_refusal_is_certain_unless_the_message_went_over_a_connection_that_was_lost() {
        let (to, id): (Username, _) = ("bob".parse().unwrap(), MessageId(1));
        for (request, over_two) in
            [(Request::Message { to, id }, false), (Request::Broadcast, false), (Request::Logout, true)]
        {
            let mut requests = Requests::default();
            let (first, again) = (requests.next_id(), requests.next_id());
            let frame = ClientFrame::WhoElse { request: first }.encode();
            requests.open(first, (Some(1), request), frame, true);
            assert_eq!(requests.again().len(), 1);
            let Ok(Refused::Command { is_certain, .. }) = requests.refused(first, ErrorCode::Blocked) else {
                panic!("a command was refused");
            };
            assert_eq!(is_certain, over_two);
            let frame = ClientFrame::WhoElse { request: again }.encode();
            requests.open(again, (Some(2), Request::Broadcast), frame, true);
            let refused = requests.refused(again, ErrorCode::EmptyMessage);
            assert!(matches!(refused, Ok(Refused::Command { is_certain: true, number: 2, .. })));
        }
    }
}
