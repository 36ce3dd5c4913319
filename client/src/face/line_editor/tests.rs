//! What a person sees: the editor's output interpreted on a small screen.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::*;

#[test]
fn keys_edit_the_line_where_the_cursor_is() {
    let mut seen = Seen::new(20, 5);
    seen.type_text("wörld");
    seen.press(&[Key::Home, Key::Char('h'), Key::Char('i'), Key::Char(' ')]);
    assert_eq!(seen.shows(), ["> hi ^wörld"]);
    seen.press(&[Key::Right, Key::Right, Key::Backspace, Key::Delete]);
    assert_eq!(seen.shows(), ["> hi w^ld"]);
    seen.press(&[Key::Ctrl('e'), Key::Left, Key::Ctrl('k')]);
    assert_eq!(seen.shows(), ["> hi wl^"]);
    seen.press(&[Key::Ctrl('w')]);
    assert_eq!(seen.shows(), ["> hi ^"]);
    seen.press(&[Key::Char('x'), Key::Left, Key::Ctrl('u')]);
    assert_eq!(seen.shows(), ["> ^x"]);
    assert_eq!(seen.press(&[Key::End, Key::Enter]), Action::Line("x".to_owned()));
    assert_eq!(seen.shows(), ["> x", "> ^"]);
}

#[test]
fn a_character_of_several_code_points_is_one_step() {
    let mut seen = Seen::new(20, 5);
    seen.type_text("a👩‍👩‍👧e\u{301}🇩🇪");
    seen.press(&[Key::Left, Key::Left]);
    assert_eq!(seen.shows(), ["> a👩‍👩‍👧^e\u{301}🇩🇪"]);
    seen.press(&[Key::Backspace, Key::Delete]);
    assert_eq!(seen.shows(), ["> a^🇩🇪"]);
}

#[test]
fn the_end_and_the_interrupt_are_told() {
    let mut seen = Seen::new(20, 5);
    seen.type_text("ab");
    assert_eq!(seen.press(&[Key::Home, Key::Ctrl('d')]), Action::None);
    assert_eq!(seen.press(&[Key::Ctrl('d')]), Action::None);
    assert_eq!(seen.press(&[Key::Ctrl('d')]), Action::End);
    assert_eq!(seen.press(&[Key::Ctrl('c')]), Action::Interrupt);
    assert_eq!(seen.press(&[Key::Ctrl('z')]), Action::Suspend);
}

#[test]
fn a_message_that_comes_while_a_wrapped_line_is_typed_stands_above_it() {
    let mut seen = Seen::new(10, 8);
    seen.print("ann: hello");
    seen.type_text("abcdefghijklmnopqrstuvwxyz");
    seen.press(&vec![Key::Left; 14]);
    assert_eq!(seen.shows(), ["ann: hello", "> abcdefgh", "ijkl^mnopqr", "stuvwxyz"]);
    seen.print("bob: a longer one");
    assert_eq!(
        seen.shows(),
        ["ann: hello", "bob: a lon", "ger one", "> abcdefgh", "ijkl^mnopqr", "stuvwxyz"]
    );
    seen.press(&[Key::Ctrl('u'), Key::Ctrl('k')]);
    assert_eq!(seen.shows(), ["ann: hello", "bob: a lon", "ger one", "> ^"]);
}

#[test]
fn a_row_filled_to_the_margin_moves_the_cursor_to_the_next() {
    let mut seen = Seen::new(6, 8);
    seen.type_text("abcd");
    assert_eq!(seen.shows(), ["> abcd", "^"]);
    seen.print("123456");
    assert_eq!(seen.shows(), ["123456", "> abcd", "^"]);
    seen.press(&[Key::Enter]);
    assert_eq!(seen.shows(), ["123456", "> abcd", "> ^"]);
}

#[test]
fn wide_characters_wrap_whole_at_the_margin() {
    let mut seen = Seen::new(7, 8);
    seen.type_text("漢字漢字👩‍👩‍👧");
    assert_eq!(seen.shows(), ["> 漢字", "漢字👩‍👩‍👧^"]);
    seen.print("漢字漢字");
    seen.press(&[Key::Left, Key::Left]);
    assert_eq!(seen.shows(), ["漢字漢", "字", "> 漢字", "漢^字👩‍👩‍👧"]);
    seen.press(&[Key::Left]);
    assert_eq!(seen.shows(), ["漢字漢", "字", "> 漢字", "^漢字👩‍👩‍👧"]);
}

