//! The cores stay pure: no source file of theirs names a socket, a file, a clock, a thread or ambient randomness.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the test, and should")]

use std::{fs, path::Path};

/// What would let the outside in.
const BANNED: &[&str] = &[
    "mio::",
    "std::net",
    "std::fs",
    "std::io",
    "std::thread",
    "std::env",
    "std::process",
    "Instant",
    "SystemTime",
    "SystemRandom",
    "println!",
    "eprintln!",
    "HashMap",
    "HashSet",
];

#[test]
fn cores_touch_nothing_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for core in ["protocol/src", "server/src/hub", "client/src/core", "client/src/face"] {
        seen += check(&root.join(core));
    }
    assert!(seen > 30, "only {seen} files were found: have the cores moved?");
}

fn check(folder: &Path) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Tests may print, and ask the environment how long to take.
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            // The one folder of `protocol` that pumps streams; its module says so.
            if !path.ends_with("protocol/src/transport") {
                seen += check(&path);
            }
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (line, number) in code.lines().zip(1..) {
                let is_comment = line.trim_start().starts_with("//");
                let found = BANNED.iter().find(|banned| !is_comment && line.contains(**banned));
                assert_eq!(found, None, "{}:{number}: {line}", path.display());
            }
            seen += 1;
        }
    }
    seen
}
