//! Signals as events of the same poll. Elsewhere than on Unix there are none, and the process is simply ended.

use std::io;

use mio::{Registry, Token};

/// What a signal asks for.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no signals"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Status,
}

#[cfg(unix)]
pub(super) struct Signals(signal_hook_mio::v1_0::Signals);

#[cfg(unix)]
impl Signals {
    pub(super) fn register(registry: &Registry, token: Token) -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        let mut signals = signal_hook_mio::v1_0::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        registry.register(&mut signals, token, mio::Interest::READABLE)?;
        Ok(Self(signals))
    }

    pub(super) fn pending(&mut self) -> Vec<Signal> {
        use signal_hook::consts::{SIGHUP, SIGUSR1};
        let signal = |number| match number {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Status,
            _ => Signal::Stop,
        };
        self.0.pending().map(signal).collect()
    }
}

#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn register(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn pending(&mut self) -> Vec<Signal> {
        Vec::new()
    }
}
