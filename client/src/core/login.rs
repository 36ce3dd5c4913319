//! From the first connection to a proven server and a user who is logged in.
//!
//! Owns the trust in the server's key and the client's half of SCRAM. Must not know commands.

use protocol::{
    ClientFrame, LoginRefusal, State, Username, VERSION,
    scram::{self, Nonce, SaltedPassword},
    transport::Secured,
};

use super::{Core, Effect, Event, Line, Stage, exit, trust::Judgement};

/// What a log-in waits for.
pub(super) enum Step {
    /// A connection.
    Waiting,
    /// The server's challenge.
    Challenge(scram::client::ClientFirst),
    /// The server's verdict, and its own proof.
    Answered(scram::client::Answer),
}

impl Core {
    /// The connection stands: nothing is said over it before its key is judged.
    pub(super) fn connected(&mut self, secured: Option<Secured>) {
        let Some(secured) = secured else { return self.greet(None) };
        let Some(shown) = secured.peer else {
            return self.quit(exit::IDENTITY, Some("The server shows no key.".to_owned()));
        };
        match self.setup.trust.judge(shown) {
            Judgement::Right => self.greet(Some(secured)),
            Judgement::Wrong(reason) => self.quit(exit::IDENTITY, Some(reason)),
            // It was known a moment ago, so there is nothing to ask.
            Judgement::Ask if self.away.is_some() => {
                self.quit(exit::IDENTITY, Some("The server shows another key than before.".to_owned()));
            }
            Judgement::Ask => {
                self.show(Event::Notice { text: self.setup.trust.question(shown) });
                if let Some(link) = &mut self.link {
                    link.waits_for_user = true;
                }
                self.stage = Stage::Trust { secured, shown };
            }
        }
    }

    pub(super) fn greet(&mut self, secured: Option<Secured>) {
        if let Some(link) = &mut self.link {
            link.connected(secured, self.now.mono);
        }
        if matches!(self.stage, Stage::Connecting) {
            self.stage = Stage::Username;
        }
    }

    /// Takes a person's answer about the server's key. False when there is none yet.
    pub(super) fn ask_about_key(&mut self) -> bool {
        let Stage::Trust { secured, shown } = &self.stage else { return false };
        let (secured, shown) = (secured.clone(), *shown);
        match self.lines.pop_front() {
            Some(Line::Text(answer)) if answer.trim().eq_ignore_ascii_case("yes") => {
                self.setup.trust.known = Some(shown);
                self.stage = Stage::Username;
                self.greet(Some(secured));
            }
            Some(Line::Text(answer)) if answer.trim().eq_ignore_ascii_case("no") => {
                self.quit(exit::IDENTITY, Some("The server was not trusted.".to_owned()));
            }
            Some(_) => self.show(Event::Notice { text: self.setup.trust.question(shown) }),
            None => return false,
        }
        true
    }

    /// A name that nobody can have is answered like any other wrong one.
    pub(super) fn start_login(&mut self, user: String, password: String) {
        if let Err(error) = user.parse::<Username>() {
            let (code, text) = (LoginRefusal::BadCredentials, error.to_string());
            self.show(Event::LoginFailed { code, text, is_final: true, retry_after_s: None });
            return self.quit(exit::LOGIN_REFUSED, None);
        }
        self.stage = Stage::LoggingIn { user, password, step: Step::Waiting };
        match &mut self.link {
            Some(link) => link.restart_clock(self.now.mono),
            None => self.dial(),
        }
    }

    /// Starts SCRAM. False as long as there is no connection for it.
    pub(super) fn authenticate(&mut self) -> bool {
        let Stage::LoggingIn { user, step, .. } = &mut self.stage else { return false };
        let Some(link) = self.link.as_mut().filter(|link| link.is_greeted()) else { return false };
        let nonce = Nonce::new(self.random.bytes());
        let binding = link.secured.as_ref().map(|secured| secured.binding.to_vec());
        let (first, client_first) = scram::client::ClientFirst::new(user, nonce, binding);
        let (mechanism, key) = (first.mechanism(), self.setup.key);
        link.send(&ClientFrame::Auth { mechanism, key, client_first: &client_first });
        *step = Step::Challenge(first);
        true
    }

    pub(super) fn hello(&mut self, version: u32) {
        if version == VERSION {
            if let Some(link) = &mut self.link {
                link.state = State::Login;
            }
        } else {
            let text = format!(
                "The server speaks version {version} of the protocol, this client version {VERSION}."
            );
            self.quit(exit::CONNECTION, Some(text));
        }
    }

    pub(super) fn challenge(&mut self, server_first: &str) {
        let Stage::LoggingIn { password, step, .. } = &mut self.stage else { return self.out_of_turn() };
        let Step::Challenge(first) = std::mem::replace(step, Step::Waiting) else {
            return self.out_of_turn();
        };
        let challenge = match first.read_challenge(server_first) {
            Ok(challenge) => challenge,
            Err(error) => {
                return self.quit(exit::IDENTITY, Some(format!("The log-in was stopped: {error}.")));
            }
        };
        let salted = SaltedPassword::derive(password, challenge.salt(), challenge.iterations());
        let (answer, client_final) = challenge.answer(&salted);
        *step = Step::Answered(answer);
        if let Some(link) = &mut self.link {
            link.send(&ClientFrame::Proof { client_final: &client_final });
        }
    }

