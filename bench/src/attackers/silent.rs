//! Sockets that agree on TLS and never log in.

use std::io;

use crate::{
    swarm::{Attacker, Tools},
    wire::{Step, Wire},
};

/// Says nothing until it is thrown out.
#[derive(Debug)]
pub struct Silent {
    wire: Wire,
    stands: bool,
}

impl Silent {
    /// Starts to connect.
    pub fn dial(tools: &Tools<'_>) -> io::Result<Self> {
        Ok(Self { wire: tools.route.dial(tools.registry, tools.token)?, stands: false })
    }
}

impl Attacker for Silent {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        if !self.stands {
            match self.wire.step() {
                Step::Waits => return true,
                Step::Lost => {
                    tools.count("silent lost", 1);
                    return false;
                }
                Step::Stands(_) => {
                    tools.count("silent connected", 1);
                    self.stands = true;
                }
            }
        }
        let goes_on = self.wire.discard(tools.buffer);
        if !goes_on {
            tools.count("silent thrown out", 1);
        }
        goes_on
    }
}