#[test]
fn a_line_higher_than_the_screen_is_clipped_around_the_cursor() {
    let mut seen = Seen::new(4, 4);
    seen.print("old");
    seen.type_text("abcdefghijklmnopqrs");
    assert_eq!(seen.shows(), ["old", "klmn", "opqr", "s^"]);
    seen.print("new");
    assert_eq!(seen.shows(), ["old", "new", "klmn", "opqr", "s^"]);
    seen.press(&[Key::Home]);
    assert_eq!(seen.shows(), ["old", "new", "> ^ab", "cdef", "ghij"]);
    seen.press(&[Key::End, Key::Ctrl('u')]);
    assert_eq!(seen.shows(), ["old", "new", "> ^"]);
}

#[test]
fn another_size_leaves_no_ghosts_and_eats_no_message() {
    for cursor_left in [0, 1, 4, 9, 13, 20, 26] {
        for sizes in [[20, 7], [7, 20], [13, 40], [40, 5], [10, 3], [28, 14], [27, 9], [2, 30]] {
            let mut seen = talk_on(16, cursor_left);
            for cols in sizes {
                seen.resize(cols, 30);
            }
            let fresh = talk_on(sizes[1], cursor_left);
            assert_eq!(seen.message_and_line(), fresh.message_and_line(), "{sizes:?} {cursor_left}");
        }
    }
}

#[test]
fn two_sizes_before_the_next_drawing_are_one() {
    let mut seen = talk_on(16, 5);
    for cols in [9, 23, 12] {
        seen.screen.resize(usize::from(cols), 30);
        seen.editor.resize((cols, 30));
    }
    seen.draw();
    assert_eq!(seen.message_and_line(), talk_on(12, 5).message_and_line());
}

#[test]
fn a_terminal_that_joins_no_rows_is_fine_when_it_grows() {
    let mut seen = talk_on(16, 5);
    seen.screen.reflows = false;
    seen.resize(40, 30);
    assert_eq!(seen.message_and_line(), talk_on(40, 5).message_and_line());
}

#[test]
fn a_hidden_line_is_neither_shown_nor_kept_nor_completed() {
    let mut seen = Seen::new(20, 5);
    seen.editor.set_words(vec!["secretary".to_owned()]);
    seen.type_text("dropped");
    seen.editor.set_prompt("password: ", true);
    seen.type_text("secret");
    seen.press(&[Key::Tab, Key::Up, Key::Left]);
    assert_eq!(seen.shows(), ["password: ^"]);
    assert_eq!(seen.press(&[Key::Enter]), Action::Line("secret".to_owned()));
    assert_eq!(seen.shows(), ["password:", "password: ^"]);
    seen.type_text("again");
    seen.editor.set_prompt("> ", false);
    seen.press(&[Key::Up]);
    assert_eq!(seen.shows(), ["password:", "> ^"]);
    assert!(!seen.bytes.contains("secret") && !seen.bytes.contains("again"));
}

#[test]
fn a_paste_of_several_lines_enters_each_under_its_own_prompt() {
    let mut seen = Seen::new(30, 9);
    seen.type_text("ann:");
    let mut action = seen.editor.key(Key::Paste("x\ty\x1b[31m\r\nhush\rlast\n\nrest".to_owned()));
    let mut lines = Vec::new();
    while let Action::Line(line) = action {
        lines.push(line);
        seen.editor.set_prompt(if lines.len() == 1 { "password: " } else { "> " }, lines.len() == 1);
        action = seen.editor.next_pasted();
    }
    seen.draw();
    assert_eq!(action, Action::None);
    assert_eq!(lines, ["ann:x y[31m", "hush", "last", ""]);
    assert_eq!(seen.shows(), ["> ann:x y[31m", "password:", "> last", ">", "> rest^"]);
}

#[test]
fn a_line_grows_no_longer_than_any_other_line() {
    let mut seen = Seen::new(80, 24);
    seen.press(&[Key::Paste("é".repeat(LINE_LEN_MAX))]);
    let Action::Line(line) = seen.press(&[Key::Enter]) else { panic!("no line") };
    assert_eq!(line.len(), LINE_LEN_MAX);
}

#[test]
fn words_are_completed_and_offered() {
    let mut seen = Seen::new(30, 6);
    seen.editor.set_words(["message", "whoelse", "whoelsesince"].map(String::from).into());
    seen.type_text("hi");
    seen.press(&[Key::Home, Key::Char('M'), Key::Tab]);
    assert_eq!(seen.shows(), ["> message ^hi"]);
    seen.press(&[Key::Char('w'), Key::Tab, Key::Tab]);
    assert_eq!(seen.shows(), ["whoelse  whoelsesince", "> message whoelse^hi"]);
}

