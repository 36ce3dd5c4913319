//! Where the characters of a text stand on the screen.
//!
//! A character is what a person takes for one: it may be several code points, and two columns wide.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// A text broken into rows, with the cursor in it.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Each at most as wide as the screen. A last row that is full is followed by an empty one.
    pub(super) rows: Vec<String>,
    /// The cursor's row, from 0.
    pub(super) cursor_row: usize,
    /// The cursor's column, from 0.
    pub(super) cursor_col: usize,
}

/// Lays `before`, the cursor and `after` out on rows of `cols` columns, at least 2.
pub(super) fn lay_out(before: &str, after: &str, cols: usize) -> Layout {
    let text = [before, after].concat();
    let mut place = Place::default();
    let mut cursor = None;
    let mut rows = Vec::new();
    let mut row = String::new();
    for (at, character) in text.grapheme_indices(true) {
        if place.put(character, cols) {
            rows.push(std::mem::take(&mut row));
        }
        // Behind the cursor's text a character may have joined what stands before the cursor.
        if at >= before.len() {
            cursor.get_or_insert((rows.len(), place.start));
        }
        row.push_str(character);
    }
    let full = place.end >= cols;
    rows.push(row);
    if full {
        rows.push(String::new());
    }
    let end = (rows.len() - 1, if full { 0 } else { place.end });
    let (cursor_row, cursor_col) = cursor.unwrap_or(end);
    Layout { rows, cursor_row, cursor_col }
}

/// As much of `text` as fits in one row.
pub(super) fn clip(text: &str, cols: usize) -> String {
    let mut place = Place::default();
    text.graphemes(true).take_while(|character| !place.put(character, cols)).collect()
}

impl Layout {
    /// Keeps at most `rows_max` rows, the cursor's among them and else the last.
    pub(super) fn clip(&mut self, rows_max: usize) {
        let start = self.cursor_row.min(self.rows.len().saturating_sub(rows_max));
        self.rows.drain(..start);
        self.rows.truncate(rows_max);
        self.cursor_row -= start;
    }

    /// How many rows stand above the cursor after the terminal has become `cols` wide and broken every row that does
    /// not fit.
    ///
    /// Nearly every terminal does; one that cuts rows instead (xterm) loses as many printed rows from sight as were
    /// expected to be broken. Which kind it is cannot be asked without waiting for an answer.
    pub(super) fn rows_above_cursor(&self, cols: usize) -> usize {
        let above = self.rows.iter().take(self.cursor_row).map(|row| {
            let mut place = Place::default();
            row.graphemes(true).filter(|character| place.put(character, cols)).count() + 1
        });
        let mut place = Place::default();
        let mut col = 0;
        let row = self.rows.get(self.cursor_row).map_or("", String::as_str);
        let left = row.graphemes(true).take_while(|character| {
            let is_left = col <= self.cursor_col;
            col += character.width();
            is_left
        });
        above.sum::<usize>() + left.filter(|character| place.put(character, cols)).count()
    }
}

/// The columns of the character put last.
#[derive(Default)]
struct Place {
    start: usize,
    end: usize,
}

impl Place {
    /// Puts the next character; true if it had to go to a new row.
    fn put(&mut self, character: &str, cols: usize) -> bool {
        let width = character.width();
        let breaks = self.end > 0 && self.end + width > cols;
        self.start = if breaks { 0 } else { self.end };
        self.end = self.start + width;
        breaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_character_never_straddles_the_margin() {
        let layout = lay_out("ab漢", "字c", 5);
        assert_eq!(layout.rows, ["ab漢", "字c"]);
        assert_eq!((layout.cursor_row, layout.cursor_col), (1, 0));
    }

    #[test]
    fn a_joined_emoji_is_one_character() {
        let layout = lay_out("a👩‍👩‍👧", "b", 4);
        assert_eq!(layout.rows, ["a👩‍👩‍👧b", ""]);
        assert_eq!((layout.cursor_row, layout.cursor_col), (0, 3));
    }

    #[test]
    fn a_full_row_leaves_the_cursor_on_the_next() {
        let layout = lay_out("abcd", "", 4);
        assert_eq!(layout.rows, ["abcd", ""]);
        assert_eq!((layout.cursor_row, layout.cursor_col), (1, 0));
    }

    #[test]
    fn the_rows_kept_hold_the_cursor() {
        for (cursor, kept) in [(0, ["aa", "bb"]), (2, ["bb", "cc"]), (6, ["dd", ""]), (8, ["dd", ""])] {
            let (before, after) = "aabbccdd".split_at(cursor);
            let mut layout = lay_out(before, after, 2);
            layout.clip(2);
            assert_eq!(layout.rows, kept, "cursor at {cursor}");
        }
    }
}
