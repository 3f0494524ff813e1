//! What the profiler takes in memory.
//!
//! ```text
//! cargo bench --bench memory
//! ```

#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/program.rs"]
mod program;
#[path = "../driver/smoke.rs"]
mod smoke;
#[path = "../driver/verdict.rs"]
mod verdict;

use std::path::Path;
use std::thread;

use verdict::verdict;

const ALLOCATORS: [&str; 3] = ["system", "jemalloc", "mimalloc"];
/// How much more may be resident after churn, in a service's heap.
const RESIDENT_BAR: f64 = 1.01;
/// The profiler's share of a heap of 10 GiB, in percent.
const SHARE_BAR: f64 = 0.2;

/// Operations with one survivor, and whether the bar holds there: a service's heap, 250 MiB, and a small program's, 30 MiB.
/// The profiler takes about as much in both, its code and its tables, of which nothing is in proportion to a heap of 30 MiB.
const ONE_IN: [(u64, bool); 2] = [(100, true), (1_000, false)];

const MIB: f64 = 1_048_576.0;

fn main() {
    let programs = cargo::build("sides", &[], "");
    resident(&programs);
    live_heap(&programs);
}

/// Resident memory after churn with survivors.
fn resident(programs: &Path) {
    let operations = if smoke::is_smoke() {
        1_000_000
    } else {
        100_000_000
    };
    println!(
        "\n### Resident after {operations} operations{}\n",
        smoke::note()
    );
    println!(
        "| allocator | bare MiB | A/A | profiled MiB | added MiB | ratio | bar | | of it anonymous |"
    );
    println!("|---|--:|--:|--:|--:|--:|---|---|--:|");
    for (allocator, (one_in, has_bar)) in ALLOCATORS
        .iter()
        .flat_map(|name| ONE_IN.map(|one_in| (*name, one_in)))
    {
        let profiled = format!("{allocator}_profiled");
        let run = |side: &str| {
            let arguments = ["resident", &operations.to_string(), &one_in.to_string()];
            program::numbers(&program::lines(&programs.join(side), &arguments)[0])
        };
        // At the same time: this is no timing.
        let [bare, control, profiled]: [[f64; 2]; 3] = thread::scope(|scope| {
            [allocator, allocator, &profiled]
                .map(|side| scope.spawn(move || run(side)))
                .map(|side| side.join().expect("no panic"))
        });
        let [bare_anonymous, anonymous] = [bare[1], profiled[1]];
        let [bare, control, profiled] = [bare[0], control[0], profiled[0]];
        let ratio = profiled / bare;
        let bar = match has_bar {
            true => format!("≤ {RESIDENT_BAR} | {}", verdict(ratio <= RESIDENT_BAR)),
            false => "none |".to_owned(),
        };
        println!(
            "| {allocator} | {:.2} | {:.4} | {:.2} | {:.2} | {ratio:.4} | {bar} | {:.2} |",
            bare / MIB,
            control / bare,
            profiled / MIB,
            (profiled - bare) / MIB,
            (anonymous - bare_anonymous) / MIB,
        );
    }
}

/// The profiler's own memory for a large heap.
fn live_heap(programs: &Path) {
    let lines = program::lines(&programs.join("live_heap"), &[]);
    let [heap, memory, buckets, live] = program::numbers(&lines[0]);
    let share = memory / heap * 100.0;
    println!(
        "\n10 GiB live in blocks of 64 B to 4 KiB: {live} live records and {buckets} buckets in {:.1} MiB, {share:.3} % \
         of the heap, bar {SHARE_BAR} %: {}.",
        memory / MIB,
        verdict(share <= SHARE_BAR)
    );
}
