//! The record of one file: what is remembered of it from one run of the client to the next.
//!
//! A few lines for people, an empty one, then the manifest as it travels. Its file's name is the file's id, so
//! the manifest proves itself. Must not know where records are kept.

use std::sync::Arc;

use protocol::{FileId, FileName, Layout, Manifest};

use super::stamp::Stamp;

const HEADING: &str = "parlour file 1";
/// The longest record in bytes: its lines, and the largest manifest.
pub(super) const RECORD_LEN_MAX: u64 = 2 * 1024 * 1024 + 2 * 1024;

/// One file that is offered or half fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The name that it has, or will have.
    pub(super) name: FileName,
    /// `None` while it is not whole; then the stamp that it had when its bytes were known to be right.
    pub(super) whole: Option<Stamp>,
    pub(super) manifest: Arc<Manifest>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let state = self.whole.map_or_else(|| "partial".to_owned(), |stamp| format!("whole {stamp}"));
        let mut bytes = format!("{HEADING}\nname {}\n{state}\n\n", self.name).into_bytes();
        bytes.extend(self.manifest.encode());
        bytes
    }

    /// Reads the record of that file. Whatever is damaged is none.
    pub(super) fn decode(bytes: &[u8], file: FileId) -> Option<Self> {
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let (line, behind) = rest.split_at_checked(end)?;
            rest = behind.get(1..)?;
            core::str::from_utf8(line).ok()
        };
        let (heading, name, state, end) = (line()?, line()?, line()?, line()?);
        if heading != HEADING || !end.is_empty() {
            return None;
        }
        let whole = match state.split_once(' ') {
            Some(("whole", stamp)) => Some(stamp.parse().ok()?),
            None if state == "partial" => None,
            _ => return None,
        };
        let name = name.strip_prefix("name ")?.parse().ok()?;
        Some(Self { name, whole, manifest: Arc::new(Manifest::decode(rest, file).ok()?) })
    }

    /// Where in a record of that length the manifest begins: it is the end of it.
    pub(super) fn manifest_start(record_len: u64, layout: &Layout) -> Option<u64> {
        record_len.checked_sub(Manifest::encoded_len(layout) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::FileHash;

    use super::*;

    fn record(name: &str, chunks: u64, whole: Option<Stamp>) -> Record {
        let layout = Layout::new(1 << 40, chunks).unwrap();
        let hashes = (0..chunks).map(|number| FileHash([number.to_le_bytes()[0]; 32])).collect();
        let manifest = Manifest::new(layout, FileHash([7; 32]), hashes).unwrap();
        Record { name: name.parse().unwrap(), whole, manifest: Arc::new(manifest) }
    }

    fn stamp(number: i64) -> Stamp {
        let number = i128::from(number);
        Stamp { size: 1 << 40, modified_ns: number, changed_ns: -number, inode: number / 3, device: 5 }
    }

    #[test]
    fn the_largest_record_is_within_the_limit() {
        let name = "ö".repeat(120);
        let extreme = Stamp {
            size: u64::MAX,
            modified_ns: i128::MIN,
            changed_ns: i128::MIN,
            inode: i128::MIN,
            device: i128::MIN,
        };
        let record = record(&name, 65_536, Some(extreme));
        assert!(record.encode().len() as u64 <= RECORD_LEN_MAX);
        assert_eq!(Record::decode(&record.encode(), record.manifest.id()), Some(record));
    }

    #[test]
    fn the_manifest_is_found_without_reading_the_record() {
        let record = record("a b", 9, Some(stamp(4)));
        let bytes = record.encode();
        let start = Record::manifest_start(bytes.len() as u64, &record.manifest.layout()).unwrap();
        assert_eq!(bytes[usize::try_from(start).unwrap()..], record.manifest.encode());
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_a_damaged_one_never_passes_for_another_file(
            name in "[a-zA-Z0-9 漢字.]{1,20}", chunks in 1u64..40, time in any::<Option<i64>>(),
            place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            prop_assume!(name.parse::<FileName>().is_ok());
            let record = record(&name, chunks, time.map(stamp));
            let id = record.manifest.id();
            let mut bytes = record.encode();
            prop_assert_eq!(Record::decode(&bytes, id), Some(record.clone()));
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Some(damaged) = Record::decode(&bytes, id) {
                prop_assert_eq!(damaged.manifest, record.manifest.clone());
            }
            prop_assert_eq!(Record::decode(&record.encode()[..place], id), None);
        }

        #[test]
        fn nothing_makes_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), lines in "(parlour file 1\n)?(name .{0,5}\n)?(whole [0-9 -]{0,20}\n)?\n?",
        ) {
            let _ = Record::decode(&bytes, FileId([0; 32]));
            let text = [lines.as_bytes(), &bytes].concat();
            prop_assert_eq!(Record::decode(&text, FileId([0; 32])), None);
        }
    }
}
