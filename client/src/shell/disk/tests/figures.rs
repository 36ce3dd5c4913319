//! What the disk thread costs. Run with
//! `cargo test -p client --release figures -- --ignored --nocapture`.

use std::{fs, fs::File, io::Write, time::Instant};

use tempfile::TempDir;

use super::*;

const LEN: usize = 1 << 30;

/// Processor time so far of the disk thread, and of all threads.
fn processor_times() -> [Duration; 2] {
    let mut times = [Duration::ZERO; 2];
    for task in fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path()) {
        let (name, time) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")));
        let Ok(nanos) = time.unwrap_or_default().split(' ').next().unwrap().parse() else { continue };
        times[1] += Duration::from_nanos(nanos);
        if name.is_ok_and(|name| name.trim() == "disk") {
            times[0] += Duration::from_nanos(nanos);
        }
    }
    times
}

fn measure(what: &str, work: impl FnOnce()) {
    let (wall, [disk, all]) = (Instant::now(), processor_times());
    work();
    let [disk_now, all_now] = processor_times();
    let (disk, all) = (disk_now.saturating_sub(disk), all_now.saturating_sub(all));
    println!("{what}: {:.2?}; processor time {all:.2?}, of it the disk thread's {disk:.2?}", wall.elapsed());
}

#[test]
#[ignore = "writes gigabytes, to tell what that costs"]
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
