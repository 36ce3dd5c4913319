//! The one sanitiser: text that others wrote, made fit for a terminal or a log.
//!
//! Control characters (C0, DEL, C1) can move the cursor or recolour the screen; bidirectional controls can
//! show a line in another order than it was written; zero-width and other invisible characters can hide one
//! thing inside another, and a flood of marks on one letter can grow over its neighbours. Each is shown as an
//! escape instead (CVE-2003-0063, CVE-2021-42574).

use std::fmt::{self, Write};

use unicode_width::UnicodeWidthChar;

/// Characters without a width of their own, one after the other, that are left alone: more than any script's
/// letter or emoji has, and too few to reach the lines above and below.
const ZERO_WIDTH_RUN_MAX: usize = 8;

/// Shows `text` with every dangerous character escaped: `\n`, `\r`, `\t`, else `\u{1b}`.
///
/// A backslash stays as it is: people write them, and an escape look-alike does no harm.
#[derive(Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut clean_from, mut zero_width_run) = (0, 0);
        for (at, c) in self.0.char_indices() {
            zero_width_run = if c.width() == Some(0) { zero_width_run + 1 } else { 0 };
            if is_printable(c) && zero_width_run <= ZERO_WIDTH_RUN_MAX {
                continue;
            }
            f.write_str(self.0.get(clean_from..at).unwrap_or_default())?;
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other => write!(f, "\\u{{{:x}}}", u32::from(other))?,
            }
            clean_from = at + c.len_utf8();
        }
        f.write_str(self.0.get(clean_from..).unwrap_or_default())
    }
}

/// Like [`Printable`], cut after `chars_max` characters with an ellipsis: for logs, which hostile text must
/// not flood.
#[derive(Clone, Copy)]
pub struct Excerpt<'a> {
    /// What to show.
    pub text: &'a str,
    /// How much of it.
    pub chars_max: usize,
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.char_indices().nth(self.chars_max) {
            None => Printable(self.text).fmt(f),
            Some((end, _)) => {
                Printable(self.text.get(..end).unwrap_or_default()).fmt(f)?;
                f.write_char('…')
            }
        }
    }
}

pub(crate) fn is_printable(c: char) -> bool {
    !(c.is_control() || is_bidi_control(c) || is_invisible(c))
}

/// Unicode's `Bidi_Control` property.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no room and change nothing one could see. The zero-width joiners (U+200C, U+200D) and
/// the variation selectors stay: emoji and several scripts need them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_read_well() {
        assert_eq!(
            Printable("a\u{1b}[2Jb\r\nc\u{9b}d\u{202e}e\u{7f}").to_string(),
            "a\\u{1b}[2Jb\\r\\nc\\u{9b}d\\u{202e}e\\u{7f}"
        );
        assert_eq!(Printable("naïve 张伟 👩‍👩‍👧 C:\\dir").to_string(), "naïve 张伟 👩‍👩‍👧 C:\\dir");
        assert_eq!(Excerpt { text: "abc\n", chars_max: 3 }.to_string(), "abc…");
        assert_eq!(Excerpt { text: "abc", chars_max: 3 }.to_string(), "abc");
    }

    #[test]
    fn a_flood_of_marks_is_cut_and_ordinary_ones_are_not() {
        let zalgo = format!("a{}b", "\u{301}".repeat(10));
        let shown = Printable(&zalgo).to_string();
        assert_eq!(shown, format!("a{}\\u{{301}}\\u{{301}}b", "\u{301}".repeat(8)));
        assert!(Printable(&"\u{200d}".repeat(100)).to_string().contains("\\u{200d}"));
        for ordinary in ["हिन्दी", "ภาษาไทย", "👩🏽‍❤️‍💋‍👨🏻", "Tiếng Việt", "عربي"]
        {
            assert_eq!(Printable(ordinary).to_string(), ordinary);
        }
    }

    proptest! {
        #[test]
        fn nothing_dangerous_survives(text in any::<String>(), bidi in "[\u{200e}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{80}-\u{9f}]*") {
            let shown = Printable(&format!("{text}{bidi}{text}")).to_string();
            prop_assert!(shown.chars().all(is_printable));
        }
    }
}
