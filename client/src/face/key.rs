//! Keys, as the line editor understands them.
//!
//! Owns the one translation from each platform's events. A key that means nothing to the editor has no `Key`.

/// A key pressed, or a text pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character typed.
    Char(char),
    /// A letter with the control key, in lower case.
    Ctrl(char),
    /// The end of the line.
    Enter,
    /// Completion.
    Tab,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// The line before in the history.
    Up,
    /// The line after in the history.
    Down,
    /// The start of the line.
    Home,
    /// The end of the line.
    End,
    /// A text pasted in one go, line ends and all.
    Paste(String),
}

impl Key {
    /// The key behind an event of a Unix terminal.
    #[cfg(unix)]
    pub fn from_terminal(event: termina::Event) -> Option<Self> {
        use termina::event::{KeyCode, KeyEventKind, Modifiers};
        let key = match event {
            termina::Event::Paste(text) => return Some(Self::Paste(text)),
            termina::Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => return None,
        };
        Some(match key.code {
            KeyCode::Char(_) if key.modifiers.contains(Modifiers::ALT) => return None,
            KeyCode::Char(c) if key.modifiers.contains(Modifiers::CONTROL) => {
                Self::Ctrl(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) => Self::Char(c),
            KeyCode::Enter => Self::Enter,
            KeyCode::Tab => Self::Tab,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            _ => return None,
        })
    }

    /// The key behind an event of a Windows console.
    #[cfg(windows)]
    pub fn from_terminal(event: crossterm::event::Event) -> Option<Self> {
        use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
        // A console tells no paste: its characters come as keys.
        let Event::Key(key) = event else { return None };
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        Some(match key.code {
            // Both together are AltGr, which many keyboards need for `@`.
            KeyCode::Char(c) if control == alt => Self::Char(c),
            KeyCode::Char(c) if control => Self::Ctrl(c.to_ascii_lowercase()),
            KeyCode::Enter => Self::Enter,
            KeyCode::Tab => Self::Tab,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            _ => return None,
        })
    }
}
