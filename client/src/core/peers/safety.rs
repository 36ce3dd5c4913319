//! The number by which two people rule out a lying server: both read the same digits, or somebody is in between.

use protocol::{Fingerprint, Username};
use ring::digest;

/// Digits in a group, and groups: 60 digits hold 199 bits of the hash, so that no two keys can be found that
/// show the same number to both.
const GROUP_DIGITS: u64 = 100_000;
const GROUPS: usize = 12;

/// The same for both ends, whoever asks.
pub(super) fn number(one: (&Username, Fingerprint), other: (&Username, Fingerprint)) -> String {
    let (first, second) = if (one.0, one.1) <= (other.0, other.1) { (one, other) } else { (other, one) };
    let mut context = digest::Context::new(&digest::SHA512);
    context.update(b"parlour safety 1\n");
    for (user, key) in [first, second] {
        context.update(user.as_str().as_bytes());
        context.update(b"\n");
        context.update(&key.0);
    }
    let hash = context.finish();
    let group =
        |bytes: &[u8]| bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte)) % GROUP_DIGITS;
    let groups: Vec<String> =
        hash.as_ref().chunks_exact(5).take(GROUPS).map(|bytes| format!("{:05}", group(bytes))).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_see_the_same_and_another_key_or_name_shows() {
        let (ada, bob, eve): (Username, Username, Username) =
            ("ada".parse().unwrap(), "bob".parse().unwrap(), "eve".parse().unwrap());
        let (a, b, e) = (Fingerprint([1; 32]), Fingerprint([2; 32]), Fingerprint([3; 32]));
        let seen = number((&ada, a), (&bob, b));
        assert_eq!(seen, number((&bob, b), (&ada, a)));
        assert_eq!(seen.len(), 12 * 5 + 11);
        for other in
            [number((&ada, a), (&bob, e)), number((&ada, e), (&bob, b)), number((&ada, a), (&eve, b))]
        {
            assert_ne!(seen, other);
        }
    }
}
