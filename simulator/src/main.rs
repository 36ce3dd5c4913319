//! Replays one seed with its trace, or runs many.

use std::{process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--seed", seed] => match seed.parse() {
            Ok(seed) => replay(seed),
            Err(_) => usage(),
        },
        ["--seeds", range] => match range.split_once("..").map(|(from, to)| (from.parse(), to.parse())) {
            Some((Ok(from), Ok(to))) => run_many(from, to),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("Usage: simulator --seed N | --seeds A..B");
    ExitCode::from(2)
}

fn replay(seed: u64) -> ExitCode {
    match simulator::run(seed, true, None) {
        Ok(summary) => {
            println!("{summary:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_many(from: u64, to: u64) -> ExitCode {
    let started = Instant::now();
    let mut failures = 0u64;
    let mut steps = 0;
    for seed in from..to {
        match simulator::run(seed, false, None) {
            Ok(summary) => steps += summary.steps,
            Err(failure) => {
                failures += 1;
                println!("{failure}");
            }
        }
    }
    println!("{} seeds, {failures} failures, {steps} steps, {:?}", to - from, started.elapsed());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
