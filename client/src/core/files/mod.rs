//! Files: what this client offers, and what it fetches.
//!
//! `Files` is pure: it knows no server connection, no disk, and of a link no more than its number. After any
//! input, `Files::poll_output` is called until it gives nothing more; `Files::poll_timeout` says when
//! `Files::handle_timeout` is due.
//!
//! # Reading order
//!
//! `interface` is what goes in and out; `register` and `start` take the commands; `download` and `steps` run one
//! download over its `swarm`, `sources` says whom it asks, `seek` when it gives up; `shares` is what is held,
//! `uploads` what others fetch of it; `out` is what all of them speak through.

mod asked;
pub mod disk;
mod download;
mod inquiry;
mod interface;
mod out;
mod pace;
mod piecewise;
mod reach;
mod register;
mod seek;
mod shares;
mod sources;
mod start;
mod steps;
mod swarm;
#[cfg(test)]
mod tests;
mod uploads;
mod waiter;

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::{ErrorCode, FileId, PeerFrame, Username, random::RandomStream, time::MonoMs};

use super::{Event, Outcome, Transfer, command::FileCommand, peers::LinkId};

pub use interface::Rates;
pub(in crate::core) use interface::{AskId, FilesOutput, Misbehaved, Question, ServerAnswer};

use asked::Asked;
use disk::{DiskJob, DiskReply};
use download::Download;
use inquiry::Inquiry;
use out::{OpenLink, Out, Owner};
use pace::Bucket;
use reach::Reach;
use register::Register;
use shares::Shares;
use start::Start;
use uploads::Uploads;

/// Between two `progress` events of one command.
const PROGRESS_PAUSE: Duration = Duration::from_millis(500);
/// Between two hand-outs of what a download limit allows.
const LIMIT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that may wait for a link whose peer goes on asking: what a peer who reads never reaches.
const WAITING_LEN_MAX: usize = 4 * 1024 * 1024;

/// Everything about files.
#[derive(Debug)]
pub(in crate::core) struct Files {
    base: Base,
    uploads: Uploads,
    inquiries: BTreeMap<u64, Inquiry>,
    registers: BTreeMap<u64, Register>,
    /// Downloads that have not found their file yet.
    starts: BTreeMap<u64, Start>,
    downloads: BTreeMap<FileId, Download>,
    limit: Option<Limit>,
}

/// What a download needs of the rest.
#[derive(Debug)]
struct Base {
    out: Out,
    shares: Shares,
    reach: Reach,
    asked: Asked,
    random: RandomStream,
    /// Who is logged in.
    user: Option<Username>,
    /// Whether downloads may ask for no more than they are allowed.
    is_limited: bool,
    /// Whether all that an earlier run held is known.
    is_restored: bool,
}

/// `--download-limit`, for all downloads together.
#[derive(Debug)]
struct Limit {
    bucket: Bucket,
    due: MonoMs,
}

impl Files {
    pub(in crate::core) fn new(random: RandomStream, rates: Rates) -> Self {
        let base = Base {
            out: Out::default(),
            shares: Shares::default(),
            reach: Reach::default(),
            asked: Asked::default(),
            random,
            user: None,
            is_limited: rates.download.is_some(),
            is_restored: false,
        };
        Self {
            base,
            uploads: Uploads::new(rates.upload),
            inquiries: BTreeMap::new(),
            registers: BTreeMap::new(),
            starts: BTreeMap::new(),
            downloads: BTreeMap::new(),
            limit: rates.download.map(|rate| Limit { bucket: Bucket::new(rate), due: MonoMs::default() }),
        }
    }

    /// The server takes commands now; at each log-in.
    pub(in crate::core) fn logged_in(&mut self, user: &Username, now: MonoMs) {
        let Base { out, shares, .. } = self.at(now);
        shares.announce_all(out);
        if self.base.user.is_none() {
            self.base.out.disk(DiskJob::Restore { user: user.clone() });
        }
        self.base.user = Some(user.clone());
        self.advance_all(Download::search_again);
    }

