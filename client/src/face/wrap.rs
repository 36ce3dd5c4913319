//! Breaking a line at the width of the screen, with an indent behind which everything that was written stays:
//! text that is made just so long that its end begins a new row cannot pass for a line of its own.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What stands in front of every row but the first.
const INDENT: &str = "    ";

/// The rows of a line on a screen of `cols` columns.
pub fn rows(line: &str, cols: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut width) = (String::new(), 0);
    // A screen too narrow for indent and text is left to the terminal.
    let cols = if cols < INDENT.len() + 4 { usize::MAX } else { cols };
    for word in words(line) {
        let word_width = word.width();
        if width + word_width > cols && word_width <= cols - INDENT.len() && !word.trim().is_empty() {
            rows.push(std::mem::replace(&mut row, INDENT.to_owned()));
            width = INDENT.len();
        }
        for grapheme in word.graphemes(true) {
            let grapheme_width = grapheme.width();
            if width + grapheme_width > cols {
                rows.push(std::mem::replace(&mut row, INDENT.to_owned()));
                width = INDENT.len();
            }
            row.push_str(grapheme);
            width += grapheme_width;
        }
    }
    rows.push(row);
    rows
}

/// The line in pieces that are best kept whole: words, and the spaces between them.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_inclusive(' ').flat_map(|piece| match piece.strip_suffix(' ') {
        Some(word) => [word, " "],
        None => [piece, ""],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(rows("<ada> one two three", 16), ["<ada> one two ", "    three"]);
        assert_eq!(rows("short", 80), ["short"]);
        assert_eq!(rows("a moth in the relay.", 19), ["a moth in the ", "    relay."]);
        assert_eq!(rows("xxxxxxxxxxxxxxxxxxxx", 12), ["xxxxxxxxxxxx", "    xxxxxxxx"]);
        assert_eq!(rows("", 80), [""]);
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_nothing_is_lost(line in "[a-z<> 張👩‍👧é]{0,200}", cols in 8usize..60) {
            let rows = rows(&line, cols);
            for row in &rows {
                prop_assert!(row.width() <= cols);
            }
            for row in &rows[1..] {
                prop_assert!(row.starts_with(INDENT));
            }
            let joined: String = rows[1..].iter().fold(rows[0].clone(), |all, row| all + &row[INDENT.len()..]);
            prop_assert_eq!(joined, line);
        }
    }
}
