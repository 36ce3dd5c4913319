//! Guessing passwords: what it costs, whom it harms, and what it tells (rows 12 to 17 of the list of attacks).

use std::{collections::BTreeMap, time::Duration};

use protocol::{ClientFrame, RequestId, Username, scram::Iterations, time::UnixMs};
use server::hub::{Credential, Input, Limits, Password};

use crate::rig::{RIGHT, Rig, START, verdict, verifier};

fn plain() -> Credential {
    Credential::Plain(Password::new(RIGHT))
}

fn list<const N: usize>(accounts: [(&str, Credential); N]) -> BTreeMap<Username, Credential> {
    accounts.into_iter().map(|(name, credential)| (name.parse().unwrap(), credential)).collect()
}

/// An address for each number; none is loopback.
fn address(number: u32) -> String {
    core::net::Ipv4Addr::from_bits(0x0A00_0000 | number).to_string()
}

#[test]
fn tries_side_by_side_are_counted_together() {
    for credential in [plain(), verifier()] {
        let mut rig = Rig::with(Limits::default(), list([("ada", credential)]));
        let logins: Vec<_> = (0..5).map(|number| rig.challenged(&address(number), "ada")).collect();
        let passwords = ["a", "b", "c", "d", RIGHT];
        let verdicts: Vec<_> = logins
            .into_iter()
            .zip(passwords)
            .map(|(login, word)| verdict(&rig.prove(login, word).1))
            .collect();
        let (bad, locked) = ("login-refused bad-credentials 0", "login-refused locked 60");
        assert_eq!(verdicts, [bad, bad, locked, locked, locked]);
    }
}

/// All that a guesser hears of a name: alone, side by side, locked, and after the lock. What differs from name
/// to name by chance is replaced by what can be told of it.
fn heard_of(name: &str, credentials: BTreeMap<Username, Credential>, rounds: &[u32]) -> Vec<Vec<String>> {
    let mut rig = Rig::with(Limits::default(), credentials);
    let mut heard = Vec::new();
    let mut salts = Vec::new();
    for number in 0..4 {
        heard.push(rig.attempt(&address(number), name, "wrong"));
        rig.pass(Duration::from_secs(7));
    }
    rig.pass(Duration::from_secs(60));
    let logins: Vec<_> = (10..15).map(|number| rig.challenged(&address(number), name)).collect();
    heard.extend(logins.into_iter().map(|login| rig.prove(login, "wrong").1));
    rig.pass(Duration::from_secs(60));
    for _ in 0..12 {
        heard.push(rig.attempt(&address(99), name, "wrong"));
        rig.pass(Duration::from_millis(300));
    }
    assert!(rig.asked.is_empty(), "no guess causes a derivation");
    for frames in &mut heard {
        let fields: Vec<_> = frames[1].split(',').map(str::to_owned).collect();
        let [nonce, salt, count] = fields.as_slice() else { panic!("{fields:?}") };
        assert!(rounds.iter().any(|rounds| *count == format!("i={rounds}")), "{count}");
        salts.push(salt.clone());
        frames[1] = format!("{nonce}, salt of {} characters", salt.len());
    }
    salts.dedup();
    assert_eq!(salts.len(), 1, "the salt of {name} is always the same");
    heard
}

#[test]
fn an_unknown_name_is_answered_like_a_known_one_of_any_kind() {
    let default = Iterations::DEFAULT.get();
    let both = || list([("ada", plain()), ("grace", verifier())]);
    let of_plain = heard_of("ada", both(), &[default]);
    assert_eq!(of_plain, heard_of("grace", both(), &[4_096]));
    for name in ["eve", "eva", "mallory", "no name, = at all"] {
        assert_eq!(of_plain, heard_of(name, both(), &[default, 4_096]), "{name}");
    }
    assert_eq!(of_plain, heard_of("eve", list([("ada", plain())]), &[default]));
    assert_eq!(of_plain, heard_of("eve", list([("ada", verifier())]), &[4_096]));
}

