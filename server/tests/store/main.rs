//! The store alone, on real files (threats 34 to 37): what was committed is there after whatever happens, what was
//! not is not, and a file that cannot be used is refused with its name.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod crash;
mod damage;
mod history;
mod model;

use std::path::Path;

use protocol::time::UnixMs;
use server::store::Store;

use model::Model;

const SECRET: [u8; 32] = [7; 32];
const NOW: UnixMs = UnixMs(1_000_000);

/// Opens a store that must be all right.
fn open(folder: &Path) -> Store {
    Store::open(folder, &SECRET, NOW).unwrap().0
}

/// What a new process finds there.
fn found(folder: &Path) -> Model {
    let (mut store, recovered) = Store::open(folder, &[0; 32], NOW).unwrap();
    Model::found(&mut store, recovered)
}
