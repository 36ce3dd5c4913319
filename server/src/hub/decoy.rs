//! What a name without an account is shown: a salt, a count of rounds, and keys that no password fits.
//!
//! Owns the secret that they are made of, so that a name is shown the same at every try. Must not know who has
//! an account, nor who tries.

use std::collections::BTreeMap;

use protocol::scram::{Iterations, Key, Verifier};
use ring::{digest::SHA256_OUTPUT_LEN, hmac};

/// Bytes of a salt that is made here.
pub(super) const SALT_LEN: usize = 16;

/// What can be seen of an account from outside, beside its salt's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    rounds: u32,
    salt_len: usize,
}

impl Shape {
    /// Of a plain password.
    pub(super) const PLAIN: Self = Self { rounds: protocol::scram::ITERATIONS_DEFAULT, salt_len: SALT_LEN };

    pub(super) fn of(verifier: &Verifier) -> Self {
        Self { rounds: verifier.iterations.get(), salt_len: verifier.salt.len() }
    }
}

pub(super) struct Decoys {
    /// The same at each start.
    secret: hmac::Key,
    /// The shapes of real accounts, each with how many accounts have it or one before it.
    shapes: Vec<(Shape, u64)>,
}

impl Decoys {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, secret), shapes: Vec::new() }
    }

    /// From now on decoys are shaped like these, each as often as it is among these: a mixture of kinds in the
    /// file tells nothing then. A few accounts more or less change the shape of few names.
    pub(super) fn resemble(&mut self, shapes: impl Iterator<Item = Shape>) {
        let mut counts: BTreeMap<Shape, u64> = BTreeMap::new();
        for shape in shapes {
            *counts.entry(shape).or_default() += 1;
        }
        let sum_up = |total: &mut u64, (shape, count)| {
            *total += count;
            Some((shape, *total))
        };
        self.shapes = counts.into_iter().scan(0, sum_up).collect();
    }

    /// What stands in for an account's verifier.
    pub(super) fn verifier(&self, name: &str) -> Verifier {
        let shape = self.shape(name);
        Verifier {
            iterations: Iterations::new(shape.rounds).unwrap_or(Iterations::DEFAULT),
            salt: self.bytes(b"salt", name, shape.salt_len),
            stored_key: Key::new(self.block(b"stored", name, 0)),
            server_key: Key::new(self.block(b"server", name, 0)),
        }
    }

    /// The salt of an account that has none of its own.
    pub(super) fn salt(&self, name: &str) -> Vec<u8> {
        self.bytes(b"salt", name, SALT_LEN)
    }

    /// Stands for a name where it would take more memory.
    pub(super) fn tag(&self, name: &str) -> [u8; SHA256_OUTPUT_LEN] {
        self.block(b"tag", name, 0)
    }

    fn shape(&self, name: &str) -> Shape {
        let total = self.shapes.last().map_or(0, |&(_, total)| total);
        let dice = self.block(b"shape", name, 0).iter().fold(0u64, |sum, &b| sum << 8 | u64::from(b));
        // `dice` as a fraction of its range, so that a small change of `total` moves few names.
        let place = (u128::from(dice) * u128::from(total)) >> 64;
        let shape = self.shapes.iter().find(|&&(_, up_to)| place < u128::from(up_to));
        shape.map_or(Shape::PLAIN, |&(shape, _)| shape)
    }

    fn bytes(&self, purpose: &[u8], name: &str, len: usize) -> Vec<u8> {
        (0..).flat_map(|index| self.block(purpose, name, index)).take(len).collect()
    }

    /// Bytes that look random and are always the same for a name.
    fn block(&self, purpose: &[u8], name: &str, index: u8) -> [u8; SHA256_OUTPUT_LEN] {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(purpose);
        context.update(&[0, index]);
        context.update(name.as_bytes());
        let mut out = [0; SHA256_OUTPUT_LEN];
        out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoys(shapes: &[(u32, usize, usize)]) -> Decoys {
        let mut decoys = Decoys::new(&[7; 32]);
        let of = |&(rounds, salt_len, count)| std::iter::repeat_n(Shape { rounds, salt_len }, count);
        decoys.resemble(shapes.iter().flat_map(of));
        decoys
    }

    fn shown(decoys: &Decoys, name: &str) -> (u32, Vec<u8>) {
        let verifier = decoys.verifier(name);
        (verifier.iterations.get(), verifier.salt)
    }

    #[test]
    fn shapes_are_as_common_as_among_the_accounts() {
        let decoys = decoys(&[(4_096, 16, 1), (100_000, 24, 3)]);
        let rounds = (0..1_000).map(|n| shown(&decoys, &format!("eve{n}")).0);
        let few = rounds.filter(|&rounds| rounds == 4_096).count();
        assert!((180..320).contains(&few), "a quarter of 1,000, not {few}");
    }

    #[test]
    fn a_new_account_changes_few_decoys() {
        let (before, after) =
            (decoys(&[(4_096, 16, 50), (9_999, 16, 50)]), decoys(&[(4_096, 16, 51), (9_999, 16, 50)]));
        let names = (0..1_000).map(|n| format!("eve{n}"));
        let changed = names.filter(|name| shown(&before, name) != shown(&after, name)).count();
        assert!(changed < 30, "{changed} of 1,000 changed");
    }

    #[test]
    fn a_long_salt_does_not_repeat_itself() {
        let salt = shown(&decoys(&[(4_096, 64, 1)]), "eve").1;
        assert_eq!(salt.len(), 64);
        let parts: std::collections::BTreeSet<_> = salt.chunks(8).collect();
        assert_eq!(parts.len(), 8);
    }

    #[test]
    fn without_accounts_a_decoy_looks_like_a_plain_one() {
        let (rounds, salt) = shown(&decoys(&[]), "eve");
        assert_eq!((rounds, salt.len()), (Iterations::DEFAULT.get(), SALT_LEN));
        assert_eq!(salt, decoys(&[]).salt("eve"));
    }
}
