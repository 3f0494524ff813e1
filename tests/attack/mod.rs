//! Attacks on a server in a process of its own, and what they have left of it.
//!
//! ```text
//! attack ─▶ clients that are still there ─▶ an answer? ─▶ they leave ─▶ an answer? threads, descriptors, memory?
//! ```
#![allow(dead_code, reason = "each test file uses the part that it needs")]

pub(crate) mod clients;
pub(crate) mod process;
pub(crate) mod table;

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use process::{Held, Process};

/// The endpoint must have answered by then, unless it is the machine that is slow: a server that needs longer than a
/// three-hundredth of it for an answer before the attack has as many times longer after it: an attack leaves dozens to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const SLOW_MACHINE: u32 = 300;

/// For what is asked before any attack.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// What a process may have grown by, in KiB: the allocator's arenas of as many threads as there may be connections.
const GROWTH_KIB: u64 = 8 * 1024;

/// What one client, or many, do. What is returned is held open while the server is asked whether it is still there.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Process) -> Vec<TcpStream>,
}

/// What is wrong with a server after an attack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The process has ended.
    Dead(String),
    /// No profile in time.
    NoAnswer(String),
    /// More threads, descriptors or memory than before, for good.
    Leak { before: Held, after: Held },
}

/// What a server has to itself when nobody asks anything. Every kind of request has been made by then, and the largest by
/// `at_once` clients that do not read, so that what is made once is there: threads' stacks, names, and what the
/// allocator keeps for the next block of the largest size that it has seen.
pub(crate) fn baseline(process: &Process, at_once: usize) -> Held {
    for target in ["heap", "heap?debug=1", "allocs", "cmdline", ""] {
        let end = Instant::now() + HANG;
        let answer = clients::ask_until(process.addr, &clients::get(target), end);
        assert_eq!(answer.expect("before any attack").status, 200, "{target}");
    }
    let held = clients::stall(process.addr, at_once, &table::large(process));
    assert_eq!(answers(process, HANG), Ok(()), "before any attack");
    drop(held);
    assert_eq!(answers(process, HANG), Ok(()), "before any attack");
    let mut last = process.held();
    // Until nothing changes any more.
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = process.held();
        if (now.threads, now.descriptors) == (last.threads, last.descriptors) {
            return now;
        }
        last = now;
    }
}

/// Runs `attack` and looks at what is left. `patience` is how long threads and descriptors may take to go.
pub(crate) fn survives(
    process: &Process,
    attack: &Attack,
    before: Held,
    patience: Duration,
) -> Result<(), Damage> {
    let before_attack = time_of_an_answer(process)?;
    let clients = (attack.run)(process);
    answers_soon(process, before_attack)?;
    drop(clients);
    answers_soon(process, before_attack)?;
    settles(process, before, patience)
}

fn time_of_an_answer(process: &Process) -> Result<Duration, Damage> {
    let start = Instant::now();
    answers(process, HANG)?;
    Ok(start.elapsed())
}

/// Whether there is an answer within [`ANSWER_WITHIN`], or what stands for it on a machine that was as slow before the
/// attack, or is now.
fn answers_soon(process: &Process, before_attack: Duration) -> Result<(), Damage> {
    let within = ANSWER_WITHIN.max(before_attack * SLOW_MACHINE);
    let waited = match answers(process, within) {
        Err(Damage::NoAnswer(_)) => within + time_of_an_answer(process)?,
        other => return other,
    };
    if waited <= time_of_an_answer(process)? * SLOW_MACHINE {
        return Ok(());
    }
    Err(Damage::NoAnswer(format!("only after {waited:?}")))
}

/// Whether a valid heap profile can be had in time. A refusal is no answer; one asks again.
pub(crate) fn answers(process: &Process, within: Duration) -> Result<(), Damage> {
    let end = Instant::now() + within;
    let mut last = String::from("nothing");
    while Instant::now() < end {
        process.alive()?;
        match clients::ask_until(process.addr, &clients::get("heap"), end) {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => last = answer.status_line,
            Err(error) => last = error.to_string(),
        }
        thread::sleep(Duration::from_millis(10));
    }
    process.alive()?;
    Err(Damage::NoAnswer(last))
}

/// Whether threads, descriptors and memory come back to what they were.
pub(crate) fn settles(process: &Process, before: Held, patience: Duration) -> Result<(), Damage> {
    let end = Instant::now() + patience;
    loop {
        process.alive()?;
        let after = process.held();
        if after.threads <= before.threads
            && after.descriptors <= before.descriptors
            && after.resident_kib <= before.resident_kib + GROWTH_KIB
        {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Damage::Leak { before, after });
        }
        thread::sleep(Duration::from_millis(10));
    }
}
