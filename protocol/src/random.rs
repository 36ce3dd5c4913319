//! Random bytes for the pure cores, all drawn from one seed.
//!
//! Owns the stretching of a seed into a stream nobody can foretell without it. Must not know the system's source
//! of randomness: a shell draws the seed there once, a test or a simulation picks one and gets the same history
//! again.

use core::fmt;

use ring::hmac;

/// Bytes of a seed.
pub const SEED_LEN: usize = 32;

/// An endless stream of bytes that cannot be told from random ones without its seed: HMAC-SHA256(seed, counter).
///
/// Not `Clone`, because two streams from one seed hand out the same nonces.
pub struct RandomStream {
    key: hmac::Key,
    counter: u64,
}

impl RandomStream {
    /// The stream of `seed`, from its start.
    pub fn from_seed(seed: [u8; SEED_LEN]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), counter: 0 }
    }

    /// Fills `out` with the next bytes.
    ///
    /// Each call starts at a block of its own, so that no unused byte has to be kept in memory.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(ring::digest::SHA256_OUTPUT_LEN) {
            let block = hmac::sign(&self.key, &self.counter.to_be_bytes());
            // 2^64 blocks outlast any process.
            self.counter = self.counter.wrapping_add(1);
            chunk.iter_mut().zip(block.as_ref()).for_each(|(byte, &random)| *byte = random);
        }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl fmt::Debug for RandomStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomStream").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> [u8; SEED_LEN] {
        core::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    #[test]
    fn is_hmac_of_a_counter() {
        // From an implementation in another language.
        let expected = [
            0x9f0c_d9b9_4097_fe49,
            0x2991_8d2b_8942_b344,
            0x3957_4261_a35d_c501,
            0x63f0_6c67_d4e4_8899,
            0xc432_e059_c378_eef7,
            0xfe2f_1181_a405_0836,
            0xf51e_0856_fd74_937b,
            0xe817_84fa_0efa_7a1c_u64,
        ];
        assert_eq!(
            RandomStream::from_seed(seed()).bytes::<64>(),
            expected.map(u64::to_be_bytes).concat().as_slice()
        );
    }

    #[test]
    fn no_bytes_come_twice() {
        let mut stream = RandomStream::from_seed(seed());
        let draws: std::collections::BTreeSet<[u8; 16]> = (0..1000).map(|_| stream.bytes()).collect();
        assert_eq!(draws.len(), 1000);
    }

    #[test]
    fn odd_lengths_are_filled_to_the_end() {
        let whole = RandomStream::from_seed(seed()).bytes::<96>();
        for len in [0, 1, 31, 32, 33, 95, 96] {
            let mut out = vec![0; len];
            RandomStream::from_seed(seed()).fill(&mut out);
            assert_eq!(out, whole[..len], "length {len}");
        }
    }

    #[test]
    fn other_seeds_give_other_streams() {
        let mut other = seed();
        other[31] ^= 1;
        assert_ne!(
            RandomStream::from_seed(seed()).bytes::<32>(),
            RandomStream::from_seed(other).bytes::<32>()
        );
    }

    #[test]
    fn debug_hides_the_seed() {
        let mut stream = RandomStream::from_seed([0xA5; SEED_LEN]);
        stream.bytes::<40>();
        assert_eq!(format!("{stream:?}"), "RandomStream { counter: 2, .. }");
    }
}
