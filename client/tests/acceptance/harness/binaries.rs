//! Where the programs under test lie.
//!
//! Owns the one build of both; must not start them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{env, fs};

/// The client's program.
pub(super) fn client() -> PathBuf {
    directory().join("parlour")
}

/// The server's program.
pub(super) fn server() -> PathBuf {
    directory().join("parlour-server")
}

fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// `cargo test --workspace` has built both programs; for a test of this package alone cargo builds only its own,
/// so the server's is built here, in the same profile.
fn build() -> PathBuf {
    let client = Path::new(env!("CARGO_BIN_EXE_parlour"));
    let programs = client.parent().expect("a program lies in a directory").to_path_buf();
    if !is_fresh(&programs.join("parlour-server")) {
        build_server();
    }
    programs
}

/// Whether a program is newer than everything it is made of.
fn is_fresh(program: &Path) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let parts = [
        "Cargo.toml",
        "Cargo.lock",
        "protocol/Cargo.toml",
        "protocol/src",
        "server/Cargo.toml",
        "server/src",
    ];
    let newest = parts.iter().filter_map(|part| newest(&root.join(part))).max();
    modified(program) > newest
}

fn newest(path: &Path) -> Option<SystemTime> {
    let inside = fs::read_dir(path).into_iter().flatten().filter_map(|entry| newest(&entry.ok()?.path()));
    inside.max().max(modified(path))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn build_server() {
    let test = env::current_exe().expect("the test knows its own path");
    // target/<profile>/deps/<test>
    let profile_dir = test.ancestors().nth(2).expect("the test lies in a target directory");
    let target_dir = profile_dir.parent().expect("the profile's directory lies in a target directory");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        // What cargo tells this test about its package: a dependency's build script that looks at these would run
        // again, and all that depends on it be compiled again, on every change from one cargo to the other.
        let told = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        if told("CARGO_PKG_") || told("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", "--quiet", "-p", "server", "--bins", "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the server does not build");
}
