//! What the disk thread costs. Run with
//! `cargo test -p client --release figures -- --ignored --nocapture`.

use std::{fs, fs::File, io::Write, time::Instant};

use tempfile::TempDir;

use super::*;

const LEN: usize = 1 << 30;

/// Processor time of all threads so far.
fn processor_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let times =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default());
    Duration::from_nanos(times.map(|time| time.split(' ').next().unwrap().parse().unwrap_or(0)).sum())
}

fn measure(what: &str, work: impl FnOnce()) {
    let (wall, processor) = (Instant::now(), processor_time());
    work();
    let processor = processor_time().saturating_sub(processor);
    println!("{what}: {:.2?}, {processor:.2?} of processor time", wall.elapsed());
}

#[test]
#[ignore = "takes a while and fails never: it only tells figures"]
fn figures() {
    let whole = sample(LEN);
    for chunks in [1, 64, 65_536] {
        let folder = TempDir::new().unwrap();
        let manifest = manifest_of(&whole, chunks);
        measure("plain write of 1 GiB in blocks of 128 KiB", || {
            let mut file = File::create(folder.path().join("plain")).unwrap();
            whole.chunks(BLOCK_LEN_MAX).for_each(|block| file.write_all(block).unwrap());
        });
        measure("its fsync", || File::open(folder.path().join("plain")).unwrap().sync_all().unwrap());
        fs::remove_file(folder.path().join("plain")).unwrap();
        let mut rig = Rig::fresh(folder.path());
        rig.begin("file", &manifest).unwrap();
        measure(&format!("write, hash, journal of {chunks} chunks"), || {
            let (mut waiting, file) = (0usize, manifest.id());
            for chunk in (0..manifest.layout().chunks()).map(ChunkIndex) {
                for (block, number) in bytes_of(&whole, &manifest, chunk).chunks(BLOCK_LEN_MAX).zip(0u64..) {
                    let offset = number * BLOCK_LEN_MAX as u64;
                    rig.give(DiskJob::Write { file, chunk, offset, bytes: block.to_vec() });
                    waiting += 1;
                }
                rig.give(DiskJob::Verify { file, chunk });
                waiting += 1;
                while waiting > 64 {
                    assert!(!matches!(
                        rig.next(),
                        DiskReply::Broken { .. } | DiskReply::Verified { right: false, .. }
                    ));
                    waiting -= 1;
                }
            }
            (0..waiting).for_each(|_| drop(rig.next()));
        });
        measure("finish", || drop(rig.finish(manifest.id()).unwrap()));
        measure("read in blocks of 128 KiB", || {
            let file = manifest.id();
            for chunk in 0..manifest.layout().chunks() {
                let len = manifest.layout().len(ChunkIndex(chunk));
                for offset in (0..len).step_by(BLOCK_LEN_MAX) {
                    let len = (len - offset).min(BLOCK_LEN_MAX as u64);
                    rig.read(file, chunk, offset, u32::try_from(len).unwrap()).unwrap();
                }
            }
        });
        measure(&format!("hash, {chunks} chunks and the whole"), || {
            rig.hash("file", chunks).unwrap();
        });
        drop(rig);
        measure("restart with hashing", || drop(Rig::restored(folder.path())));
    }
}
