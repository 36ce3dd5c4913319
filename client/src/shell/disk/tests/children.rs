//! Real processes: killed in the middle, held back by limits, two at a time.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

use super::*;

const CHUNKS: u64 = 200;

fn whole() -> Vec<u8> {
    sample(2_000_003)
}

/// Another process that runs [`child`] with that task.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(dir: &Path, task: &str, command: &mut Command) -> Self {
        let mut child = command
            .args(["--ignored", "--exact", "--nocapture", "shell::disk::tests::children::child"])
            .env("PARLOUR_TEST_DIR", dir)
            .env("PARLOUR_TEST_TASK", task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line of its that begins so, without that; `None` at its end.
    fn next(&mut self, start: &str) -> Option<String> {
        self.lines.by_ref().find_map(|line| line.unwrap().split_once(start).map(|(_, rest)| rest.to_owned()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this() -> Command {
    Command::new(env::current_exe().unwrap())
}

#[test]
#[ignore = "is started by the other tests"]
fn child() {
    let Some(dir) = env::var_os("PARLOUR_TEST_DIR") else { return };
    let dir = Path::new(&dir);
    let whole = whole();
    let manifest = manifest_of(&whole, CHUNKS);
    let mut rig = Rig::restored(dir).0;
    match env::var("PARLOUR_TEST_TASK").unwrap().as_str() {
        "fetch" => {
            let held = rig.begin("file", &manifest).unwrap();
            // From both ends, as chunks come in no order.
            let chunks = (0..100).flat_map(|number| [number, 199 - number]);
            for chunk in chunks.filter(|chunk| !held.contains(chunk)) {
                assert_eq!(rig.fetch(&whole, &manifest, chunk), Ok(true));
                // The pipe takes 64 KiB, so this process gets no more than 18 chunks ahead of who reads it.
                println!("\nverified {chunk:4096}");
            }
            rig.finish(manifest.id()).unwrap();
            println!("\nfinished ");
        }
        "begin" => println!("\nbegun {:?}", rig.begin("file", &manifest)),
        _ => {
            rig.begin("file", &manifest).unwrap();
            println!("\nholds ");
            std::io::stdin().lines().next();
        }
    }
}

#[test]
fn what_was_verified_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let whole = whole();
    let mut told = ChunkSet::empty(200);
    for lines in [0, 1, 7, 20, 40, usize::MAX] {
        let mut process = Process::start(folder.path(), "fetch", &mut this());
        for _ in 0..lines {
            let Some(line) = process.next("verified ") else { break };
            told.insert(ChunkIndex(line.trim().parse().unwrap()));
        }
        drop(process);
        let (_, restored) = Rig::restored(folder.path());
        if told.is_empty() {
            continue;
        }
        let [DiskReply::Restored { held, complete, .. }] = &restored[..] else { panic!("{restored:?}") };
        assert!(told.iter().all(|chunk| held.contains(chunk)));
        assert_eq!(*complete, lines == usize::MAX);
    }
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), whole);
}

#[test]
fn two_processes_do_not_share_one_state() {
    let folder = TempDir::new().unwrap();
    let mut process = Process::start(folder.path(), "hold", &mut this());
    process.next("holds ").unwrap();
    let mut rig = Rig::fresh(folder.path());
    let manifest = manifest_of(b"x", 1);
    assert!(matches!(rig.begin("other", &manifest), Err(DiskError::Other(_))));
    drop(process);
    // The kill gave the lock back.
    assert_eq!(rig.begin("other", &manifest), Ok(vec![]));
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_the_end() {
    let folder = TempDir::new().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 200 && exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
    let mut process = Process::start(folder.path(), "begin", &mut limited);
    assert_eq!(process.next("begun ").as_deref(), Some("Err(Full)"));
}
