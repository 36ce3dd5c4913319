//! How another thread tells the loop that it has something for it.

use std::io;

use mio::Waker;

/// Wakes the loop. An interrupted try is made again: with the wake-up lost, nobody would take what is there.
pub(super) fn wake(waker: &Waker) -> io::Result<()> {
    loop {
        match waker.wake() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
