//! What a client knows before it starts.
//!
//! Must not know where it comes from.

use std::fmt;

use protocol::Fingerprint;

use super::{KnownPeers, Rates, Trust};

/// What is known before the user is asked.
#[derive(Clone)]
pub struct Setup {
    /// `--user`.
    pub user: Option<String>,
    /// `--password-file` or the environment.
    pub password: Option<String>,
    /// What is known of the server's key.
    pub trust: Trust,
    /// The fingerprint of this client's own key, which the server tells others.
    pub key: Fingerprint,
    /// The keys of other users that were remembered.
    pub known_peers: KnownPeers,
    /// How fast files may move.
    pub rates: Rates,
}

impl Setup {
    /// Of a client with that key which knows nothing else.
    pub fn for_key(key: Fingerprint) -> Self {
        Self {
            user: None,
            password: None,
            trust: Trust::default(),
            key,
            known_peers: KnownPeers::default(),
            rates: Rates::default(),
        }
    }
}

/// The password stays out of logs.
impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("user", &self.user).field("trust", &self.trust).finish_non_exhaustive()
    }
}
