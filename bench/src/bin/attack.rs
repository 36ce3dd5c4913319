//! Attacks a server of its own in every way at once, while two honest users talk, and tells what they felt.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench::{
    attackers::{Deaf, Dripper, Flooder, Garbage, Resetter, Silent},
    honest::{self, Favour, Pair},
    sample::{Sample, millis},
    server::{Figures, Server, Setup, Status},
    swarm::{self, Attacker, Squad, Tools},
};
use getopts::{Matches, Options};

/// Messages a second between the honest two.
const HONEST_PER_SECOND: u32 = 100;
const DEAF: usize = 100;
const FLOODERS: usize = 50;
/// How often the server's figures are taken during the attack.
const WATCH: Duration = Duration::from_millis(200);

/// What must hold.
struct Bounds {
    p99: Duration,
    turn: Duration,
    /// How long after the attack everything must be as before.
    recovery: Duration,
    /// How much more memory than before is as before.
    memory_percent: u64,
}

/// One part of the scene as it was measured.
struct Phase {
    name: &'static str,
    confirmations: Sample,
    lateness: Sample,
    longest_turn: Duration,
    figures: Figures,
    status: Status,
    /// Part of one processor.
    load: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            say(&format!("MISSED: {}", missed.join("; ")));
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "attack: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<Vec<String>> {
    let mut table = Options::new();
    table.optopt("", "attack", "how long the attack goes on (default 20)", "SECONDS");
    table.optopt("", "calm", "how long to measure before and after it (default 3)", "SECONDS");
    table.optopt("", "p99", "bound of the honest users' 99th percentile (default 20)", "MS");
    table.optopt("", "turn", "bound of the loop's longest turn (default 10)", "MS");
    table.optopt("", "recovery", "time until everything must be as before (default 1000)", "MS");
    table.optopt("", "memory", "how much more memory than before is allowed then (default 10)", "PERCENT");
    table.optflag("", "no-tls", "do not encrypt connections");
    table.optflag("", "favour", "let the server and the honest users run before all else (needs root)");
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        say(&table.usage("Usage: attack [OPTIONS]"));
        return Ok(Vec::new());
    }
    let bounds = Bounds {
        p99: Duration::from_millis(number(&matches, "p99", 20)?),
        turn: Duration::from_millis(number(&matches, "turn", 10)?),
        recovery: Duration::from_millis(number(&matches, "recovery", 1000)?),
        memory_percent: number(&matches, "memory", 10)?,
    };
    let attack = Duration::from_secs(number(&matches, "attack", 20)?);
    let calm = Duration::from_secs(number(&matches, "calm", 3)?);
    let _ = rlimit::increase_nofile_limit(u64::MAX);

    let mut users: Vec<String> = honest::USERS.map(str::to_owned).to_vec();
    users.extend((0..DEAF).map(deaf));
    users.extend((0..FLOODERS).map(flooder));
    let server = Server::start(&Setup { users, tls: !matches.opt_present("no-tls"), descriptors_max: None })?;
    let favour = matches.opt_present("favour").then_some(favour as Favour);
    if let Some(favour) = favour {
        favour(&server.id().to_string())?;
    }
    let pair = Pair::start(server.route().clone(), HONEST_PER_SECOND, favour);
    thread::sleep(Duration::from_millis(500));

    let mut scene = Scene { server: &server, marks: Vec::new() };
    scene.begin()?;
    thread::sleep(calm);
    scene.end("before", Figures::default())?;

    scene.begin()?;
    let log_lines = server.log_lines();
    let route = server.route().clone();
    let end = Instant::now() + attack;
    let swarm = thread::spawn(move || swarm::run(&route, squads(), end));
    let mut most = Figures::default();
    while Instant::now() < end {
        thread::sleep(WATCH);
        let seen = server.figures()?;
        most.memory_kib = most.memory_kib.max(seen.memory_kib);
        most.descriptors = most.descriptors.max(seen.descriptors);
    }
    scene.end("attack", most)?;
    let log_lines = server.log_lines() - log_lines;
    let achieved = swarm.join().map_err(|_| io::Error::other("the swarm fell over"))??;

    scene.begin()?;
    thread::sleep(bounds.recovery);
    scene.end("recovery", Figures::default())?;
    scene.begin()?;
    thread::sleep(calm);
    scene.end("after", Figures::default())?;
    let report = pair.stop()?;

    let phases = scene.phases(&report);
    let mut text = String::new();
    for (what, count) in achieved {
        let _ = writeln!(text, "{what}: {count}");
    }
    let _ = writeln!(text, "lines of log: {log_lines}\n{}", render(&phases));
    say(&text);
    Ok(judge(&bounds, &phases, report.failed))
}

/// On a machine that is busy with other things, their part in the times would be taken for the server's.
fn favour(thread: &str) -> io::Result<()> {
    // Not real time: Linux takes that away for 50 ms of each busy second.
    if Command::new("renice").args(["-n", "-20", "-p", thread]).stdout(Stdio::null()).status()?.success() {
        Ok(())
    } else {
        Err(io::Error::other("renice was not allowed to favour the server"))
    }
}

