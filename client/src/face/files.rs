//! The plain face's words for files: how far a transfer is, who has which chunks, what came of a command.

use protocol::{ChunkIndex, printable::Printable};

use super::plain::names;
use crate::core::{Direction, Holder, Outcome, Progress, Transfer};

/// Ranges of chunks named one by one; more are counted.
const RANGES_MAX: usize = 16;

/// How far a `register` or `download` is: `f: 3 of 8 chunks, 1.5 MiB of 4.0 MiB, 2.1 MiB/s, 2 s left`.
pub(crate) fn progress(progress: &Progress) -> String {
    let Progress { file, have, total, bytes, bytes_total, rate } = progress;
    let file = Printable(file.as_str());
    let left = bytes_total.saturating_sub(*bytes);
    let time_left = match left.div_ceil((*rate).max(1)) {
        _ if *rate == 0 || left == 0 => String::new(),
        seconds => format!(", {} left", duration(seconds)),
    };
    format!(
        "{file}: {have} of {total} chunks, {} of {}, {}/s{time_left}",
        size(*bytes),
        size(*bytes_total),
        size(*rate)
    )
}

/// The lines for the outcome of a command about files.
pub(super) fn outcome_lines(number: u64, outcome: &Outcome) -> Vec<String> {
    let (first, mut more) = words(outcome);
    more.insert(0, format!("[{number}] {first}"));
    more
}

fn words(outcome: &Outcome) -> (String, Vec<String>) {
    match outcome {
        Outcome::Register { file, layout, hash } => (
            format!(
                "{} is registered: {} in {}",
                Printable(file.as_str()),
                size(layout.size()),
                count(layout.chunks(), "chunk")
            ),
            vec![format!("  BLAKE3: {hash}")],
        ),
        Outcome::Unregister { file } => {
            (format!("{} is not registered any more", Printable(file.as_str())), Vec::new())
        }
        Outcome::Files { files } if files.is_empty() => ("no file is registered".to_owned(), Vec::new()),
        Outcome::Files { files } => {
            let line = |entry: &crate::core::FileEntry| {
                let (bytes, chunks) = (size(entry.layout.size()), count(entry.layout.chunks(), "chunk"));
                format!("  {} ({bytes} in {chunks}, by {})", Printable(entry.file.as_str()), entry.owner)
            };
            ("registered:".to_owned(), files.iter().map(line).collect())
        }
        Outcome::SearchFile { file, layout, available, holders } => {
            let (bytes, chunks) = (size(layout.size()), count(layout.chunks(), "chunk"));
            let head = format!("{} ({bytes} in {chunks})", Printable(file.as_str()));
            found(&head, *available, holders)
        }
        Outcome::SearchChunk { file, available, holders } => {
            found(&format!("these chunks of {}", Printable(file.as_str())), *available, holders)
        }
        Outcome::Download(done) => {
            let file = Printable(done.file.as_str());
            let path = done.path.to_string_lossy();
            let head = if done.held.is_full() {
                format!("{file} is complete: {}", Printable(&path))
            } else {
                let (held, chunks) = (done.held.len(), count(done.held.chunks(), "chunk"));
                format!("you have {held} of {chunks} of {file}: {}", chunk_list(done.held.iter()))
            };
            let wasted = if done.wasted > 0 {
                format!("; {} came for nothing", size(done.wasted))
            } else {
                String::new()
            };
            (head, vec![format!("  {} from {}{wasted}", size(done.bytes), names(&done.sources, "nobody"))])
        }
        Outcome::Transfers { transfers } if transfers.is_empty() => ("nothing moves".to_owned(), Vec::new()),
        Outcome::Transfers { transfers } => {
            ("transfers:".to_owned(), transfers.iter().map(transfer).collect())
        }
        Outcome::Cancel { file } => (format!("{} is stopped", Printable(file)), Vec::new()),
        _ => (String::new(), Vec::new()),
    }
}

fn found(what: &str, available: bool, holders: &[Holder]) -> (String, Vec<String>) {
    let all = if available { "every chunk can be had" } else { "not every chunk can be had now" };
    let line = |holder: &Holder| format!("  {}: {}", holder.user, chunk_list(holder.chunks.iter().copied()));
    (format!("{what}: {all}"), holders.iter().map(line).collect())
}

fn transfer(transfer: &Transfer) -> String {
    let users = names(&transfer.users, "nobody");
    match transfer.direction {
        Direction::Register => format!("  registering {}", progress(&transfer.progress)),
        Direction::Download => format!("  fetching {} from {users}", progress(&transfer.progress)),
        Direction::Upload => {
            let Progress { file, bytes, rate, .. } = &transfer.progress;
            let file = Printable(file.as_str());
            format!("  passing on {file}: {} so far, {}/s, to {users}", size(*bytes), size(*rate))
        }
    }
}

/// `0-3, 5, 9-12`.
pub(crate) fn chunk_list(chunks: impl Iterator<Item = ChunkIndex>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for ChunkIndex(number) in chunks {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    if ranges.is_empty() {
        return "none".to_owned();
    }
    let words: Vec<String> = ranges
        .iter()
        .take(RANGES_MAX)
        .map(|&(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    let more = if ranges.len() > RANGES_MAX { ", and more" } else { "" };
    format!("{}{more}", words.join(", "))
}

/// A number of bytes in units that people read: `17 B`, `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut units = UNITS.iter().peekable();
    while let Some(unit) = units.next() {
        if tenths < 10_240 || units.peek().is_none() {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1024;
    }
    format!("{bytes} B")
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn count(number: u32, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_lists_and_times_are_for_people() {
        assert_eq!(
            [size(0), size(1023), size(1024), size(1_600_000)],
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]
        );
        assert_eq!(size(1024 * 1024), "1.0 MiB");
        assert_eq!(size(u64::MAX), "15.9 EiB");
        assert_eq!(chunk_list([0, 1, 2, 5, 7, 8].map(ChunkIndex).into_iter()), "0-2, 5, 7-8");
        assert_eq!(chunk_list((0..100).step_by(2).map(ChunkIndex)).matches(',').count(), RANGES_MAX);
        let half = Progress {
            file: "f".parse().unwrap(),
            have: 1,
            total: 2,
            bytes: 1024,
            bytes_total: 2048,
            rate: 512,
        };
        assert_eq!(progress(&half), "f: 1 of 2 chunks, 1.0 KiB of 2.0 KiB, 512 B/s, 2 s left");
    }
}