#[test]
fn a_new_account_does_not_give_an_unknown_name_away() {
    let salt = |rig: &mut Rig, name| rig.challenged(&address(1), name).challenge.salt().to_owned();
    let mut rig = Rig::with(Limits::default(), list([("ada", plain())]));
    let before = [salt(&mut rig, "ada"), salt(&mut rig, "eve"), salt(&mut rig, "new")];
    rig.input(Input::Accounts(list([("ada", plain()), ("new", plain())])));
    assert_eq!([salt(&mut rig, "ada"), salt(&mut rig, "eve"), salt(&mut rig, "new")], before);
}

#[test]
fn changing_the_address_does_not_help_against_one_account() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    let verdicts: Vec<_> = (0..100).map(|number| rig.verdict(&address(number), "ada", "wrong")).collect();
    let bad = verdicts.iter().filter(|verdict| verdict.contains("bad-credentials")).count();
    assert_eq!(bad, 2, "{verdicts:?}");
}

#[test]
fn changing_the_account_does_not_help_an_address() {
    for names in [["ada", "grace", "alan", "edsger"], ["eve", "eva", "mallory", "trudy"]] {
        let known = list(["ada", "grace", "alan", "edsger", "barbara"].map(|name| (name, verifier())));
        let mut rig = Rig::with(Limits::default(), known);
        for name in names.iter().cycle().take(8) {
            assert_eq!(rig.verdict("192.0.2.1", name, "wrong"), "login-refused bad-credentials 0");
        }
        for name in &names[..2] {
            assert_eq!(rig.verdict("192.0.2.1", name, "wrong"), "login-refused locked 60");
        }
        for name in ["ada", "barbara", "nobody"] {
            let heard = rig.attempt("192.0.2.1", name, RIGHT);
            assert_eq!(verdict(&heard), "login-refused busy 6");
            assert!(heard[2].contains("in 6 s"), "{heard:?}");
        }
        assert!(rig.verdict("192.0.2.2", "barbara", RIGHT).starts_with("welcome"), "another address");
        rig.pass(Duration::from_secs(6));
        assert_eq!(rig.verdict("192.0.2.1", names[3], "wrong"), "login-refused locked 60");
        assert_eq!(rig.verdict("192.0.2.1", "nobody", "wrong"), "login-refused busy 6");
    }
}

#[test]
fn right_passwords_do_not_refill_an_address() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier()), ("mallory", verifier())]));
    for number in 0..10 {
        let guess = rig.verdict("192.0.2.1", &format!("victim{number}"), "wrong");
        assert_eq!(guess, "login-refused bad-credentials 0");
        if number < 9 {
            let own = rig.log_in_from("192.0.2.1", "mallory");
            rig.input(Input::Closed { conn: own });
        }
    }
    assert_eq!(rig.verdict("192.0.2.1", "mallory", RIGHT), "login-refused busy 6");
}

#[test]
fn loopback_is_only_bound_by_locks() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    for number in 0..50 {
        let verdict = rig.verdict("127.0.0.1", &format!("victim{number}"), "wrong");
        assert_eq!(verdict, "login-refused bad-credentials 0");
    }
}

#[test]
fn a_live_session_is_untouched_by_a_lock() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    let ada = rig.log_in_from("192.0.2.1", "ada");
    for number in 0..5 {
        rig.attempt(&address(number), "ada", "wrong");
    }
    assert_eq!(rig.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
    assert_eq!(rig.heard(ada), [""; 0], "she is not even told");
    let answer = rig.say(ada, &ClientFrame::WhoElse { request: RequestId(1) });
    assert!(answer.iter().any(|frame| frame.contains('1')), "{answer:?}");
}

#[test]
fn only_the_monotonic_clock_ends_a_lock() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    for number in 0..3 {
        rig.attempt(&address(number), "ada", "wrong");
    }
    let year_ms = 365 * 86_400_000;
    for wall in [0, START.wall.0 - 60_000, START.wall.0 + 60_000, START.wall.0 + year_ms, u64::MAX] {
        rig.now.wall = UnixMs(wall);
        assert_eq!(rig.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
    }
    rig.pass(Duration::from_millis(59_999));
    assert_eq!(rig.verdict(&address(9), "ada", RIGHT), "login-refused locked 1");
    // Tries on a locked account do not lengthen it.
    assert_eq!(rig.verdict(&address(10), "ada", "wrong"), "login-refused locked 1");
    rig.pass(Duration::from_millis(1));
    assert!(rig.verdict(&address(9), "ada", RIGHT).starts_with("welcome"));

    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    for number in 0..3 {
        rig.attempt(&address(number), "ada", "wrong");
    }
    rig.pass(Duration::from_secs(86_400 * 365));
    assert!(rig.verdict(&address(9), "ada", RIGHT).starts_with("welcome"), "after a long suspend");
}

