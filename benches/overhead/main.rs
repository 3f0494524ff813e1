//! What a program pays for being profiled: 15 kinds of work on each allocator, against the bare allocator.
//!
//! ```text
//! cargo bench --bench overhead                 # system, jemalloc, mimalloc
//! cargo bench --bench overhead -- mimalloc
//! ```
//!
//! The same work in five processes that take turns: bare, bare again (the A/A control, which shows the noise), profiled
//! at the default rate, profiled at rate 1, and profiled with sampling off. Of each the fastest round counts.

#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/ratio.rs"]
mod ratio;
#[path = "../driver/rounds.rs"]
mod rounds;
mod row;
#[path = "../driver/side.rs"]
mod side;
#[path = "../driver/smoke.rs"]
mod smoke;
#[path = "../driver/verdict.rs"]
mod verdict;

use std::env;
use std::path::Path;

use ratio::geometric_mean;
use rounds::{Plan, Program};
use row::Row;
use verdict::verdict;

/// The allocators, and the geometric mean over all work that each may reach.
const ALLOCATORS: [(&str, f64); 3] = [("system", 1.03), ("jemalloc", 1.05), ("mimalloc", 1.05)];

fn main() {
    let plan = if smoke::is_smoke() {
        Plan::SMOKE
    } else {
        Plan::FULL
    };
    let programs = cargo::build("sides", &[], "");
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for (allocator, bar) in ALLOCATORS {
        if wanted.is_empty() || wanted.iter().any(|name| name == allocator) {
            compare(allocator, bar, &programs, &plan);
        }
    }
}

fn compare(allocator: &str, bar: f64, programs: &Path, plan: &Plan) {
    let program = |name: String, environment| Program {
        path: programs.join(name),
        environment,
    };
    let profiled = || format!("{allocator}_profiled");
    let sides = [
        program(allocator.to_owned(), &[]),
        program(allocator.to_owned(), &[]),
        program(profiled(), &[]),
        program(profiled(), &[("DEBUG_PPROF_RATE", "1")]),
        program(profiled(), &[("DEBUG_PPROF_RATE", "0")]),
    ];
    let kinds = sides[0].start().kinds();
    let rows: Vec<(String, Row)> = kinds
        .into_iter()
        .enumerate()
        // `peers` has those.
        .filter(|(_, (group, _))| group != "Scaling")
        .map(|(nth, (group, name))| {
            eprintln!("{allocator}: {name}");
            (group, Row::new(name, &rounds::measure(&sides, nth, plan)))
        })
        .collect();
    let of = |wanted: &'static str| {
        rows.iter()
            .filter(move |(group, _)| group == wanted)
            .map(|(_, row)| row)
    };

    let rounds = plan.generations * plan.rounds;
    println!("\n### {allocator}: {rounds} rounds{}\n", smoke::note());
    row::print_header();
    of("Mean").for_each(Row::print_against_ratio);
    let mean = |ratio: fn(&Row) -> f64| geometric_mean(of("Mean").map(ratio));
    let profiled = mean(|row| row.profiled.of_minima);
    println!(
        "| **geometric mean** | | {:.3} | **{profiled:.3}** | {:.3} | | ≤ {bar} | {} | {:.2} | {:.3} |",
        mean(|row| row.a_a),
        mean(|row| row.profiled.paired_median),
        verdict(profiled <= bar),
        mean(|row| row.rate_1.of_minima),
        mean(|row| row.off.of_minima),
    );
    for (group, row) in &rows {
        let bytes = group.strip_prefix("Untouched(");
        let bytes = bytes.and_then(|bytes| bytes.strip_suffix(')')?.parse().ok());
        if let Some(bytes) = bytes {
            row.print_against_price(bytes);
        }
    }
}
