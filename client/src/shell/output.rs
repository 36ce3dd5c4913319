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
            Self::Json => print(&[json::line(event)]),
            Self::Plain => print(&plain::lines(event)),
            Self::Terminal(terminal) => {
                for line in plain::lines(event) {
                    terminal.print(&line);
                }
                terminal.draw()
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

fn print(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
