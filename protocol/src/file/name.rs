//! File names: parsed once at the edge, then passed as a type.
//!
//! Owns the rule of what a name may be, the same on every platform, so that what one client registers every
//! other can keep. Must not know directories.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::printable::is_printable;

/// The longest name, in bytes of UTF-8: what the common file systems take, less the room for a suffix.
const NAME_LEN_MAX: usize = 240;

/// One safe component of a path: no directory, no drive, no stream, no device, no hidden file. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

/// Why a string is no name for a shared file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FileNameError {
    /// Nothing there.
    #[error("a file name has at least one character")]
    Empty,
    /// More than the common file systems take.
    #[error("a file name has at most {NAME_LEN_MAX} bytes")]
    TooLong,
    /// It names something in another directory, or the directory itself.
    #[error("only plain file names are shared, without directories")]
    Directory,
    /// A character that some system gives a meaning, or that cannot be seen.
    #[error(
        "a shared file's name may not contain control or invisible characters, nor any of < > : \" | ? *"
    )]
    Character,
    /// A dot in front.
    #[error("hidden files (whose names begin with a dot) are not shared")]
    Hidden,
    /// What Windows would cut off.
    #[error("a shared file's name may not begin with a space, nor end with a dot or a space")]
    Edge,
    /// `CON` and its like, with any extension.
    #[error("that name is a device on some systems")]
    Device,
}

impl FileName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, FileNameError> {
        if name.is_empty() {
            return Err(FileNameError::Empty);
        }
        if name.contains(['/', '\\']) || matches!(name, "." | "..") {
            return Err(FileNameError::Directory);
        }
        if name.len() > NAME_LEN_MAX {
            return Err(FileNameError::TooLong);
        }
        if name.chars().any(|c| !is_printable(c) || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')) {
            return Err(FileNameError::Character);
        }
        if name.starts_with('.') {
            return Err(FileNameError::Hidden);
        }
        if name.starts_with(char::is_whitespace) || name.ends_with(|c: char| c == '.' || c.is_whitespace()) {
            return Err(FileNameError::Edge);
        }
        if is_device(name) {
            return Err(FileNameError::Device);
        }
        Ok(Self(name.into()))
    }
}

/// Windows takes `nul.tar.gz` for the device `NUL`, and the digits may be superscripts.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|number| {
        let mut digits = number.chars();
        digits.next().is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'))
            && digits.next().is_none()
    })
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_of_any_script_pass() {
        for name in
            ["a", "my file.txt", "Ωμέγα.bin", "张伟 的.文件", "con.d-notes", "COM10", "a..b", "x'y&z;$(w)"]
        {
            let parsed = name.parse::<FileName>();
            if name == "con.d-notes" {
                assert_eq!(parsed, Err(FileNameError::Device), "a device with any extension");
            } else {
                assert_eq!(parsed.unwrap().as_str(), name);
            }
        }
    }

    #[test]
    fn what_leaves_the_directory_or_means_something_else_is_refused() {
        use FileNameError::{Character, Device, Directory, Edge, Empty, Hidden, TooLong};
        for (name, error) in [
            ("", Empty),
            (".", Directory),
            ("..", Directory),
            ("../x", Directory),
            ("/etc/passwd", Directory),
            ("a/b", Directory),
            ("a\\b", Directory),
            ("\\\\host\\share", Directory),
            ("C:", Character),
            ("x:stream", Character),
            ("a\0b", Character),
            ("a\nb", Character),
            ("a\u{1b}[2J", Character),
            ("a\u{202e}b", Character),
            ("what?", Character),
            (".profile", Hidden),
            ("a.", Edge),
            ("a ", Edge),
            (" a", Edge),
            ("CON", Device),
            ("con.txt", Device),
            ("Nul.tar.gz", Device),
            ("lpt¹", Device),
            ("com9.x", Device),
            ("aux .c", Device),
        ] {
            assert_eq!(name.parse::<FileName>(), Err(error), "{name:?}");
        }
        assert_eq!("x".repeat(NAME_LEN_MAX + 1).parse::<FileName>(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn a_name_is_always_one_component(name in any::<String>()) {
            if let Ok(name) = name.parse::<FileName>() {
                let parts: Vec<_> = std::path::Path::new(name.as_str()).components().collect();
                prop_assert!(matches!(parts.as_slice(), [std::path::Component::Normal(part)] if *part == name.as_str()));
            }
        }
    }
}