#[test]
fn a_new_list_of_accounts_ends_no_lock() {
    let mut rig = Rig::with(Limits::default(), list([("ada", verifier())]));
    for number in 0..3 {
        rig.attempt(&address(number), "ada", "wrong");
    }
    rig.input(Input::Accounts(list([("ada", verifier()), ("grace", plain())])));
    assert_eq!(rig.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
}

#[test]
fn a_flood_of_names_without_proofs_ends_no_lock() {
    let mut rig = Rig::with(Limits { ghosts_max: 4, ..Limits::default() }, list([("ada", verifier())]));
    for number in 0..3 {
        rig.attempt(&address(number), "eve", "wrong");
    }
    for number in 0..100 {
        rig.challenged(&address(number), &format!("flood{number}"));
    }
    assert_eq!(rig.verdict(&address(200), "eve", "wrong"), "login-refused locked 60");
}

#[test]
fn proofs_of_one_address_wait_three_at_a_time() {
    for (peer, waiting_max) in [("192.0.2.1", 3), ("127.0.0.1", 6)] {
        let mut rig = Rig::with(Limits::default(), list([("ada", plain())]));
        let changed = Credential::Plain(Password::new("new password"));
        rig.input(Input::Accounts(list([("ada", changed)])));
        let outcomes: Vec<_> = (0..6)
            .map(|_| {
                let login = rig.challenged(peer, "ada");
                rig.prove(login, "wrong")
            })
            .collect();
        for (index, (_, heard)) in outcomes.iter().enumerate() {
            let wanted = if index < waiting_max { "" } else { "login-refused busy 0" };
            assert_eq!(verdict(heard), wanted, "{index} from {peer}");
        }
        assert_eq!(rig.asked.len(), 1, "one derivation for all of them");
        rig.derive_one();
        let late: Vec<_> =
            outcomes[..waiting_max].iter().map(|&(conn, _)| rig.heard(conn)[0].clone()).collect();
        for (index, frame) in late.iter().enumerate() {
            let wanted =
                if index < 2 { "login-refused bad-credentials 0" } else { "login-refused locked 60" };
            assert!(frame.starts_with(wanted), "{index} from {peer}: {frame}");
        }
    }
}

#[test]
fn keys_are_derived_ahead_one_at_a_time_and_at_once_for_who_waits() {
    let names = ["a", "b", "c", "d", "e"];
    let mut rig = Rig::underived(Limits::default(), list(names.map(|name| (name, plain()))));
    let login = rig.challenged(&address(1), "d");
    assert_eq!(rig.asked.len(), 1, "one ahead");
    let (conn, heard) = rig.prove(login, RIGHT);
    assert_eq!(verdict(&heard), "");
    rig.attempt(&address(2), "eve", "wrong");
    let asked: Vec<_> = rig.asked.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(asked, ["a", "d"], "who waits has one before him, and unknown names add none");
    rig.derive_one();
    rig.derive_one();
    assert!(rig.heard(conn)[0].starts_with("welcome"));
    let mut order = Vec::new();
    while let Some((name, ..)) = rig.asked.front() {
        order.push(name.clone());
        assert_eq!(rig.asked.len(), 1);
        rig.derive_one();
    }
    assert_eq!(order, ["b", "c", "e"]);
}

#[test]
fn who_waits_for_an_account_that_is_removed_is_answered() {
    let mut rig = Rig::underived(Limits::default(), list([("ada", plain())]));
    let login = rig.challenged(&address(1), "ada");
    let (conn, heard) = rig.prove(login, RIGHT);
    assert_eq!(verdict(&heard), "");
    rig.input(Input::Accounts(list([("grace", plain())])));
    assert!(rig.heard(conn)[0].starts_with("login-refused bad-credentials 0"));
    rig.derive_all();
    assert!(rig.verdict(&address(2), "grace", RIGHT).starts_with("welcome"), "its stale keys harm nobody");
}