    pub(super) fn welcome(&mut self, user: Username, server_final: &str) {
        let Stage::LoggingIn { user: asked, password, step } = &mut self.stage else {
            return self.out_of_turn();
        };
        let is_asked = asked.as_str() == user.as_str();
        let Step::Answered(answer) = std::mem::replace(step, Step::Waiting) else {
            return self.out_of_turn();
        };
        self.credentials = Some((std::mem::take(asked), std::mem::take(password)));
        if !is_asked {
            let text = "The server says that you are somebody else than you asked to be.";
            return self.quit(exit::IDENTITY, Some(text.to_owned()));
        }
        if let Err(error) = answer.verify(server_final) {
            return self.quit(exit::IDENTITY, Some(format!("This is not the server you know: {error}.")));
        }
        if let Some(link) = &mut self.link {
            link.state = State::Chat;
            if let Some(shown) = link.secured.as_ref().and_then(|secured| secured.peer)
                && self.setup.trust.remember(shown)
            {
                self.effects.push_back(Effect::Remember(shown));
            }
        }
        self.recall_seen(&user);
        self.stage = Stage::Online { user: user.clone(), is_ready: false };
        if self.away.is_none() {
            self.show(Event::Login { user });
        }
    }

    pub(super) fn login_refused(&mut self, code: LoginRefusal, retry_after_s: u64, text: &str) {
        let Stage::LoggingIn { user, .. } = &mut self.stage else { return };
        if self.away.is_some() && code != LoginRefusal::BadCredentials {
            return self.refused_for_now(retry_after_s);
        }
        let user = std::mem::take(user);
        self.hang_up();
        let no_more = self.input_ended && self.lines.is_empty();
        let is_final = code != LoginRefusal::BadCredentials || self.one_try || no_more || self.away.is_some();
        let retry_after_s = (code == LoginRefusal::Locked).then_some(retry_after_s);
        self.show(Event::LoginFailed { code, text: text.to_owned(), is_final, retry_after_s });
        if is_final {
            self.quit(exit::LOGIN_REFUSED, None);
        } else {
            self.stage = Stage::Password { user };
        }
    }

    /// Starting over would let such a server keep a client busy with log-ins.
    fn out_of_turn(&mut self) {
        let text = "The log-in was stopped: the server answered out of turn, as the one you know would not.";
        self.quit(exit::IDENTITY, Some(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        Fingerprint, GoodbyeReason, ServerFrame,
        time::{MonoMs, Now, UnixMs},
    };

    use super::*;
    use crate::core::{Input, Prompt, Setup, Trust};

    const NOW: Now = Now { mono: MonoMs(0), wall: UnixMs(0) };

    #[expect(clippy::unnecessary_wraps, reason = "as an input holds it")]
    fn shows(key: u8) -> Option<Secured> {
        Some(Secured { binding: [0; 32], peer: Some(Fingerprint([key; 32])) })
    }

    /// What the core wants done after this.
    fn after(core: &mut Core, input: Input<'_>) -> Vec<Effect> {
        core.handle_input(NOW, input);
        std::iter::from_fn(|| core.poll_output()).collect()
    }

    fn line(core: &mut Core, text: &str) -> Vec<Effect> {
        after(core, Input::Line(Line::Text(text.to_owned())))
    }

    /// A client whose person is being asked about key 1.
    fn asked() -> Core {
        let trust = Trust { can_ask: true, ..Trust::default() };
        let setup = Setup { user: None, password: None, trust, ..Setup::for_key(Fingerprint([0; 32])) };
        let mut core = Core::new(setup, [0; 32], NOW);
        assert!(matches!(after(&mut core, Input::Connected(shows(1)))[..], [Effect::Dial, Effect::Show(_)]));
        core
    }

    #[test]
    fn a_person_may_think_about_a_key_for_longer_than_the_server_waits() {
        let goodbye = ServerFrame::Goodbye { reason: GoodbyeReason::Login, text: "too long" }.encode();
        for is_told in [true, false] {
            let mut core = asked();
            let mut effects = Vec::new();
            if is_told {
                effects.extend(after(&mut core, Input::Received(goodbye.as_bytes())));
            }
            effects.extend(after(&mut core, Input::Closed));
            assert_eq!((effects, core.prompt()), (vec![Effect::HangUp], Prompt::Trust));

            assert_eq!(line(&mut core, "yes"), []);
            assert_eq!(line(&mut core, "ada"), []);
            assert_eq!(line(&mut core, "first-program"), [Effect::Dial]);
            assert_eq!(after(&mut core, Input::Connected(shows(1))), []);
            assert!(core.waiting().ends_with(b"hello 1"));
        }
    }

    #[test]
    fn a_key_that_changes_while_a_person_thinks_is_refused() {
        let mut core = asked();
        after(&mut core, Input::Closed);
        for text in ["yes", "ada", "first-program"] {
            line(&mut core, text);
        }
        let effects = after(&mut core, Input::Connected(shows(2)));
        assert!(
            matches!(&effects[..], [Effect::HangUp, Effect::Exit { code: exit::IDENTITY, .. }]),
            "{effects:?}"
        );
        assert_eq!(core.waiting(), b"");
    }
}
