//! Edits one line at the bottom of the screen while other lines are printed above it.
//!
//! Takes keys in and gives out what to write to the terminal. Must not read, write, or know what a line means.
//!
//! Rows are broken here, never by the terminal, so that it is always known how many there are to erase, even where
//! editor and terminal disagree about the width of a character.

mod completion;
mod history;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;

use self::completion::{Completion, complete};
use self::history::History;
use self::layout::{Layout, clip, lay_out};
use super::LINE_LEN_MAX;
use super::key::Key;

/// The terminal shows nothing between these two; one that does not know them ignores them.
const DRAWING_START: &str = "\x1b[?2026h";
const DRAWING_END: &str = "\x1b[?2026l";
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const ERASE_DOWN: &str = "\r\x1b[J";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";
const BELL: char = '\x07';
/// A wide character needs two columns.
const COLS_MIN: usize = 2;

/// What a key brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing beyond the editor.
    None,
    /// A line was entered. [`LineEditor::next_pasted`] may have another one.
    Line(String),
    /// The end of input, on an empty line.
    End,
    /// The interrupt key.
    Interrupt,
    /// The key that stops the program until the shell continues it.
    Suspend,
}

/// A line with its prompt, and what is on the screen of it.
#[derive(Debug)]
pub struct LineEditor {
    prompt: String,
    hidden: bool,
    /// The line's part before the cursor.
    before: String,
    /// The line's part behind the cursor.
    after: String,
    /// Lines of a paste not yet taken; true where a line end follows.
    pasted: VecDeque<(String, bool)>,
    history: History,
    words: Vec<String>,
    status: Vec<String>,
    cols: usize,
    rows: usize,
    /// What to write above the line, in the terminal's own terms.
    queued: String,
    drawn: Option<Drawn>,
    stale: bool,
}

/// What is on the screen.
#[derive(Debug)]
struct Drawn {
    layout: Layout,
    /// Rows above the cursor's, as the terminal shows them now.
    rows_above: usize,
}

impl LineEditor {
    /// An empty line on a screen of `cols` by `rows`.
    pub fn new(prompt: &str, (cols, rows): (u16, u16)) -> Self {
        let mut editor = Self {
            prompt: String::new(),
            hidden: false,
            before: String::new(),
            after: String::new(),
            pasted: VecDeque::new(),
            history: History::default(),
            words: Vec::new(),
            status: Vec::new(),
            cols: COLS_MIN,
            rows: 1,
            queued: String::new(),
            drawn: None,
            stale: true,
        };
        editor.set_prompt(prompt, false);
        editor.resize((cols, rows));
        editor
    }

    /// Sets the prompt. What is typed at a `hidden` one is not shown, kept or completed; a line begun under the
    /// other kind is dropped, so that no password shows up and none is made of something else.
    pub fn set_prompt(&mut self, prompt: &str, hidden: bool) {
        if hidden != self.hidden {
            self.before.clear();
            self.after.clear();
        }
        self.prompt = printable(prompt).collect();
        self.hidden = hidden;
        self.stale = true;
    }

    /// Sets the words that TAB completes.
    pub fn set_words(&mut self, words: Vec<String>) {
        self.words = words;
    }

    /// Sets the lines shown between what was printed and the prompt, cut to a row each.
    pub fn set_status(&mut self, lines: &[String]) {
        self.status = lines.iter().map(|line| printable(line).collect()).collect();
        self.stale = true;
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Action {
        self.stale = true;
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => {
                self.queue_paste(&text);
                return self.next_pasted();
            }
            Key::Enter | Key::Ctrl('j' | 'm') => return Action::Line(self.enter()),
            Key::Tab => self.complete(),
            Key::Backspace | Key::Ctrl('h') => drop(self.take_left()),
            Key::Ctrl('d') if self.before.is_empty() && self.after.is_empty() => return Action::End,
            Key::Delete | Key::Ctrl('d') => drop(self.take_right()),
            Key::Left | Key::Ctrl('b') => {
                let moved = self.take_left();
                self.after.insert_str(0, &moved);
            }
            Key::Right | Key::Ctrl('f') => {
                let moved = self.take_right();
                self.before.push_str(&moved);
            }
            Key::Home | Key::Ctrl('a') => {
                self.after.insert_str(0, &self.before);
                self.before.clear();
            }
            Key::End | Key::Ctrl('e') => self.before.push_str(&std::mem::take(&mut self.after)),
            Key::Up | Key::Ctrl('p') => self.recall(History::older),
            Key::Down | Key::Ctrl('n') => self.recall(History::newer),
            Key::Ctrl('u') => self.before.clear(),
            Key::Ctrl('k') => self.after.clear(),
            Key::Ctrl('w') => self.drop_word(),
            Key::Ctrl('l') => self.queued.insert_str(0, CLEAR_SCREEN),
            Key::Ctrl('c') => return Action::Interrupt,
            Key::Ctrl('z') => return Action::Suspend,
            Key::Ctrl(_) => {}
        }
        Action::None
    }

