//! Names that pass for another: written in another form, in mixed scripts, or simply looking alike.
//!
//! Owns the rules, those of Unicode's technical standards 15 and 39. They judge the operator's list of accounts,
//! not what may be a [`Username`]: a name by itself deceives nobody as long as there is no other to take it for.
//! Must not know files.

use protocol::Username;
use thiserror::Error;
use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection, skeleton};

/// Why a name could deceive, whoever else has an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Deception {
    /// The same letters can be written as other characters, and keyboards choose the composed ones.
    #[error("its letters must be composed ones (Unicode's form NFC), as keyboards make them")]
    Form,
    /// Such as a Latin name with a Cyrillic letter.
    #[error("it mixes letters of scripts that are not written together")]
    Scripts,
}

/// Refuses a name that could deceive. Any script alone is fine, as is what UTS 39 calls moderately restrictive:
/// Japanese, Korean and Chinese with Latin letters, and Latin with one other script, but not Greek or Cyrillic.
pub fn check(user: &Username) -> Result<(), Deception> {
    let name = user.as_str();
    if !unicode_normalization::is_nfc(name) {
        return Err(Deception::Form);
    }
    if !name.is_single_script() && !name.check_restriction_level(RestrictionLevel::ModeratelyRestrictive) {
        return Err(Deception::Scripts);
    }
    Ok(())
}

/// What all names that look alike have in common. Not for showing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skeleton(String);

impl Skeleton {
    /// Case matters, as it does for usernames: `Ada` and `ada` differ, `AI` and `Al` do not.
    pub fn of(user: &Username) -> Self {
        Self(skeleton(user.as_str()).collect())
    }
}

/// A name for a person who must see what cannot be seen: letters beyond ASCII are named by their numbers too.
pub fn spelled_out(user: &Username) -> String {
    if user.as_str().is_ascii() {
        return format!("'{user}'");
    }
    let spell = |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
    format!("'{user}' ({})", user.as_str().chars().map(spell).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Username {
        name.parse().unwrap()
    }

    fn alike(a: &str, b: &str) -> bool {
        Skeleton::of(&user(a)) == Skeleton::of(&user(b))
    }

    #[test]
    fn ordinary_names_of_any_script_pass() {
        for name in [
            "ada",
            "Ada",
            "server",
            "server-p2p",
            "server-p2p-file",
            "o.k_-9",
            "zoë",
            "groß",
            "Łukasz",
            "Ωμέγα.7_-",
            "Алиса",
            "Ольга_2",
            "张伟",
            "山田たろう",
            "ヤマダ",
            "ー山",
            "김철수",
            "محمد",
            "דוד",
            "अदा",
            "ทศ",
            "ሰላም",
            "Հայկ",
            "გიორგი",
            "ᏣᎳᎩ",
            "山田-taro",
            "kim김",
            "张wei",
            "adaअ",
        ] {
            assert_eq!(check(&user(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn mixtures_that_nobody_writes_are_refused() {
        for name in
            ["\u{430}da", "ad\u{3b1}", "\u{39f}\u{43b}", "p\u{430}ypal", "김\u{430}", "\u{5d0}\u{628}"]
        {
            assert_eq!(check(&user(name)), Err(Deception::Scripts), "{name}");
        }
    }

    #[test]
    fn names_are_composed() {
        // Letters whose composed form is another letter: the ohm sign, the angstrom sign, and Hangul in parts.
        for name in ["\u{2126}", "\u{212b}sa", "\u{1100}\u{1161}"] {
            assert_eq!(check(&user(name)), Err(Deception::Form), "{name}");
        }
    }

    #[test]
    fn what_looks_alike_has_one_skeleton() {
        for (a, b) in [
            ("ada", "\u{430}d\u{430}"),
            ("AI", "Al"),
            ("user1", "userl"),
            ("bernie", "bemie"),
            ("O-0", "0-O"),
            ("oxo", "\u{43e}\u{445}\u{43e}"),
            ("A", "\u{391}"),
            ("ada", "\u{ff41}\u{ff44}\u{ff41}"),
        ] {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [("Ada", "ada"), ("ada", "adam"), ("user1", "user2"), ("a.b", "a-b"), ("a_b", "a-b")] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn spelling_out_shows_the_difference() {
        assert_eq!(spelled_out(&user("ada")), "'ada'");
        assert_eq!(spelled_out(&user("\u{430}da")), "'\u{430}da' (\\u{430}da)");
    }
}
