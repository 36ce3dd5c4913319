//! Senders of one byte at a time.

use std::{
    io,
    time::{Duration, Instant},
};

use protocol::{ClientFrame, VERSION};

use crate::{
    swarm::{Attacker, Tools},
    wire::{Step, Wire},
};

/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends `hello`, and then the start of a log-in that would take a minute.
#[derive(Debug)]
pub struct Dripper {
    wire: Wire,
    stands: bool,
    bytes: std::vec::IntoIter<u8>,
    due: Instant,
}

impl Dripper {
    /// Starts to connect.
    pub fn dial(tools: &Tools<'_>) -> io::Result<Self> {
        let mut bytes = ClientFrame::Hello { version: VERSION }.encode().as_bytes().to_vec();
        bytes.extend_from_slice(&1000_u32.to_be_bytes());
        bytes.resize(1000, b'a');
        Ok(Self {
            wire: tools.route.dial(tools.registry, tools.token)?,
            stands: false,
            bytes: bytes.into_iter(),
            due: tools.now,
        })
    }
}

impl Attacker for Dripper {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        if !self.stands {
            match self.wire.step() {
                Step::Waits => return true,
                Step::Lost => return false,
                Step::Stands(_) => self.stands = true,
            }
        }
        if tools.now >= self.due {
            self.due = tools.now + PAUSE;
            let Some(byte) = self.bytes.next() else { return false };
            self.wire.write(&[byte]);
            tools.count("bytes dripped", 1);
        }
        let goes_on = self.wire.discard(tools.buffer);
        if !goes_on {
            tools.count("drippers thrown out", 1);
        }
        goes_on
    }
}
