//! Between the core and its files: what they ask of the server and of links, and what comes back.
//!
//! Owns the way of a question, an answer or an output to the part that understands it. Must not decide anything.

use protocol::{ChunkSet, ClientFrame, Layout, ProtocolError, RequestId, ServerFrame, Username};

use super::{
    Core, Effect, FileEntry, Stage,
    command::FileCommand,
    commands::unexpected,
    files::{AskId, FilesOutput, Question, ServerAnswer},
    requests::{Request, Unexpected},
};

/// A user, and the set of chunks that he holds, not yet read.
type RawHolder = (Username, Vec<u8>);

impl Core {
    /// Starts a command about files, or has it wait for its file to be registered.
    pub(super) fn run_file(&mut self, number: u64, command: FileCommand) {
        if self.must_wait(&command) {
            self.held_back.push_back((number, command));
        } else {
            self.files.run(number, command, self.now.mono);
        }
    }

    /// Goes on with commands whose file is registered by now.
    pub(super) fn run_held_back(&mut self) {
        // Those that still wait are put back before the ones behind them are looked at.
        for (number, command) in std::mem::take(&mut self.held_back) {
            self.run_file(number, command);
        }
    }

    pub(super) fn files_want(&mut self, output: FilesOutput) {
        match output {
            FilesOutput::Ask { ask, question } => self.ask_for_files(ask, &question),
            FilesOutput::Have { file, held } => {
                let is_there = matches!(self.stage, Stage::Online { is_ready: true, .. });
                // Everything is said again when the connection is back.
                if let Some(link) = self.link.as_mut().filter(|_| is_there) {
                    link.send(&ClientFrame::Have { file, held: &held.encode() });
                }
            }
            FilesOutput::Link { user } => self.peers.link_for_files(user),
            FilesOutput::Send { link, frame } => self.peers.send_file(link, frame),
            FilesOutput::Disk(job) => self.effects.push_back(Effect::Disk(job)),
            FilesOutput::Show(event) => self.show_of_part(event),
            FilesOutput::Active => self.tell_active(),
            FilesOutput::CloseLink { link } => self.peers.close_files(link, self.now.mono),
        }
    }

    /// A part of the server's answer to a question about files.
    pub(super) fn filing_frame(&mut self, frame: ServerFrame<'_>) -> Result<(), ProtocolError> {
        match frame {
            ServerFrame::File { request, size, chunks, owner, name, .. } => {
                let file = name.parse().map_err(|_| ProtocolError::Payload { tag: "file" })?;
                let layout = layout(size, chunks, "file")?;
                if let Request::Files { files, .. } = self.requests.files_mut(request).map_err(unexpected)? {
                    files.push(FileEntry { file, layout, owner });
                }
            }
            ServerFrame::Holder { request, user, held } => {
                if let Request::Files { holders, .. } =
                    self.requests.files_mut(request).map_err(unexpected)?
                {
                    holders.push((user, held.to_vec()));
                }
            }
            ServerFrame::Found { request, file, size, chunks } => {
                let layout = layout(size, chunks, "found")?;
                let (ask, holders) = self.take_holders(request)?;
                let read = |(user, bytes): (_, Vec<u8>)| Some((user, ChunkSet::decode(&bytes, chunks).ok()?));
                let holders = holders.into_iter().filter_map(read).collect();
                self.files.answered(ask, ServerAnswer::Found { file, layout, holders }, self.now.mono);
            }
            _ => {}
        }
        Ok(())
    }

    /// The last word of the server's answer.
    pub(super) fn files_done(&mut self, ask: AskId, is_list: bool, files: Vec<FileEntry>) {
        let answer = if is_list { ServerAnswer::Files(files) } else { ServerAnswer::Done };
        self.files.answered(ask, answer, self.now.mono);
    }

    fn must_wait(&self, command: &FileCommand) -> bool {
        let Some(name) = command.follows() else { return false };
        let is_behind = |(_, other): &(u64, FileCommand)| other.follows() == Some(name);
        self.files.is_registering(name) || self.held_back.iter().any(is_behind)
    }

    fn take_holders(&mut self, request: RequestId) -> Result<(AskId, Vec<RawHolder>), ProtocolError> {
        match self.requests.take(request).map_err(unexpected)? {
            Request::Files { ask, holders, .. } => Ok((ask, holders)),
            _ => Err(unexpected(Unexpected)),
        }
    }

    fn ask_for_files(&mut self, ask: AskId, question: &Question) {
        let is_list = *question == Question::Files;
        let request = Request::Files { ask, is_list, holders: Vec::new(), files: Vec::new() };
        self.ask(None, request, |request| match question {
            Question::Search { name } => ClientFrame::Search { request, name: name.as_str() },
            Question::Register { file, layout, name } => ClientFrame::Register {
                request,
                file: *file,
                size: layout.size(),
                chunks: layout.chunks(),
                name: name.as_str(),
            },
            Question::Unregister { name } => ClientFrame::Unregister { request, name: name.as_str() },
            Question::Files => ClientFrame::Files { request },
        });
    }
}

fn layout(size: u64, chunks: u32, tag: &'static str) -> Result<Layout, ProtocolError> {
    Layout::new(size, u64::from(chunks)).map_err(|_| ProtocolError::Field { tag, field: "chunks" })
}
