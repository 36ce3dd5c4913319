//! Connections that are reset in the middle of a frame.

use std::io;

use crate::{
    swarm::{Attacker, Tools},
    wire::{Step, Wire},
};

/// Sends half a frame, and is gone.
#[derive(Debug)]
pub struct Resetter {
    wire: Option<Wire>,
}

impl Resetter {
    /// Starts to connect.
    pub fn dial(tools: &Tools<'_>) -> io::Result<Self> {
        Ok(Self { wire: Some(tools.route.dial(tools.registry, tools.token)?) })
    }
}

impl Attacker for Resetter {
    fn act(&mut self, tools: &mut Tools<'_>) -> bool {
        let step = self.wire.as_mut().map_or(Step::Lost, Wire::step);
        if step == Step::Waits {
            return true;
        }
        if let Some(mut wire) = self.wire.take().filter(|_| step != Step::Lost) {
            wire.write(b"\0\0\0\x40hello 1 and");
            if wire.reset().is_ok() {
                tools.count("resets in mid-frame", 1);
            }
        }
        false
    }
}