/// Everybody at once.
fn squads() -> Vec<Squad> {
    fn squad<A: Attacker + 'static>(
        size: usize,
        births_max: usize,
        make: impl Fn(usize, &Tools<'_>) -> io::Result<A> + Send + 'static,
    ) -> Squad {
        let make = move |index, tools: &mut Tools<'_>| {
            make(index, tools).map(|attacker| Box::new(attacker) as Box<dyn Attacker>)
        };
        Squad { size, births_max, make: Box::new(make) }
    }
    vec![
        squad(2000, 6000, |_, tools| Silent::dial(tools)),
        squad(200, 1000, |_, tools| Dripper::dial(tools)),
        squad(DEAF, 1000, |index, tools| Deaf::dial(&deaf(index), tools)),
        squad(FLOODERS, 200, |index, tools| {
            Flooder::dial(&flooder(index), &flooder((index + 1) % FLOODERS), tools)
        }),
        squad(20, 1000, |_, tools| Resetter::dial(tools)),
        squad(20, 2000, Garbage::dial),
    ]
}

fn deaf(index: usize) -> String {
    format!("deaf-{index}")
}

fn flooder(index: usize) -> String {
    format!("flooder-{index}")
}

/// The parts of the scene so far.
struct Scene<'a> {
    server: &'a Server,
    marks: Vec<Mark>,
}

struct Mark {
    name: &'static str,
    start: Instant,
    end: Instant,
    before: Figures,
    after: Figures,
    status: Status,
    /// The most of what was seen in between.
    most: Figures,
}

impl Scene<'_> {
    fn begin(&mut self) -> io::Result<()> {
        self.server.status()?;
        let (before, start) = (self.server.figures()?, Instant::now());
        let (status, most) = (Status::default(), Figures::default());
        self.marks.push(Mark { name: "", start, end: start, before, after: before, status, most });
        Ok(())
    }

    fn end(&mut self, name: &'static str, most: Figures) -> io::Result<()> {
        let (after, end) = (self.server.figures()?, Instant::now());
        let status = self.server.status()?;
        if let Some(mark) = self.marks.last_mut() {
            *mark = Mark { name, end, after, status, most, ..*mark };
        }
        Ok(())
    }

    fn phases(&self, report: &honest::Report) -> Vec<Phase> {
        let phase = |mark: &Mark| Phase {
            name: mark.name,
            confirmations: report.between(mark.start, mark.end),
            lateness: report.lateness_between(mark.start, mark.end),
            longest_turn: mark.status.longest_turn,
            figures: Figures {
                cpu: mark.after.cpu.saturating_sub(mark.before.cpu),
                held_up: mark.after.held_up.saturating_sub(mark.before.held_up),
                memory_kib: mark.after.memory_kib.max(mark.most.memory_kib),
                descriptors: mark.after.descriptors.max(mark.most.descriptors),
            },
            status: mark.status,
            load: mark.after.cpu.saturating_sub(mark.before.cpu).as_secs_f64()
                / (mark.end - mark.start).as_secs_f64(),
        };
        self.marks.iter().map(phase).collect()
    }
}

fn render(phases: &[Phase]) -> String {
    let mut text = format!(
        "{:9}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}{:>6}{:>12}{:>7}\n",
        "phase",
        "msgs",
        "p50",
        "p99",
        "most",
        "late p99",
        "turn",
        "turn cpu",
        "held up",
        "cpu %",
        "fds",
        "memory KiB",
        "conns"
    );
    for Phase { name, confirmations, lateness, longest_turn, figures, status, load } in phases {
        let [p50, p99, most] = [50, 99, 100].map(|percent| millis(confirmations.percentile(percent)));
        let (count, late) = (confirmations.len(), millis(lateness.percentile(99)));
        let (turn, busiest, held_up) =
            (millis(*longest_turn), millis(status.busiest_turn), millis(figures.held_up));
        let Figures { descriptors, memory_kib, .. } = figures;
        let (load, conns) = (load * 100.0, status.connections);
        let _ = writeln!(
            text,
            "{name:9}{count:>7}{p50:>9}{p99:>9}{most:>9}{late:>9}{turn:>9}{busiest:>9}{held_up:>9}{load:>7.0}{descriptors:>6}\
             {memory_kib:>12}{conns:>7}"
        );
    }
    text + "Times in ms. late: by fault of this machine when sending; turn cpu: the most processor time of one turn;\nheld up: the server's loop, for want of a processor."
}

/// Which bounds were missed.
fn judge(bounds: &Bounds, phases: &[Phase], failed: usize) -> Vec<String> {
    let mut missed = Vec::new();
    let mut check = |held: bool, text: String| {
        if !held {
            missed.push(text);
        }
    };
    check(failed == 0, format!("{failed} messages were not confirmed"));
    let [before, .., recovery, _] = phases else { return missed };
    for phase in phases {
        let (name, p99) = (phase.name, phase.confirmations.percentile(99));
        check(!phase.confirmations.is_empty(), format!("{name}: nothing was confirmed"));
        check(p99 <= bounds.p99, format!("{name}: p99 {} ms", millis(p99)));
        let turn = phase.longest_turn;
        check(turn <= bounds.turn, format!("{name}: a turn of {} ms", millis(turn)));
    }
    let left = recovery.figures.descriptors.saturating_sub(before.figures.descriptors);
    check(left == 0, format!("{left} descriptors too many after the attack"));
    let (was, is) = (before.figures.memory_kib, recovery.figures.memory_kib);
    let allowed = was + was * bounds.memory_percent / 100;
    check(is <= allowed, format!("{is} KiB of memory after the attack, {was} before"));
    missed
}

fn number(matches: &Matches, name: &str, default: u64) -> io::Result<u64> {
    matches.opt_get_default(name, default).map_err(io::Error::other)
}

fn say(text: &str) {
    // A closed pipe is no failure of what was measured.
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}
