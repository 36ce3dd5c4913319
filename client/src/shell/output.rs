//! Where events go: standard output as JSON or plain lines, or the screen of a terminal.

use std::io::{self, Write};

use super::{screen::Screen, signals};
use crate::{
    core::{Event, Prompt, command_words},
    face::{
        json,
        key::Key,
        line_editor::{Action, LineEditor},
        plain, wrap,
    },
};

pub(super) enum Output {
    Json,
    Plain,
    Terminal(Box<Terminal>),
}

/// The screen with the line that is being edited at its bottom.
pub(super) struct Terminal {
    screen: Screen,
    editor: LineEditor,
    prompt: Prompt,
}

impl Output {
    pub(super) fn terminal() -> io::Result<Self> {
        let screen = Screen::enter()?;
        let mut editor = LineEditor::new("", screen.size());
        editor.set_words(command_words().map(str::to_owned).collect());
        Ok(Self::Terminal(Box::new(Terminal { screen, editor, prompt: Prompt::Wait })))
    }

    /// Returns when the event has left this program.
    pub(super) fn show(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Json => print(io::stdout().lock(), &[json::line(event)]),
            Self::Plain => print(io::stdout().lock(), &plain::lines(event)),
            Self::Terminal(terminal) => {
                for line in plain::lines(event) {
                    terminal.print(&line);
                }
                terminal.draw()
            }
        }
    }

    /// The same for a message, which `note` writes down.
    pub(super) fn show_and_note(&mut self, event: &Event, note: impl FnOnce()) -> io::Result<()> {
        match self {
            Self::Json => print_and_note(io::stdout().lock(), &[json::line(event)], note),
            Self::Plain => print_and_note(io::stdout().lock(), &plain::lines(event), note),
            // A person is better off seeing it twice than not at all.
            Self::Terminal(_) => {
                self.show(event)?;
                note();
                Ok(())
            }
        }
    }

    /// Brings the screen up to date with what the next line will be taken for.
    pub(super) fn draw(&mut self, prompt: Prompt) -> io::Result<()> {
        match self {
            Self::Json | Self::Plain => Ok(()),
            Self::Terminal(terminal) => {
                terminal.set_prompt(prompt);
                terminal.draw()
            }
        }
    }

    pub(super) fn as_terminal(&mut self) -> Option<&mut Terminal> {
        match self {
            Self::Terminal(terminal) => Some(terminal),
            Self::Json | Self::Plain => None,
        }
    }
}

impl Terminal {
    /// What a key means for the program.
    pub(super) fn key(&mut self, key: Key) -> Action {
        self.editor.key(key)
    }

    /// The next line of a paste; see [`LineEditor::next_pasted`].
    pub(super) fn next_pasted(&mut self) -> Action {
        self.editor.next_pasted()
    }

    /// The window has another size, or the screen was somebody else's for a while.
    pub(super) fn resize(&mut self) {
        self.editor.resize(self.screen.size());
    }

    /// Takes the terminal over again.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.screen.resume()?;
        self.resize();
        Ok(())
    }

    /// Gives the terminal back and stops until somebody continues us.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.finish()?;
        self.screen.suspend()?;
        signals::stop()?;
        self.resume()
    }

    /// Leaves the screen as a shell wants it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let last = self.editor.finish();
        self.screen.write_all(&last)
    }

    fn set_prompt(&mut self, prompt: Prompt) {
        if self.prompt != prompt {
            self.prompt = prompt;
            match prompt {
                Prompt::Trust => self.editor.set_prompt("Trust this server? (yes/no) ", false),
                Prompt::Username => self.editor.set_prompt("Username: ", false),
                Prompt::Password => self.editor.set_prompt("Password: ", true),
                Prompt::Wait => self.editor.set_prompt("", false),
                Prompt::Command => self.editor.set_prompt("> ", false),
            }
        }
    }

    fn print(&mut self, line: &str) {
        let (cols, _) = self.screen.size();
        for row in wrap::rows(line, usize::from(cols)) {
            self.editor.print(&row);
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let drawn = self.editor.render();
        if drawn.is_empty() { Ok(()) } else { self.screen.write_all(&drawn) }
    }
}

/// A line for each, in one write.
fn print(mut out: impl Write, lines: &[String]) -> io::Result<()> {
    out.write_all((lines.join("\n") + "\n").as_bytes())?;
    out.flush()
}

/// Nobody takes a message for whole before it is noted, so nobody can see it whole and then see it again. Whoever
/// reads could otherwise act on it, or have the client killed, while the client waits for the processor. And however
/// long the reader keeps this waiting, hardly anything is left to be written once it is noted.
fn print_and_note(mut out: impl Write, lines: &[String], note: impl FnOnce()) -> io::Result<()> {
    let text = lines.join("\n");
    // The last character of a JSON object: without it, it is none.
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let (most, last) = text.split_at(last);
    out.write_all(most.as_bytes())?;
    out.flush()?;
    note();
    out.write_all(format!("{last}\n").as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use protocol::{MessageId, time::UnixMs};
    use serde_json::Value;

    use super::*;

    /// Everything that was flushed.
    #[derive(Clone, Default)]
    struct Reader(Rc<RefCell<(Vec<u8>, usize)>>);

    impl Reader {
        fn sees(&self) -> Vec<u8> {
            let (bytes, flushed_len) = &*self.0.borrow();
            bytes[..*flushed_len].to_vec()
        }
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            let (bytes, flushed_len) = &mut *self.0.borrow_mut();
            *flushed_len = bytes.len();
            Ok(())
        }
    }

    #[test]
    fn a_message_is_noted_when_all_but_the_last_bit_of_it_is_out() {
        for text in ["hello", "ж", "}", ""] {
            let (from, text) = ("ada".parse().unwrap(), text.to_owned());
            let event = Event::Message { id: MessageId(1), from, text, sent_at: UnixMs(0), offline: false };
            for lines in [vec![json::line(&event)], plain::lines(&event)] {
                let reader = Reader::default();
                let mut before = Vec::new();
                print_and_note(reader.clone(), &lines, || before = reader.sees()).unwrap();
                let whole = reader.sees();
                assert_eq!(whole, (lines.join("\n") + "\n").as_bytes());
                assert!(serde_json::from_slice::<Value>(&before).is_err(), "it can be taken for whole");
                assert!(whole.starts_with(&before) && whole.len() - before.len() <= 3);
            }
        }
    }
}
