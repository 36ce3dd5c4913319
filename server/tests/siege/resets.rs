//! Connections that are reset in the middle of a frame leave nothing behind (threat 28). `bench`'s program `resets` does
//! it a hundred thousand times.

use std::path::Path;

use bench::{
    resets,
    server::{Server, Setup},
};

use crate::PROGRAM;

/// In each round.
const COUNT: usize = 1_000;
/// What a round may add to the resident memory: the allocator's habits, and no more. A leak of one connection's state,
/// some 10 KiB, would be 10 MB.
const GROWTH_KIB_MAX: u64 = 2_048;

#[test]
fn resets_in_mid_frame_leave_neither_descriptors_nor_memory() {
    for tls in [false, true] {
        let setup = Setup { users: Vec::new(), tls, descriptors_max: None };
        let server = Server::start_at(Path::new(PROGRAM), &setup).unwrap();
        let before = server.figures().unwrap();
        // The first round pays for memory that the others find.
        let first = resets::round(&server, COUNT).unwrap();
        let second = resets::round(&server, COUNT).unwrap();
        assert_eq!([first.descriptors, second.descriptors], [before.descriptors; 2], "TLS: {tls}");
        let grown = second.memory_kib.saturating_sub(first.memory_kib);
        assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB more after {COUNT} further resets, TLS: {tls}");
    }
}
