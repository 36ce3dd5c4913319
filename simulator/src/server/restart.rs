//! How the server dies and starts again.
//!
//! Owns what a new process has of the one before: what the store had written, and nothing else.

use protocol::time::{MonoMs, Now};
use server::hub::{Hub, Recovered, Tried};

use super::Server;
use crate::{
    judge::Judge,
    net::{Actor, Net, Side},
};

/// How far the end of a lock may be off after a restart: a second when it was written down, and one since.
const LOCK_OFF_MS: u64 = 2_000;

impl Server {
    /// It dies without a word, somewhere in its next turns.
    pub(crate) fn crash_soon(&mut self, net: &mut Net) {
        self.crash_in = Some(net.dice.skewed(0, 50));
    }

    /// It stays alive after all.
    pub(crate) fn calm_down(&mut self) {
        self.crash_in = None;
    }

    /// Whatever was in memory is gone.
    pub(super) fn crash(&mut self, net: &mut Net, judge: &mut Judge) {
        let with_its_machine = net.dice.chance(300);
        net.note(format_args!("server: crashes, with its machine: {with_its_machine}"));
        judge.crashed();
        self.crashes += 1;
        self.crash_in = None;
        self.written_at_crash = self.store.is_idle();
        self.store.crash(&mut net.dice);
        for cable in std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.cable) {
            if with_its_machine {
                net.swallow(cable);
            }
            net.close(cable, Side::Server);
        }
        self.refuse_all(net);
        self.taps.clear();
        self.full.clear();
        self.unfinished.clear();
        self.jobs.clear();
        let until_ms = net.now_ms + net.dice.skewed(0, 10_000);
        self.down_until_ms = Some(until_ms);
        net.wake(until_ms, Actor::Server);
    }

    pub(super) fn restart(&mut self, net: &mut Net, judge: &mut Judge, now: Now) {
        net.note(format_args!("server: starts again"));
        self.down_until_ms = None;
        let recovered = self.store.recovered(now.wall);
        self.recover_lock_outs(judge, now, &recovered);
        let (limits, credentials) = (self.limits.clone(), self.credentials.clone());
        self.hub = Hub::recover(limits, credentials, recovered, net.dice.seed(), now);
    }

    /// What was counted and not written is no longer counted, and what was written holds: a lock ends when it would
    /// have, if the process that wrote it had seen the clocks as they are.
    fn recover_lock_outs(&mut self, judge: &mut Judge, now: Now, recovered: &Recovered) {
        let Some(lock_out) = self.limits.lock_out else { return };
        let lock_out_ms = u64::try_from(lock_out.as_millis()).unwrap_or(u64::MAX);
        let counts = recovered.tries.iter().filter_map(|(who, record)| {
            let Tried::Account(user) = who else { return None };
            let left_ms =
                record.locked_until.map(|until| until.0.saturating_sub(now.wall.0).min(lock_out_ms));
            let locked_until = left_ms.map(|left_ms| MonoMs(now.mono.0 + left_ms));
            Some((user.to_string(), record.wrong_in_a_row, locked_until))
        });
        let counts: Vec<_> = counts.collect();
        let moved = |from: u64, to: u64| i128::from(to) - i128::from(from);
        let drift = moved(self.turned_at.wall.0, now.wall.0) - moved(self.turned_at.mono.0, now.mono.0);
        let off_max_ms = u128::from(LOCK_OFF_MS) + drift.unsigned_abs();
        if self.never_failed && self.written_at_crash {
            for (name, until) in self.lock_outs.locks() {
                let found = counts.iter().find(|(counted, ..)| counted == name);
                let found = found.and_then(|(_, _, locked_until)| *locked_until).unwrap_or(now.mono);
                let off_ms = u128::from(found.max(now.mono).0.abs_diff(until.max(now.mono).0));
                let is_judged =
                    judge.is_known(name) && !self.unjudged.iter().any(|unjudged| unjudged == name);
                if off_ms > off_max_ms && is_judged {
                    judge.fail(format!("the lock of '{name}' ends {off_ms} ms off after a restart"));
                }
            }
        }
        self.lock_outs.recover(counts.into_iter());
    }
}
