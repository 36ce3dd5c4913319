//! What people type.

use client::core::Line;
use protocol::{Username, limits::TEXT_LEN_MAX};

use crate::{
    diary::{Diary, What},
    dice::Dice,
    judge::Judge,
};

/// What the author of a line knows.
pub(crate) struct Author<'a> {
    pub(crate) me: &'a Username,
    pub(crate) rig: u32,
    /// Everyone, himself included.
    pub(crate) names: &'a [Username],
    pub(crate) text_len_max: usize,
    pub(crate) now_ms: u64,
    pub(crate) step: u64,
}

/// A line out of the blue, noted in the diary.
pub(crate) fn any_line(author: &Author<'_>, dice: &mut Dice, judge: &mut Judge, diary: &mut Diary) -> Line {
    let other = dice.pick(author.names).unwrap_or(author.me).clone();
    let chosen = dice.below(100);
    let (word, what, line) = match chosen {
        0..50 => return message(author, &other, dice, judge, diary),
        50..62 => {
            let (token, text) = judge.write((author.me, author.rig), None, &filler(author, dice));
            ("broadcast", What::Letter(token), format!("broadcast {text}"))
        }
        62..69 => ("whoelse", What::Other, "WhoElse".to_owned()),
        69..72 => ("whoelsesince", What::Other, format!("whoelsesince {}", dice.below(100))),
        72..78 => ("block", What::Block(other.clone(), author.step), format!("block {other}")),
        78..85 => {
            judge.unblocking(author.me, &other, author.step);
            ("unblock", What::Unblock(other.clone()), format!("unblock {other}"))
        }
        85..88 => ("blocklist", What::Other, "blocklist".to_owned()),
        88..90 => ("help", What::Local, "help block".to_owned()),
        90..92 => ("message", What::Other, format!("message {other}  ")),
        92..94 => ("message", What::Other, "message nobody.1 hello".to_owned()),
        94..95 => ("whoelse", What::Local, "whoelse now".to_owned()),
        95..96 => ("", What::Local, String::new()),
        96..97 => ("xyzzy", What::Local, "xyzzy plugh".to_owned()),
        97..98 => {
            diary.typed("", What::Local, author.now_ms);
            return Line::NotText;
        }
        98..99 => {
            diary.typed("message", What::Local, author.now_ms);
            return Line::TooLong("message ada xxxxxxxxx".to_owned());
        }
        _ => ("broadcast", What::Local, format!("broadcast {}", "x".repeat(TEXT_LEN_MAX + 1))),
    };
    diary.typed(word, what, author.now_ms);
    Line::Text(line)
}

/// A message to one user.
fn message(
    author: &Author<'_>,
    to: &Username,
    dice: &mut Dice,
    judge: &mut Judge,
    diary: &mut Diary,
) -> Line {
    let (token, text) = judge.write((author.me, author.rig), Some(to), &filler(author, dice));
    diary.typed("message", What::Letter(token), author.now_ms);
    Line::Text(format!("message {to} {text}"))
}

/// A plain command.
pub(crate) fn simple(word: &str, now_ms: u64, diary: &mut Diary) -> Line {
    let what = if word == "logout" { What::Logout } else { What::Other };
    diary.typed(word, what, now_ms);
    Line::Text(word.to_owned())
}

/// Text of any length with anything in it but line feeds.
fn filler(author: &Author<'_>, dice: &mut Dice) -> String {
    const PIECES: [&str; 8] = ["x", "  y", "ä", "\u{1b}[31m", "日本", "\r", "#1 ", "deliver ada 0"];
    // What stands before it in the text.
    const NUMBER_LEN: usize = 12;
    let len_max = dice.skewed_size(0, author.text_len_max).min(TEXT_LEN_MAX - NUMBER_LEN);
    let piece = dice.pick(&PIECES).copied().unwrap_or("x");
    piece.repeat(len_max / piece.len())
}
