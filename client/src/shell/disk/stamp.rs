//! What tells, without reading a file, that it is still the one that was read before.
//!
//! Owns the comparison and its spelling in a record. Must not know where files are.

use std::{fmt, str::FromStr};

/// A change within the same tick of the file system's clock does not show in the times; the coarsest common
/// one (FAT) ticks every two seconds.
const SETTLING_NS: i128 = 2_000_000_000;

/// Size, times and identity of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In bytes.
    pub(super) size: u64,
    /// Last change of the bytes, in nanoseconds since 1970. Programs may set it back.
    pub(super) modified_ns: i128,
    /// Last change of anything, in nanoseconds since 1970. Nobody sets it at will.
    pub(super) changed_ns: i128,
    pub(super) inode: i128,
    pub(super) device: i128,
}

impl Stamp {
    /// Whether these are two names of the same file.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.inode, self.device) == (other.inode, other.device)
    }

    /// Whether the stamp, noted in a record with the stamp `record`, had had time to settle by then: only then
    /// an equal stamp proves equal bytes. Both times are of the file system's own clock.
    pub(super) fn was_settled_in(&self, record: &Self) -> bool {
        // Windows tells no time of the last change that programs cannot set.
        cfg!(unix) && record.modified_ns.saturating_sub(self.changed_ns) >= SETTLING_NS
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, modified_ns, changed_ns, inode, device } = self;
        write!(f, "{size} {modified_ns} {changed_ns} {inode} {device}")
    }
}

/// No stamp was written there.
#[derive(Debug)]
pub(super) struct StampError;

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let mut words = text.split(' ');
        let size = words.next().and_then(|word| word.parse().ok()).ok_or(StampError)?;
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or(StampError);
        let stamp =
            Self { size, modified_ns: number()?, changed_ns: number()?, inode: number()?, device: number()? };
        if words.next().is_some() { Err(StampError) } else { Ok(stamp) }
    }
}
