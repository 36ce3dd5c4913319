//! Users who send as fast as their socket takes it.

use std::io;

use protocol::{
    ClientFrame, FrameDecoder, MessageId, RequestId, ServerFrame, State, Username, limits::FRAME_LEN_MAX,
    transport::Progress,
};

use super::{BATCH, Intruder, Over, ROUNDS_MAX};
use crate::{
    random,
    swarm::{Attacker, Tools},
};

/// One in so many is a broadcast; the others are messages to one user.
const BROADCAST_EVERY: u32 = 8;
/// A text of usual length.
const TEXT: &str = "Nobody needs to hear this, and least of all a thousand times a second from fifty people.";

/// Logs in, then writes to one user and to everybody. Acknowledges what he gets, so that it never ends.
#[derive(Debug)]
pub struct Flooder {
    intruder: Intruder,
    victim: Username,
    /// Makes his message ids unlike all others.
    number: u128,
    request: u32,
    pending: Vec<u8>,
    decoder: FrameDecoder,
}

impl Flooder {
    /// Starts to log in.
    pub fn dial(user: &str, victim: &str, tools: &Tools<'_>) -> io::Result<Self> {
        let victim = victim.parse().map_err(io::Error::other)?;
        let number = u128::from_be_bytes(random()?);
        Ok(Self {
            intruder: Intruder::dial(user, tools)?,
            victim,
            number,
            request: 0,
            pending: Vec::new(),
            decoder: FrameDecoder::new(FRAME_LEN_MAX),
        })
    }
}

impl Attacker for Flooder {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        let wire = match self.intruder.wire(tools) {
            Ok(Some(wire)) => wire,
            Ok(None) => return true,
            Err(Over) => return false,
        };
        loop {
            let (len, progress) = wire.read(tools.buffer);
            self.decoder.push(tools.buffer.get(..len).unwrap_or_default());
            while let Ok(Some(body)) = self.decoder.next_body() {
                if let Ok(ServerFrame::Deliver { from, id, .. }) = ServerFrame::decode(body, State::Chat) {
                    self.pending.extend_from_slice(ClientFrame::Ack { from, id }.encode().as_bytes());
                }
            }
            match progress {
                Progress::More => {}
                Progress::Blocked => break,
                Progress::Ended => {
                    *tools.counts.entry("flooders thrown out").or_default() += 1;
                    return false;
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            if self.pending.is_empty() {
                for _ in 0..BATCH {
                    self.request += 1;
                    let request = RequestId(self.request);
                    let id = MessageId(self.number.wrapping_add(self.request.into()));
                    let frame = if self.request.is_multiple_of(BROADCAST_EVERY) {
                        ClientFrame::Broadcast { request, id, text: TEXT }
                    } else {
                        ClientFrame::Message { request, to: self.victim.clone(), id, text: TEXT }
                    };
                    self.pending.extend_from_slice(frame.encode().as_bytes());
                }
                tools.count("frames flooded", BATCH);
            }
            let (len, progress) = wire.write(&self.pending);
            self.pending.drain(..len);
            match progress {
                Progress::More => {}
                Progress::Blocked => return true,
                Progress::Ended => return false,
            }
        }
        true
    }
}
