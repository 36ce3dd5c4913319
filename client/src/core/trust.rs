//! Whether the key that a server shows is the right one.
//!
//! Owns the rules: a known key is right, another one than the known is always wrong, an unknown one depends on
//! where the server is and who can be asked. Must not know files; the shell reads and writes `known_hosts`.

use protocol::Fingerprint;

/// What is known about the server's key before it is shown.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts and wishes")]
pub struct Trust {
    /// The server, as the user named it.
    pub server: String,
    /// What `known_hosts` says.
    pub known: Option<Fingerprint>,
    /// Whether `known` comes from that file.
    pub is_written: bool,
    /// Where a person finds that file.
    pub known_hosts: String,
    /// `--fingerprint`.
    pub expected: Option<Fingerprint>,
    /// Nobody sits in between on this machine.
    pub is_loopback: bool,
    /// `--accept-new`.
    pub accept_new: bool,
    /// A person is at a terminal.
    pub can_ask: bool,
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Go on.
    Right,
    /// Ask the person.
    Ask,
    /// Leave, for this reason.
    Wrong(String),
}

impl Trust {
    pub(super) fn judge(&self, shown: Fingerprint) -> Judgement {
        let server = &self.server;
        if let Some(known) = self.known.filter(|&known| known != shown) {
            let remedy = if self.is_written {
                format!(
                    "remove the line that begins with '{server} ' from {}\nand connect again",
                    self.known_hosts
                )
            } else {
                "connect again".to_owned()
            };
            return Judgement::Wrong(format!(
                "THE KEY OF {server} HAS CHANGED.\n\
                 It was      {known}\n\
                 It is now   {shown}\n\
                 Either the server was set up anew, or somebody sits between you and it and reads along.\n\
                 Ask its operator for the fingerprint that the server prints at its start. If it is the new one,\n\
                 {remedy}. Nothing was sent."
            ));
        }
        if let Some(expected) = self.expected.filter(|&expected| expected != shown) {
            return Judgement::Wrong(format!(
                "{server} shows the key {shown}, not {expected} as --fingerprint demands. Nothing was sent."
            ));
        }
        let is_right = self.known.is_some() || self.expected.is_some() || self.is_loopback || self.accept_new;
        if is_right {
            Judgement::Right
        } else if self.can_ask {
            Judgement::Ask
        } else {
            Judgement::Wrong(format!(
                "The server {server} is not known yet. It shows the key {shown}. Compare that with what its operator \
                 tells you, then give --fingerprint {shown}, or --accept-new to trust it unseen. Nothing was sent."
            ))
        }
    }

    /// The server has proven itself with this key. Whether that is news.
    pub(super) fn remember(&mut self, proven: Fingerprint) -> bool {
        let is_new = !self.is_written;
        self.known = Some(proven);
        self.is_written = true;
        is_new
    }

    /// What a person is asked about an unknown key.
    pub(super) fn question(&self, shown: Fingerprint) -> String {
        format!(
            "The server {} is not known yet. Its key has the fingerprint {shown}. \
             Does its operator tell you the same? Type yes to trust it from now on, or no.",
            self.server
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: Fingerprint = Fingerprint([1; 32]);
    const OTHER: Fingerprint = Fingerprint([2; 32]);

    fn judge(change: impl FnOnce(&mut Trust)) -> Judgement {
        let mut trust = Trust { server: "host:1".to_owned(), ..Trust::default() };
        change(&mut trust);
        trust.judge(SHOWN)
    }

    #[test]
    fn an_unknown_key_depends_on_where_and_who() {
        assert!(matches!(judge(|_| ()), Judgement::Wrong(text) if text.contains("--accept-new")));
        assert_eq!(judge(|t| t.can_ask = true), Judgement::Ask);
        assert_eq!(judge(|t| t.is_loopback = true), Judgement::Right);
        assert_eq!(judge(|t| t.accept_new = true), Judgement::Right);
        assert_eq!(judge(|t| t.expected = Some(SHOWN)), Judgement::Right);
        assert_eq!(judge(|t| t.known = Some(SHOWN)), Judgement::Right);
    }

    #[test]
    fn a_changed_key_is_always_refused() {
        let changed = |t: &mut Trust| {
            *t = Trust {
                known: Some(OTHER),
                expected: Some(SHOWN),
                is_loopback: true,
                accept_new: true,
                can_ask: true,
                ..t.clone()
            };
        };
        assert!(matches!(judge(changed), Judgement::Wrong(text) if text.contains("CHANGED")));
        let unexpected = |t: &mut Trust| {
            *t = Trust {
                expected: Some(OTHER),
                is_loopback: true,
                accept_new: true,
                can_ask: true,
                ..t.clone()
            };
        };
        assert!(matches!(judge(unexpected), Judgement::Wrong(_)));
    }

    #[test]
    fn nothing_but_a_right_key_or_a_wish_is_trusted() {
        let keys = [None, Some(SHOWN), Some(OTHER)];
        for (case, (known, expected)) in (0..16).flat_map(|case| {
            keys.into_iter().flat_map(move |known| keys.map(|expected| (case, (known, expected))))
        }) {
            let [is_loopback, accept_new, can_ask, is_written] = [1, 2, 4, 8].map(|bit| case & bit != 0);
            let trust =
                Trust { known, is_written, expected, is_loopback, accept_new, can_ask, ..Trust::default() };
            let is_wrong = known == Some(OTHER) || expected == Some(OTHER);
            let is_wished = known.or(expected).is_some() || is_loopback || accept_new;
            let fits = match trust.judge(SHOWN) {
                Judgement::Right => !is_wrong && is_wished,
                Judgement::Ask => !is_wrong && !is_wished && can_ask,
                Judgement::Wrong(_) => is_wrong || (!is_wished && !can_ask),
            };
            assert!(fits, "{trust:?}");
        }
    }

    #[test]
    fn only_what_is_written_can_be_removed() {
        let text = |is_written| match judge(|t| *t = Trust { known: Some(OTHER), is_written, ..t.clone() }) {
            Judgement::Wrong(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(text(true).contains("remove the line") && !text(false).contains("remove the line"));
    }

    #[test]
    fn a_key_is_news_once() {
        let mut trust = Trust::default();
        assert!(trust.remember(SHOWN) && !trust.remember(SHOWN));
        assert!(matches!(trust.judge(OTHER), Judgement::Wrong(_)));
        let mut written = Trust { known: Some(SHOWN), is_written: true, ..Trust::default() };
        assert!(!written.remember(SHOWN));
    }
}
