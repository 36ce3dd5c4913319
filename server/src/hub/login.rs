//! From the first byte to a proven name: `hello`, SCRAM, lock-out.
//!
//! Owns the steps and the verdict over a proof. Must not know what being online means; the hub seats the user.

use core::time::Duration;
use std::sync::Arc;

use protocol::{
    Fingerprint, GoodbyeReason, LoginRefusal, ServerFrame, Username, VERSION,
    random::RandomStream,
    scram::{self, Mechanism, Nonce},
};

use super::{
    accounts::{Accounts, Keys},
    effect::ConnId,
    guesses::{Guesses, Origin},
    post::Desk,
    sessions::{Session, Sessions, Stage},
};

/// How far a log-in has come.
#[derive(Debug)]
pub(super) enum LoginStep {
    /// Waits for `auth`.
    Hello,
    /// Waits for `proof`.
    Challenged { name: Arc<str>, challenge: scram::server::Challenge },
    /// Waits for the keys of the account.
    Proven { name: Arc<str>, challenge: scram::server::Challenge, client_final: String },
    /// The proof was right; the user's first connection is asked whether it lives.
    Probing { server_final: String, incumbent: ConnId },
}

/// What becomes of a proof.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its keys are not there yet.
    Open,
    Right {
        user: Username,
        server_final: String,
    },
    Refused {
        code: LoginRefusal,
        retry_after: Duration,
    },
    /// It is no proof at all.
    Malformed(scram::server::ServerError),
}

/// A message came at a step that does not wait for it, or does not follow the grammar.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

impl Broken {
    pub(super) const REASON: GoodbyeReason = GoodbyeReason::Protocol;
}

pub(super) fn hello(desk: &mut Desk<'_>, conn: ConnId, version: u32) -> Result<(), Broken> {
    if version == 0 {
        return Err(Broken("There is no version 0 of this protocol.".to_owned()));
    }
    if let Some(session) = desk.sessions.get_mut(conn) {
        session.stage = Stage::Login(LoginStep::Hello);
    }
    // The highest version that both know; whoever can only speak higher ones sees it and leaves.
    let frame = ServerFrame::Hello { version: version.min(VERSION) };
    desk.sessions.tell(conn, &frame, desk.now.mono, desk.limits);
    Ok(())
}

pub(super) fn auth(
    desk: &mut Desk<'_>,
    (accounts, random): (&mut Accounts, &mut RandomStream),
    conn: ConnId,
    (mechanism, key, client_first): (Mechanism, Fingerprint, &str),
) -> Result<(), Broken> {
    let Some(session) = desk.sessions.get_mut(conn) else { return Ok(()) };
    match (mechanism, session.binding) {
        (Mechanism::Sha256, None) | (Mechanism::Sha256Plus, Some(_)) => {}
        (Mechanism::Sha256Plus, None) => {
            return Err(Broken("There is no TLS on this connection to bind the log-in to.".to_owned()));
        }
        (Mechanism::Sha256, Some(_)) => {
            return Err(Broken("Over TLS a log-in must be bound to it: use SCRAM-SHA-256-PLUS.".to_owned()));
        }
    }
    session.key = Some(key);
    let Stage::Login(step @ LoginStep::Hello) = &mut session.stage else {
        return Err(Broken("This log-in is under way already.".to_owned()));
    };
    let first =
        scram::server::ClientFirst::parse(client_first, mechanism).map_err(|e| Broken(e.to_string()))?;
    let name: Arc<str> = first.username().into();
    let parameters = accounts.parameters(&name);
    let nonce = Nonce::new(random.bytes());
    let (challenge, server_first) = first.challenge(&parameters.salt, parameters.iterations, &nonce);
    *step = LoginStep::Challenged { name: Arc::clone(&name), challenge };
    session.claimed_name = Some(name);
    let frame = ServerFrame::Challenge { server_first: &server_first };
    desk.sessions.tell(conn, &frame, desk.now.mono, desk.limits);
    Ok(())
}

/// Takes a proof; [`judge`] comes next.
pub(super) fn proof(sessions: &mut Sessions, conn: ConnId, client_final: &str) -> Result<(), Broken> {
    let Some(Stage::Login(step)) = stage(sessions, conn) else { return Ok(()) };
    match std::mem::replace(step, LoginStep::Hello) {
        LoginStep::Challenged { name, challenge } => {
            *step = LoginStep::Proven { name, challenge, client_final: client_final.to_owned() };
            Ok(())
        }
        other => {
            *step = other;
            Err(Broken("A proof must answer a challenge.".to_owned()))
        }
    }
}

/// Judges a proof as soon as its keys are there. The limit and the lock come first: a locked account tells
/// nothing about its password, and tries that were started side by side do not get around the counts.
pub(super) fn judge(
    desk: &mut Desk<'_>,
    (accounts, guesses): (&mut Accounts, &mut Guesses),
    conn: ConnId,
) -> Verdict {
    let Some(&Session { peer, binding, .. }) = desk.sessions.get(conn) else { return Verdict::Open };
    let Some(Stage::Login(step @ LoginStep::Proven { .. })) = stage(desk.sessions, conn) else {
        return Verdict::Open;
    };
    let LoginStep::Proven { name, challenge, client_final } = std::mem::replace(step, LoginStep::Hello)
    else {
        return Verdict::Open;
    };
    if let Some(retry_after) = guesses.refused_for(peer, desk.now.mono, desk.limits) {
        return Verdict::Refused { code: LoginRefusal::Busy, retry_after };
    }
    if let Some(retry_after) = accounts.locked_for(&name, desk.now.mono) {
        return Verdict::Refused { code: LoginRefusal::Locked, retry_after };
    }
    let verifier = match accounts.keys(&name, conn) {
        Keys::Known(verifier) => verifier,
        keys => {
            if let Keys::Missing(derivation) = keys {
                desk.sessions.push_effect(derivation);
            }
            if !peer.is_loopback()
                && desk.sessions.proofs_waiting(Origin::of(peer)) >= desk.limits.proofs_per_address_max
            {
                return Verdict::Refused { code: LoginRefusal::Busy, retry_after: Duration::ZERO };
            }
            if let Some(Stage::Login(step)) = stage(desk.sessions, conn) {
                *step = LoginStep::Proven { name, challenge, client_final };
            }
            return Verdict::Open;
        }
    };
    let binding = binding.as_ref().map(<[u8; 32]>::as_slice);
    let refused = match challenge.verify(&client_final, &verifier, binding) {
        Ok(server_final) => match accounts.right(&name, desk.ledger) {
            Some(user) => return Verdict::Right { user, server_final },
            None => LoginRefusal::BadCredentials,
        },
        Err(scram::server::ServerError::WrongPassword) => LoginRefusal::BadCredentials,
        Err(malformed) => return Verdict::Malformed(malformed),
    };
    guesses.wrong(peer, desk.now.mono, desk.limits);
    match accounts.wrong(&name, desk.ledger, desk.now) {
        Some(retry_after) => Verdict::Refused { code: LoginRefusal::Locked, retry_after },
        None => Verdict::Refused { code: refused, retry_after: Duration::ZERO },
    }
}

fn stage(sessions: &mut Sessions, conn: ConnId) -> Option<&mut Stage> {
    sessions.get_mut(conn).map(|session| &mut session.stage)
}
