//! Requests that were sent and not answered yet.
//!
//! Owns their numbers and what each answer will be called. Must not know how they travel.

use std::collections::BTreeMap;

use protocol::{MessageId, RequestId, Username, limits::REQUESTS_IN_FLIGHT_MAX};

use super::{
    event::{MessageState, Outcome},
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
    /// With the number of the command, which a logout at the end of input does not have.
    open: BTreeMap<RequestId, (Option<u64>, Request)>,
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
        self.open.values().all(|(number, _)| number.is_none())
    }

    /// Takes out a request that is answered by something which only its asker understands.
    pub(super) fn take(&mut self, id: RequestId) -> Result<Request, Unexpected> {
        self.open.remove(&id).map(|(_, request)| request).ok_or(Unexpected)
    }

    /// Whether that request is one that [`Requests::take`] is meant for.
    pub(super) fn is_inner(&self, id: RequestId) -> bool {
        matches!(self.open.get(&id), Some((_, Request::Peers(_))))
    }

    pub(super) fn open(&mut self, number: Option<u64>, request: Request) -> RequestId {
        self.last = self.last.wrapping_add(1);
        let id = RequestId(self.last);
        self.open.insert(id, (number, request));
        id
    }

    /// The outcome of a request that was answered well; `None` while more of the answer is to come, or when
    /// no command of the user's stands behind it.
    pub(super) fn answer(
        &mut self,
        id: RequestId,
        answer: Answer,
    ) -> Result<Option<(u64, Outcome)>, Unexpected> {
        let (number, mut request) = self.open.remove(&id).ok_or(Unexpected)?;
        if let Answer::Users { users: found, more } = answer {
            let (Request::WhoElse { users } | Request::WhoElseSince { users } | Request::BlockList { users }) =
                &mut request
            else {
                return Err(Unexpected);
            };
            users.extend(found);
            if more {
                self.open.insert(id, (number, request));
                return Ok(None);
            }
            let outcome = match request {
                Request::WhoElse { users } => Outcome::WhoElse { users },
                Request::WhoElseSince { users } => Outcome::WhoElseSince { users },
                Request::BlockList { users } => Outcome::BlockList { users },
                _ => return Err(Unexpected),
            };
            return Ok(number.map(|number| (number, outcome)));
        }
        let outcome = match (request, answer) {
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

    /// A request that was refused: the command's number and word.
    pub(super) fn refused(&mut self, id: RequestId) -> Result<Option<(u64, &'static str)>, Unexpected> {
        let (number, request) = self.open.remove(&id).ok_or(Unexpected)?;
        Ok(number.map(|number| (number, request.command())))
    }

    /// Every command that will not be answered any more, oldest first.
    pub(super) fn abandon(&mut self) -> Vec<(u64, &'static str)> {
        let open = std::mem::take(&mut self.open);
        let mut left: Vec<_> =
            open.into_values().filter_map(|(number, request)| Some((number?, request.command()))).collect();
        left.sort_unstable();
        left
    }
}

impl Request {
    fn command(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::Broadcast => "broadcast",
            Self::WhoElse { .. } => "whoelse",
            Self::WhoElseSince { .. } => "whoelsesince",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::BlockList { .. } => "blocklist",
            Self::Logout => "logout",
            Self::Peers(_) => "",
        }
    }
}