    /// Carries out the command of that number.
    pub(in crate::core) fn run(&mut self, number: u64, command: FileCommand, now: MonoMs) {
        self.base.out.now = now;
        match command {
            FileCommand::Register { name, chunks } => self.register(number, name, chunks),
            FileCommand::Download { name, chunks } => self.start(number, &name, chunks),
            FileCommand::Transfers => self.transfers(number),
            FileCommand::Cancel { name } => self.cancel(number, name),
            FileCommand::Unregister { name } => self.inquire(number, Inquiry::unregister(name)),
            FileCommand::Files => self.inquire(number, Inquiry::files()),
            FileCommand::SearchFile { name } => self.inquire(number, Inquiry::search_file(name)),
            FileCommand::SearchChunk { name, chunks } => {
                self.inquire(number, Inquiry::search_chunk(name, chunks));
            }
        }
    }

    /// The server has answered.
    pub(in crate::core) fn answered(&mut self, ask: AskId, answer: ServerAnswer, now: MonoMs) {
        self.base.out.now = now;
        match self.base.out.asked(ask) {
            Some(Owner::Register(number)) => self.register_answered(number, answer),
            Some(Owner::Inquiry(number)) => self.inquiry_answered(number, answer),
            Some(Owner::Start(number)) => self.start_answered(number, answer),
            Some(Owner::Download(file)) => {
                self.advance(file, |download, base| download.search_answered(answer, base));
            }
            Some(Owner::Upload(_)) | None => {}
        }
    }

    /// A link that serves files stands, whoever wanted it.
    pub(in crate::core) fn link_opened(&mut self, link: LinkId, user: Username, now: MonoMs) {
        let Base { out, reach, .. } = self.at(now);
        reach.opened(&user);
        // A link that stood already may be told again.
        out.links.entry(link).or_insert(OpenLink { user, waiting_len: 0, moved_at: now });
        self.advance_all(Download::sources_changed);
    }

    /// There is no way to that user, though a link was asked for.
    pub(in crate::core) fn link_failed(&mut self, user: &Username, now: MonoMs) {
        self.at(now).reach.failed(user, now);
        self.advance_all(Download::sources_changed);
    }

    /// A link is gone.
    pub(in crate::core) fn link_closed(&mut self, link: LinkId, now: MonoMs) {
        let Base { out, reach, shares, asked, .. } = self.at(now);
        asked.link_closed(link);
        if let Some(open) = out.links.remove(&link) {
            // Who closes a link at once must not be dialled at once for ever.
            reach.failed(&open.user, now);
        }
        shares.link_closed(link);
        self.uploads.link_closed(link);
        self.advance_all(|download, base| download.link_closed(link, base));
    }

    /// A peer says something about files. `Err`: the link is ended as a protocol error.
    #[expect(clippy::needless_pass_by_value, reason = "a frame is read once, here")]
    pub(in crate::core) fn frame(
        &mut self,
        link: LinkId,
        frame: PeerFrame<'_>,
        now: MonoMs,
    ) -> Result<(), Misbehaved> {
        let Self { base, uploads, .. } = self;
        let Base { out, shares, .. } = base;
        out.now = now;
        if !out.links.contains_key(&link) {
            return Ok(());
        }
        if out.waiting_len(link) > WAITING_LEN_MAX {
            return Err(Misbehaved("asks without reading what comes"));
        }
        match frame {
            PeerFrame::WantManifest { file, offset } => {
                uploads.want_manifest(link, file, offset, shares.get(file), out)?;
            }
            PeerFrame::WantHolds { file } => shares.follow(link, file, out),
            PeerFrame::Request { file, chunk, offset, len } => {
                uploads.request(link, (file, chunk, offset, len), shares.get(file), out)?;
            }
            PeerFrame::Cancel { file, chunk, offset } => uploads.cancel(link, file, chunk, offset),
            PeerFrame::Manifest { file, offset, bytes } => {
                self.advance(file, |download, base| download.manifest_piece(link, offset, bytes, base));
            }
            PeerFrame::Holds { file, held } => {
                let mut outcome = Ok(());
                self.advance(file, |download, base| outcome = download.holds(link, held, base));
                outcome?;
            }
            PeerFrame::NoFile { file } => self.advance(file, |download, base| download.no_file(link, base)),
            PeerFrame::Block { file, chunk, offset, bytes } => {
                self.advance(file, |download, base| download.block(link, chunk, offset, bytes, base));
            }
            PeerFrame::NoBlock { file, chunk, offset, reason } => {
                self.advance(file, |download, base| download.no_block(link, (chunk, offset), reason, base));
            }
            _ => return Err(Misbehaved("sent a frame that has nothing to do with files")),
        }
        Ok(())
    }

