//! The few files that were read last, still open: not one descriptor for each file that is offered.
//!
//! Must not know whether they are still what they were.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use protocol::FileId;

const OPEN_MAX: usize = 16;

/// Open files, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: VecDeque<(FileId, Arc<File>)>,
}

impl OpenFiles {
    /// That file; `open` opens it if it is not open.
    pub(super) fn get(
        &mut self,
        id: FileId,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        let found = self.files.iter().position(|(open, _)| *open == id);
        let file = match found.and_then(|number| self.files.remove(number)) {
            Some((_, file)) => file,
            None => Arc::new(open()?),
        };
        if self.files.len() == OPEN_MAX {
            self.files.pop_front();
        }
        self.files.push_back((id, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes that file, if it is open.
    pub(super) fn close(&mut self, id: FileId) {
        self.files.retain(|(open, _)| *open != id);
    }
}