#[test]
fn the_history_is_walked_with_the_arrows() {
    let mut seen = Seen::new(30, 9);
    seen.type_text("one\rtwo\rdra");
    seen.press(&[Key::Up, Key::Up]);
    assert_eq!(seen.shows()[2], "> one^");
    seen.press(&[Key::Down, Key::Down]);
    assert_eq!(seen.shows()[2], "> dra^");
}

#[test]
fn nothing_printed_can_steer_the_terminal() {
    let mut seen = Seen::new(30, 6);
    seen.editor.set_words(vec!["a\x1b[2Jb".to_owned()]);
    seen.editor.set_status(&["bar\x1b[H".to_owned()]);
    seen.print("a\x1b[2J\r\n\tb\u{9b}H\x07");
    seen.press(&[Key::Tab]);
    assert_eq!(seen.shows(), ["a[2JbH", "bar[H", "> a[2Jb ^"]);
}

#[test]
fn status_lines_stand_between_messages_and_prompt() {
    let mut seen = Seen::new(12, 6);
    seen.editor.set_status(&["a.bin 10 of 20".to_owned(), "b.bin".to_owned()]);
    seen.print("hello");
    seen.type_text("abcdefghijk");
    assert_eq!(seen.shows(), ["hello", "a.bin 10 of", "b.bin", "> abcdefghij", "k^"]);
    seen.editor.set_status(&[]);
    seen.print("bye");
    assert_eq!(seen.shows(), ["hello", "bye", "> abcdefghij", "k^"]);
}

#[test]
fn clearing_the_screen_keeps_what_was_queued() {
    let mut seen = Seen::new(12, 4);
    seen.print("old");
    seen.type_text("ab");
    seen.editor.print("new");
    seen.press(&[Key::Ctrl('l')]);
    assert_eq!(seen.screen.visible(), ["new", "> ab"]);
}

#[test]
fn the_end_leaves_a_fresh_line_and_a_return_draws_again() {
    let mut seen = Seen::new(10, 6);
    seen.type_text("abcdefghijklm");
    seen.editor.print("bye");
    let out = seen.editor.finish();
    seen.screen.write(&out);
    assert_eq!(seen.shows(), ["bye", "^"]);
    seen.screen.write("$ fg\r\n");
    seen.draw();
    assert_eq!(seen.shows(), ["bye", "$ fg", "> abcdefgh", "ijklm^"]);
}

#[test]
fn nothing_new_is_nothing_to_write() {
    let mut seen = Seen::new(10, 6);
    seen.type_text("a");
    assert_eq!(seen.editor.render(), "");
}

/// A message, and a longer line being typed with the cursor some characters from its end.
fn talk_on(cols: u16, cursor_left: usize) -> Seen {
    let mut seen = Seen::new(cols, 30);
    seen.print("ann: hello there, all of you");
    seen.type_text("abcdefghijklm漢opqrstuvwxyz");
    seen.press(&vec![Key::Left; cursor_left]);
    seen
}

/// An editor and the screen it writes to.
struct Seen {
    editor: LineEditor,
    screen: Screen,
    bytes: String,
}

impl Seen {
    fn new(cols: u16, rows: u16) -> Self {
        let mut seen = Self {
            editor: LineEditor::new("> ", (cols, rows)),
            screen: Screen::new(cols.into(), rows.into()),
            bytes: String::new(),
        };
        seen.draw();
        seen
    }

    fn draw(&mut self) {
        let out = self.editor.render();
        self.screen.write(&out);
        self.bytes.push_str(&out);
    }

    fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.press(&[if c == '\r' { Key::Enter } else { Key::Char(c) }]);
        }
    }

    fn press(&mut self, keys: &[Key]) -> Action {
        let mut last = Action::None;
        for key in keys {
            last = self.editor.key(key.clone());
            self.draw();
        }
        last
    }

    fn print(&mut self, line: &str) {
        self.editor.print(line);
        self.draw();
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.resize(cols.into(), rows.into());
        self.editor.resize((cols, rows));
        self.draw();
    }

    /// What stands above the prompt, however broken, and the rows of the line.
    fn message_and_line(&self) -> (String, Vec<String>) {
        let mut shows = self.shows();
        let prompt = shows.iter().position(|row| row.starts_with("> ")).expect("a prompt");
        let line = shows.split_off(prompt);
        (shows.concat(), line)
    }

    /// All rows from the first ever written, the cursor as `^`.
    fn shows(&self) -> Vec<String> {
        self.screen.shows()
    }
}

