//! Many histories, and the proof that the checks can fail.
//!
//! `PARLOUR_SEEDS` sets how many histories are lived through; each failure names the command that replays it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use simulator::{Failure, Sabotage, Summary, run};

const SEEDS: u64 = 1_000;
const THREADS: usize = 2;

#[test]
fn nothing_goes_wrong_whatever_happens() {
    let seeds = std::env::var("PARLOUR_SEEDS").ok().map_or(SEEDS, |count| count.parse().unwrap());
    let (next, failures, summaries) =
        (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::<Summary>::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    match run(seed, false, None) {
                        Ok(summary) => summaries.lock().unwrap().push(summary),
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let texts: Vec<String> = failures.iter().map(Failure::to_string).collect();
    assert!(failures.is_empty(), "{} of {seeds} failed:\n{}", failures.len(), texts.join("\n"));
    // Histories in which hardly anything happens would prove nothing.
    let summaries = summaries.into_inner().unwrap();
    let sum = |count: fn(&Summary) -> u64| summaries.iter().map(count).sum::<u64>();
    let (shown, confirmed, crashes) = (sum(|s| s.shown), sum(|s| s.confirmed), sum(|s| s.crashes));
    assert!(shown > 50 * seeds && confirmed > 30 * seeds, "only {shown} shown, {confirmed} confirmed");
    assert!(crashes > seeds / 4, "only {crashes} crashes");
}

#[test]
fn a_seed_is_a_history() {
    for seed in [3, 14, 15] {
        let first = run(seed, false, None).unwrap();
        assert_eq!(run(seed, false, None).unwrap(), first);
    }
    assert_ne!(run(3, false, None).unwrap().hash, run(4, false, None).unwrap().hash);
}

/// The first failure that a lie in the world leads to.
fn caught(sabotage: Sabotage) -> Option<String> {
    (0..40).find_map(|seed| run(seed, false, Some(sabotage)).err()).map(|failure| failure.what)
}

#[test]
fn a_store_that_forgets_is_noticed() {
    let what = caught(Sabotage::StoreForgets).unwrap();
    assert!(what.ends_with("and is lost"), "{what}");
}

#[test]
fn a_store_that_confirms_before_it_has_written_is_noticed() {
    let what = caught(Sabotage::StoreHurries).unwrap();
    assert!(what.ends_with("and is lost"), "{what}");
}

#[test]
fn a_store_that_mixes_up_the_order_is_noticed() {
    let what = caught(Sabotage::StoreReverses).unwrap();
    assert!(what.contains(" behind #"), "{what}");
}

#[test]
fn a_client_that_forgets_what_it_has_shown_is_noticed() {
    let what = caught(Sabotage::SeenForgotten).unwrap();
    assert!(what.contains("was shown twice"), "{what}");
}

#[test]
fn an_acknowledgement_of_what_was_never_shown_is_noticed() {
    let what = caught(Sabotage::ScreenDark).unwrap();
    assert!(what.contains("nobody has shown it") || what.ends_with("and is lost"), "{what}");
}

#[test]
fn a_hub_whose_timers_never_fire_is_noticed() {
    let what = caught(Sabotage::TimersSleep).unwrap();
    assert!(what.contains("dead and not found") || what.contains("spins"), "{what}");
}
