//! Signals as events of the same poll. Elsewhere than on Unix the keys say what signals would.

use std::io;

use mio::{Registry, Token};

/// What a signal asks for.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no signals"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGINT, SIGTERM, SIGHUP.
    Interrupt,
    /// SIGWINCH: the window has another size.
    Resize,
    /// SIGTSTP: stop until the shell continues us.
    Suspend,
    /// SIGCONT: somebody continued us.
    Continued,
}

#[cfg(unix)]
pub(super) struct Signals(signal_hook_mio::v1_0::Signals);

#[cfg(unix)]
impl Signals {
    pub(super) fn register(registry: &Registry, token: Token, at_terminal: bool) -> io::Result<Self> {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
        let always = [SIGINT, SIGTERM, SIGHUP];
        // Without a screen to tidy up, stopping is the system's business.
        let screen = if at_terminal { &[SIGWINCH, SIGTSTP, SIGCONT][..] } else { &[] };
        let mut signals = signal_hook_mio::v1_0::Signals::new(always.iter().chain(screen))?;
        registry.register(&mut signals, token, mio::Interest::READABLE)?;
        Ok(Self(signals))
    }

    pub(super) fn pending(&mut self) -> Vec<Signal> {
        use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
        let signal = |number| match number {
            SIGWINCH => Signal::Resize,
            SIGTSTP => Signal::Suspend,
            SIGCONT => Signal::Continued,
            _ => Signal::Interrupt,
        };
        self.0.pending().map(signal).collect()
    }
}

/// Stops this process as if it had not caught the signal.
pub(super) fn stop() -> io::Result<()> {
    #[cfg(unix)]
    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
    Ok(())
}

#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn register(_: &Registry, _: Token, _: bool) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn pending(&mut self) -> Vec<Signal> {
        Vec::new()
    }
}