    /// The next line of a paste of several; to be called after each [`Action::Line`] until it gives none.
    ///
    /// They come one by one because a line may change the prompt under which the next is shown, or hidden.
    pub fn next_pasted(&mut self) -> Action {
        while let Some((text, ends)) = self.pasted.pop_front() {
            self.stale = true;
            self.insert(&text);
            if ends {
                return Action::Line(self.enter());
            }
        }
        Action::None
    }

    /// Queues a line to be printed above. Control characters in it are dropped, line ends too.
    pub fn print(&mut self, text_line: &str) {
        self.queued.extend(printable(text_line));
        self.queued.push_str("\r\n");
        self.stale = true;
    }

    /// The window has another size; the terminal has moved what was drawn.
    pub fn resize(&mut self, (cols, rows): (u16, u16)) {
        self.cols = usize::from(cols).max(COLS_MIN);
        self.rows = usize::from(rows).max(1);
        if let Some(drawn) = &mut self.drawn {
            drawn.rows_above = drawn.layout.rows_above_cursor(self.cols);
        }
        self.stale = true;
    }

    /// What to write to the terminal, in one go, to bring it up to date; empty if it is.
    pub fn render(&mut self) -> String {
        if !std::mem::take(&mut self.stale) {
            return String::new();
        }
        let mut out = DRAWING_START.to_owned();
        self.erase_and_print(&mut out);
        let layout = self.lay_out();
        out.push_str(WRAP_OFF);
        out.push_str(&layout.rows.join("\r\n"));
        move_cursor(&mut out, 'A', layout.rows.len() - 1 - layout.cursor_row);
        out.push('\r');
        move_cursor(&mut out, 'C', layout.cursor_col);
        out.push_str(WRAP_ON);
        out.push_str(DRAWING_END);
        self.drawn = Some(Drawn { rows_above: layout.cursor_row, layout });
        out
    }

    /// What to write before the terminal is given back: the line vanishes, the cursor stands on a fresh one.
    ///
    /// [`Self::render`] draws it again.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.erase_and_print(&mut out);
        self.stale = true;
        out
    }

    fn insert(&mut self, text: &str) {
        for c in printable(text) {
            if self.before.len() + self.after.len() + c.len_utf8() > LINE_LEN_MAX {
                self.queued.push(BELL);
                return;
            }
            self.before.push(c);
        }
    }

    fn queue_paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', " ");
        self.pasted.extend(text.split_inclusive('\n').map(|line| (line.to_owned(), line.ends_with('\n'))));
    }

    fn enter(&mut self) -> String {
        let mut line = std::mem::take(&mut self.before);
        line.push_str(&std::mem::take(&mut self.after));
        let mut shown = self.prompt.clone();
        if !self.hidden {
            shown.push_str(&line);
            self.history.add(&line);
        }
        self.print(&shown);
        line
    }

    fn complete(&mut self) {
        if self.hidden {
            return;
        }
        let start = self.before.trim_end_matches(|c: char| !c.is_whitespace()).len();
        match complete(self.before.get(start..).unwrap_or_default(), &self.words) {
            Completion::Nothing => self.queued.push(BELL),
            Completion::Replace(word) => {
                self.before.truncate(start);
                self.insert(&word);
            }
            Completion::Offer(words) => self.print(&words),
        }
    }

    fn recall(&mut self, step: fn(&mut History, String) -> String) {
        if !self.hidden {
            let mut current = std::mem::take(&mut self.before);
            current.push_str(&std::mem::take(&mut self.after));
            self.before = step(&mut self.history, current);
        }
    }

    fn drop_word(&mut self) {
        let kept = self.before.trim_end().trim_end_matches(|c: char| !c.is_whitespace()).len();
        self.before.truncate(kept);
    }

    fn take_left(&mut self) -> String {
        let len = self.before.graphemes(true).next_back().map_or(0, str::len);
        self.before.split_off(self.before.len() - len)
    }

    fn take_right(&mut self) -> String {
        let len = self.after.graphemes(true).next().map_or(0, str::len);
        self.after.drain(..len).collect()
    }

    fn erase_and_print(&mut self, out: &mut String) {
        if let Some(drawn) = self.drawn.take() {
            move_cursor(out, 'A', drawn.rows_above);
            out.push_str(ERASE_DOWN);
        }
        out.push_str(&std::mem::take(&mut self.queued));
    }

    fn lay_out(&self) -> Layout {
        let (before, after) = if self.hidden { ("", "") } else { (&*self.before, &*self.after) };
        let mut layout = lay_out(&[&self.prompt, before].concat(), after, self.cols);
        layout.rows.splice(..0, self.status.iter().map(|line| clip(line, self.cols)));
        layout.cursor_row += self.status.len();
        // A row is left for what was printed last.
        layout.clip(self.rows.saturating_sub(1).max(1));
        layout
    }
}

/// What of a text may go to the terminal.
fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_control())
}

fn move_cursor(out: &mut String, direction: char, count: usize) {
    if count > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "\x1b[{count}{direction}");
    }
}