    /// The link has taken some of its frames; so many bytes of file frames still wait.
    pub(in crate::core) fn drained(&mut self, link: LinkId, waiting_len: usize, now: MonoMs) {
        let Base { out, shares, .. } = self.at(now);
        out.drained(link, waiting_len);
        shares.drained(link, out);
        self.uploads.drained(&mut self.base.out);
    }

    /// The disk has answered.
    pub(in crate::core) fn disk(&mut self, reply: DiskReply, now: MonoMs) {
        let Base { out, shares, is_restored, .. } = self.at(now);
        match reply {
            // The server may still think otherwise.
            DiskReply::Restored { file, held, .. } if held.is_empty() => {
                out.push(FilesOutput::Have { file, held });
            }
            DiskReply::Restored { name, manifest, file, held, complete } => {
                shares.offer(&name, file, &manifest, &held, complete, out);
            }
            DiskReply::AllRestored => {
                *is_restored = true;
                self.restored();
            }
            DiskReply::Seen { job, .. }
            | DiskReply::Hashed { job, .. }
            | DiskReply::Shared { job }
            | DiskReply::Begun { job, .. }
            | DiskReply::Finished { job, .. }
            | DiskReply::Read { job, .. }
            | DiskReply::Failed { job, .. } => {
                let owner = out.job_over(job);
                self.disk_answered(owner, job, reply);
            }
            DiskReply::Hashing { job, .. } => {
                let owner = out.owner(job);
                self.disk_answered(owner, job, reply);
            }
            DiskReply::Wrote { file, len } => self.advance(file, |download, base| download.wrote(len, base)),
            DiskReply::Verified { file, chunk, right } => {
                // Also when the download was stopped meanwhile.
                if right {
                    shares.held(file, chunk, out);
                }
                self.advance(file, |download, base| download.verified(chunk, right, base));
            }
            DiskReply::Broken { file, error } => {
                self.advance(file, |download, base| download.broken(&error, base));
            }
            DiskReply::Changed { file } => self.changed(file),
        }
    }

    /// Our user has blocked that user: he gets nothing more.
    pub(in crate::core) fn blocked(&mut self, user: &Username) {
        let now = self.base.out.now;
        while let Some(link) = self.base.out.link_to(user) {
            self.link_closed(link, now);
            self.base.out.push(FilesOutput::CloseLink { link });
        }
    }

    /// Whether the link is still needed.
    pub(in crate::core) fn uses(&self, link: LinkId) -> bool {
        let is_growing = |file| self.downloads.contains_key(&file);
        self.uploads.uses(link)
            || self.downloads.values().any(|download| download.uses(link))
            || self.base.shares.is_followed(link, is_growing)
    }

    /// Whether a file of that name is being registered.
    pub(in crate::core) fn is_registering(&self, name: &str) -> bool {
        self.registers.values().any(|register| register.name() == name)
    }

    /// Whether a command has not ended yet.
    pub(in crate::core) fn is_busy(&self) -> bool {
        !self.inquiries.is_empty()
            || !self.registers.is_empty()
            || !self.starts.is_empty()
            || self.downloads.values().any(Download::has_waiters)
    }

    /// The program ends: the commands that will not be answered, in their order.
    pub(in crate::core) fn abandon(&mut self) -> Vec<(u64, &'static str)> {
        let inquiries = std::mem::take(&mut self.inquiries);
        let registers = std::mem::take(&mut self.registers).into_keys().map(|number| (number, "register"));
        let starts = std::mem::take(&mut self.starts).into_keys();
        let downloads = self.downloads.values_mut().flat_map(Download::abandon);
        let mut left: Vec<_> = inquiries
            .into_iter()
            .map(|(number, inquiry)| (number, inquiry.word()))
            .chain(registers)
            .chain(starts.chain(downloads).map(|number| (number, "download")))
            .collect();
        left.sort_unstable();
        left
    }

    /// Does what is due.
    pub(in crate::core) fn handle_timeout(&mut self, now: MonoMs) {
        let Base { out, shares, reach, .. } = self.at(now);
        shares.handle_timeout(out);
        if reach.handle_timeout(now) {
            self.advance_all(Download::sources_changed);
        }
        self.uploads.handle_timeout(&mut self.base.out);
        self.share_out_limit();
        let due: Vec<FileId> = self
            .downloads
            .iter()
            .filter(|(_, it)| it.poll_timeout() <= Some(now))
            .map(|(&file, _)| file)
            .collect();
        for file in due {
            self.advance(file, Download::handle_timeout);
        }
    }