/// A terminal that knows just what the editor writes, and fails on everything else.
struct Screen {
    cols: usize,
    rows: usize,
    /// Scrolled-off rows first. A cell is a character, or empty behind a wide one.
    grid: Vec<Row>,
    row: usize,
    col: usize,
    wraps: bool,
    /// Rows that do not fit a narrower window are broken, and joined again in a wider one.
    reflows: bool,
}

#[derive(Clone, Default)]
struct Row {
    cells: Vec<String>,
    /// The terminal broke the line here.
    continues: bool,
}

impl Screen {
    fn new(cols: usize, rows: usize) -> Self {
        Self { cols, rows, grid: vec![Row::default()], row: 0, col: 0, wraps: true, reflows: true }
    }

    fn write(&mut self, mut text: &str) {
        while let Some(c) = text.chars().next() {
            text = match c {
                '\x1b' => self.escape(&text[1..]),
                '\r' => {
                    self.col = 0;
                    &text[1..]
                }
                '\n' => {
                    self.down();
                    &text[1..]
                }
                BELL => &text[1..],
                c if c.is_control() => panic!("{c:?} written"),
                _ => {
                    let plain = text.find(char::is_control).unwrap_or(text.len());
                    text[..plain].graphemes(true).for_each(|character| self.put(character));
                    &text[plain..]
                }
            };
        }
    }

    fn escape<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text[1..].find(|c: char| c.is_ascii_alphabetic()).expect("a final byte") + 2;
        let (sequence, rest) = text.split_at(end);
        let count = || sequence[1..end - 1].parse::<usize>().expect("a count");
        match sequence {
            "[?2026h" | "[?2026l" => {}
            "[?7l" => self.wraps = false,
            "[?7h" => self.wraps = true,
            "[H" => (self.row, self.col) = (self.top(), 0),
            "[2J" => {
                let top = self.top();
                self.grid[top..].fill(Row::default());
            }
            "[J" => {
                self.grid.truncate(self.row + 1);
                self.grid[self.row].cells.truncate(self.col);
                self.grid[self.row].continues = false;
            }
            _ if sequence.ends_with('A') => self.row = self.row.saturating_sub(count()).max(self.top()),
            _ if sequence.ends_with('C') => self.col = (self.col + count()).min(self.cols - 1),
            _ => panic!("{sequence:?} written"),
        }
        rest
    }

    fn put(&mut self, character: &str) {
        let width = character.width();
        if self.col + width > self.cols {
            assert!(self.wraps, "{character:?} does not fit");
            self.grid[self.row].continues = true;
            self.col = 0;
            self.down();
        }
        let cells = &mut self.grid[self.row].cells;
        cells.resize(cells.len().max(self.col + width), " ".to_owned());
        cells[self.col..self.col + width].fill(String::new());
        cells[self.col] = character.to_owned();
        self.col += width;
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.grid.len() {
            self.grid.push(Row::default());
        }
    }

    fn top(&self) -> usize {
        self.grid.len().saturating_sub(self.rows)
    }

    fn resize(&mut self, cols: usize, rows: usize) {
        self.rows = rows;
        self.cols = cols;
        if !self.reflows {
            return;
        }
        let old = std::mem::take(&mut self.grid);
        let cursor = (self.row, self.col);
        let mut breaks = false;
        for (at, row) in old.into_iter().enumerate() {
            if !breaks {
                self.grid.push(Row::default());
            }
            for col in 0..=row.cells.len() {
                let cell = row.cells.get(col);
                let width = 1 + usize::from(row.cells.get(col + 1).is_some_and(String::is_empty));
                let last = self.grid.last_mut().expect("a row");
                if cell.is_some_and(|cell| !cell.is_empty()) && last.cells.len() + width > cols {
                    last.continues = true;
                    self.grid.push(Row::default());
                }
                let last = self.grid.last_mut().expect("a row");
                if (at, col) == cursor {
                    self.col = last.cells.len();
                    self.row = self.grid.len() - 1;
                }
                let last = self.grid.last_mut().expect("a row");
                last.cells.extend(cell.cloned());
            }
            breaks = row.continues;
        }
    }

    fn shows(&self) -> Vec<String> {
        let mut rows: Vec<String> = self.grid.iter().map(|row| row.cells.concat()).collect();
        let left: String = self.grid[self.row].cells.iter().take(self.col).map(String::as_str).collect();
        for row in &mut rows {
            *row = row.trim_end().to_owned();
        }
        let rest = rows[self.row].strip_prefix(&left).unwrap_or_default().to_owned();
        rows[self.row] = format!("{left}^{rest}");
        rows
    }

    fn visible(&self) -> Vec<String> {
        self.grid[self.top()..].iter().map(|row| row.cells.concat()).collect()
    }
}
