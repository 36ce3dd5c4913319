//! When the connection to the server is lost: it is made again, without asking anybody, and what has no answer yet
//! is sent again.
//!
//! Owns the waiting between the tries. Must not know what the requests are.

use core::time::Duration;

use protocol::time::MonoMs;

use super::{Core, DisconnectReason, Effect, Event, Outcome, Stage, exit, login::Step};

/// The longest wait before the first try; doubled for each further one. The wait is anything up to that, so that a
/// thousand clients whose server restarts do not come at once.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait of all.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long commands wait for the connection before they are answered without one.
const COMMANDS_WAIT_MAX: Duration = Duration::from_secs(30);
/// After that long, the connection is lost for good.
const AWAY_TIME_MAX: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Away {
    since: MonoMs,
    attempt: u32,
    /// When to dial, unless that is under way.
    dial_at: Option<MonoMs>,
    /// Whether the commands that wait were answered already.
    has_abandoned: bool,
    /// Whether the user was told that his commands wait.
    has_told: bool,
}

impl Away {
    pub(super) fn deadline(&self) -> Option<MonoMs> {
        let commands = (!self.has_abandoned).then(|| self.since.after(COMMANDS_WAIT_MAX));
        self.dial_at.into_iter().chain(commands).chain([self.since.after(AWAY_TIME_MAX)]).min()
    }
}

impl Core {
    /// The connection of a user who is logged in broke.
    pub(super) fn connection_lost(&mut self) {
        self.effects.push_back(Effect::HangUp);
        self.link = None;
        self.peers.server_lost();
        if let Stage::Online { is_ready, .. } = &mut self.stage {
            *is_ready = false;
        }
        let since = self.now.mono;
        let away = self.away.take();
        let (since, attempt) = away.map_or((since, 0), |away| (away.since, away.attempt));
        self.away = Some(Away { since, attempt, dial_at: None, has_abandoned: false, has_told: false });
        self.wait_and_dial(Duration::ZERO);
    }

    /// A connection or a log-in did not come about: the end at the start of the program, else one try of several.
    pub(super) fn no_connection(&mut self, complaint: &str) {
        if self.away.is_none() {
            return self.quit(exit::CONNECTION, Some(complaint.to_owned()));
        }
        self.refused_for_now(0);
    }

    /// The server is there, but does not let this user in for so many seconds.
    pub(super) fn refused_for_now(&mut self, retry_after_s: u64) {
        self.effects.push_back(Effect::HangUp);
        self.link = None;
        if let Some((user, _)) = &self.credentials
            && let Ok(user) = user.parse()
        {
            self.stage = Stage::Online { user, is_ready: false };
        }
        self.wait_and_dial(Duration::from_secs(retry_after_s));
    }

    /// Dials if it is time, and ends what has waited too long.
    pub(super) fn dial_again_if_due(&mut self) {
        let now = self.now.mono;
        let Some(away) = &mut self.away else { return };
        if away.since.after(AWAY_TIME_MAX) <= now {
            return self.finish(DisconnectReason::Lost, exit::CONNECTION);
        }
        if !away.has_abandoned && away.since.after(COMMANDS_WAIT_MAX) <= now {
            away.has_abandoned = true;
            self.abandon_requests();
        }
        let Some(away) = &mut self.away else { return };
        if away.dial_at.is_some_and(|at| at <= now) {
            away.dial_at = None;
            away.attempt += 1;
            let attempt = away.attempt;
            self.show(Event::Reconnecting { attempt });
            let Some((user, password)) = self.credentials.clone() else { return };
            self.stage = Stage::LoggingIn { user, password, step: Step::Waiting };
            self.dial();
        }
    }

    /// The user is logged in again, and has seen what waited for him.
    pub(super) fn back(&mut self) {
        let Some(away) = self.away.take() else { return };
        self.show(Event::Reconnected { attempt: away.attempt });
        let frames = self.requests.again();
        if let Some(link) = &mut self.link {
            for frame in &frames {
                link.send_frame(frame);
            }
        }
    }

    /// The user logs out while there is nobody to tell.
    pub(super) fn leave_away(&mut self, number: Option<u64>) {
        self.logout = None;
        if let Some(number) = number {
            self.show(Event::Ok { number, outcome: Outcome::Logout });
        }
        self.peers.leave(self.now.mono);
        self.finish(DisconnectReason::Logout, exit::LOGGED_OUT);
    }

    /// Whether commands wait for the connection no longer.
    pub(super) fn is_away_for_long(&self) -> bool {
        self.away.as_ref().is_some_and(|away| away.has_abandoned)
    }

    /// Says once that what was typed waits.
    pub(super) fn tell_waiting(&mut self) {
        let Some(away) = self.away.as_mut().filter(|away| !away.has_told) else { return };
        away.has_told = true;
        let text = "There is no connection to the server now; your commands wait for it.";
        self.show(Event::Notice { text: text.to_owned() });
    }

    fn wait_and_dial(&mut self, at_least: Duration) {
        let bytes: [u8; 8] = self.random.bytes();
        let Some(away) = &mut self.away else { return };
        let longest = FIRST_WAIT.saturating_mul(1 << away.attempt.min(16)).min(WAIT_MAX);
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let wait_ms = u64::from_be_bytes(bytes) % (longest_ms + 1);
        away.dial_at = Some(self.now.mono.after(at_least + Duration::from_millis(wait_ms)));
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        Fingerprint, GoodbyeReason,
        time::{Now, UnixMs},
    };

    use super::*;
    use crate::core::Setup;

    #[test]
    fn who_is_leaving_does_not_come_back_because_the_server_found_him_too_slow() {
        let now = Now { mono: MonoMs(0), wall: UnixMs(0) };
        for is_leaving in [true, false] {
            let user = "ada".parse().unwrap();
            let mut core = Core::new(Setup::for_key(Fingerprint([0; 32])), [0; 32], now);
            core.stage = Stage::Online { user, is_ready: true };
            if is_leaving {
                core.leave(None);
            }
            core.goodbye(GoodbyeReason::TooSlow, "");
            assert_eq!(core.away.is_none(), is_leaving);
            assert_eq!(matches!(core.stage, Stage::Over), is_leaving);
        }
    }
}
