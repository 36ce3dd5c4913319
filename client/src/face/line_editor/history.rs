//! The lines entered before, bounded.

use std::collections::VecDeque;

/// Lines kept. With the longest lines that is 12.5 MiB.
const LINES_MAX: usize = 200;

#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<String>,
    /// How far back the person has gone; 0 is the line being written.
    back: usize,
    /// The line being written, while an older one is shown.
    draft: String,
}

impl History {
    /// Adds a line and goes back to the newest.
    pub(super) fn add(&mut self, line: &str) {
        self.back = 0;
        self.draft.clear();
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// The line before, in exchange for `current`.
    pub(super) fn older(&mut self, current: String) -> String {
        let Some(line) = self.at(self.back + 1) else { return current };
        if self.back == 0 {
            self.draft = current;
        }
        self.back += 1;
        line
    }

    /// The line after, in exchange for `current`.
    pub(super) fn newer(&mut self, current: String) -> String {
        match self.back {
            0 => return current,
            1 => {
                self.back = 0;
                return std::mem::take(&mut self.draft);
            }
            _ => self.back -= 1,
        }
        self.at(self.back).unwrap_or(current)
    }

    fn at(&self, back: usize) -> Option<String> {
        self.lines.get(self.lines.len().checked_sub(back)?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_and_forth_ends_at_the_line_being_written() {
        let mut history = History::default();
        for line in ["one", "two", "two", " ", "three"] {
            history.add(line);
        }
        let back: Vec<String> = ["draft", "", "", ""].map(|line| history.older(line.to_owned())).into();
        assert_eq!(back, ["three", "two", "one", ""]);
        let forth: Vec<String> = ["", "", "", "draft"].map(|line| history.newer(line.to_owned())).into();
        assert_eq!(forth, ["two", "three", "draft", "draft"]);
    }

    #[test]
    fn the_oldest_lines_go_first() {
        let mut history = History::default();
        (0..LINES_MAX + 5).for_each(|n| history.add(&n.to_string()));
        let mut line = String::new();
        (0..LINES_MAX + 5).for_each(|_| line = history.older(std::mem::take(&mut line)));
        assert_eq!(line, "5");
    }
}
