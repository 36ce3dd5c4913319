//! Bytes that are no protocol.

use std::io;

use protocol::random::RandomStream;

use crate::{
    swarm::{Attacker, Tools},
    wire::{Step, Wire},
};

/// More than any frame may have before a log-in.
const LEN: usize = 4096;

/// Sends noise, over TLS or in its place, and waits until it is thrown out.
#[derive(Debug)]
pub struct Garbage {
    wire: Wire,
    is_sent: bool,
    noise: [u8; LEN],
}

impl Garbage {
    /// Starts to connect. Every second one does not even speak TLS.
    pub fn dial(index: usize, tools: &Tools<'_>) -> io::Result<Self> {
        let route = if index.is_multiple_of(2) { tools.route.clone() } else { tools.route.plain() };
        let wire = route.dial(tools.registry, tools.token)?;
        // The same noise in every run: a fault that it finds is found again.
        let noise = RandomStream::from_seed([index.to_be_bytes()[7]; 32]).bytes();
        Ok(Self { wire, is_sent: false, noise })
    }
}

impl Attacker for Garbage {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        if !self.is_sent {
            match self.wire.step() {
                Step::Waits => return true,
                Step::Lost => return false,
                Step::Stands(_) => {
                    self.wire.write(&self.noise);
                    self.is_sent = true;
                    tools.count("pieces of garbage", 1);
                }
            }
        }
        self.wire.discard(tools.buffer)
    }
}