    /// When [`Files::handle_timeout`] is due.
    pub(in crate::core) fn poll_timeout(&self) -> Option<MonoMs> {
        let Base { out, shares, reach, .. } = &self.base;
        let downloads = self.downloads.values().filter_map(Download::poll_timeout);
        let limit = self.limit.as_ref().filter(|_| !self.downloads.is_empty()).map(|limit| limit.due);
        let others = [shares.poll_timeout(), reach.poll_timeout(), self.uploads.poll_timeout(out), limit];
        downloads.chain(others.into_iter().flatten()).min()
    }

    /// What is to be done next.
    pub(in crate::core) fn poll_output(&mut self) -> Option<FilesOutput> {
        self.base.out.poll()
    }

    fn at(&mut self, now: MonoMs) -> &mut Base {
        self.base.out.now = now;
        &mut self.base
    }

    /// Something happened to a download: lets it go as far as it can, and takes it away at its end.
    fn advance(&mut self, file: FileId, happened: impl FnOnce(&mut Download, &mut Base)) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        happened(download, &mut self.base);
        if download.advance(&mut self.base) {
            self.downloads.remove(&file);
        }
    }

    fn advance_all(&mut self, mut happened: impl FnMut(&mut Download, &mut Base)) {
        let files: Vec<FileId> = self.downloads.keys().copied().collect();
        for file in files {
            self.advance(file, &mut happened);
        }
    }

    fn disk_answered(&mut self, owner: Option<Owner>, job: disk::JobId, reply: DiskReply) {
        match (owner, reply) {
            (Some(Owner::Register(number)), reply) => self.register_disk(number, reply),
            (Some(Owner::Start(number)), DiskReply::Seen { size, .. }) => self.start_seen(number, size.ok()),
            (Some(Owner::Download(file)), reply) => {
                self.advance(file, |download, base| download.disk(reply, base));
            }
            (Some(Owner::Upload(_)), DiskReply::Read { bytes, .. }) => {
                self.uploads.read(job, bytes, &mut self.base.out);
            }
            _ => {}
        }
    }

    /// Somebody else has changed a file that is offered, or taken it away.
    fn changed(&mut self, file: FileId) {
        self.advance(file, Download::changed);
        let Base { out, shares, .. } = &mut self.base;
        let Some(share) = shares.remove(file, out) else { return };
        self.uploads.file_gone(file, out);
        let text = format!(
            "'{}' was changed or taken away, so you do not offer it any more. If you have registered it, \
             'unregister' it and 'register' it as it is now.",
            share.name
        );
        out.show(Event::Notice { text });
    }

    /// Hands out what `--download-limit` allows, in equal parts.
    fn share_out_limit(&mut self) {
        let now = self.base.out.now;
        let Some(limit) = self.limit.as_mut().filter(|limit| limit.due <= now) else { return };
        limit.due = now.after(LIMIT_PAUSE);
        let count = self.downloads.values().filter(|download| download.is_fetching()).count() as u64;
        let Some(part) = limit.bucket.take_all(now).checked_div(count) else { return };
        self.advance_all(|download, base| download.allow(part, base));
    }

    fn transfers(&mut self, number: u64) {
        let out = &self.base.out;
        let registers = self.registers.values().filter_map(|register| register.transfer(out.now));
        let downloads = self.downloads.values().map(|download| download.transfer(out));
        let transfers: Vec<Transfer> =
            registers.chain(downloads).chain(self.uploads.transfers(out)).collect();
        self.base.out.show(Event::Ok { number, outcome: Outcome::Transfers { transfers } });
    }

    fn cancel(&mut self, number: u64, name: String) {
        let registers = self.cancel_registers(&name);
        let starts = self.cancel_starts(&name);
        let mut downloads = false;
        self.advance_all(|download, base| downloads |= download.cancel(&name, base));
        if registers || starts || downloads {
            self.base.out.show(Event::Ok { number, outcome: Outcome::Cancel { file: name } });
        } else {
            let text =
                format!("'{name}' is neither being registered nor fetched. 'transfers' lists what is.");
            self.base.out.fail(number, "cancel", ErrorCode::NoTransfer, text);
        }
    }
}
