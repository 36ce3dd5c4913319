//! Users who ask and never read.

use std::io;

use protocol::{ClientFrame, RequestId, transport::Progress};

use super::{BATCH, Intruder, Over, ROUNDS_MAX};
use crate::swarm::{Attacker, Tools};

/// Logs in, then asks who is there as long as his socket takes it.
#[derive(Debug)]
pub struct Deaf {
    intruder: Intruder,
    request: u32,
    pending: Vec<u8>,
}

impl Deaf {
    /// Starts to log in.
    pub fn dial(user: &str, tools: &Tools<'_>) -> io::Result<Self> {
        Ok(Self { intruder: Intruder::dial(user, tools)?, request: 0, pending: Vec::new() })
    }
}

impl Attacker for Deaf {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        let wire = match self.intruder.wire(tools) {
            Ok(Some(wire)) => wire,
            Ok(None) => return true,
            Err(Over) => return false,
        };
        for _ in 0..ROUNDS_MAX {
            if self.pending.is_empty() {
                for _ in 0..BATCH {
                    self.request = self.request.wrapping_add(1);
                    let frame = ClientFrame::WhoElse { request: RequestId(self.request) }.encode();
                    self.pending.extend_from_slice(frame.as_bytes());
                }
                tools.count("questions of the deaf", BATCH);
            }
            let (len, progress) = wire.write(&self.pending);
            self.pending.drain(..len);
            match progress {
                Progress::More => {}
                Progress::Blocked => return true,
                Progress::Ended => {
                    tools.count("deaf thrown out", 1);
                    return false;
                }
            }
        }
        true
    }
}
