//! The other heap profilers on the same work. Drives the programs of the package in this directory, which is apart so
//! that the crate's own dependencies stay few.
//!
//! ```text
//! cargo bench --bench peers
//! ```

#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/ratio.rs"]
mod ratio;
#[path = "../driver/rounds.rs"]
mod rounds;
mod scaling;
#[path = "../driver/side.rs"]
mod side;
#[path = "../driver/smoke.rs"]
mod smoke;
#[path = "../driver/verdict.rs"]
mod verdict;

use ratio::{Ratio, geometric_mean, minimum};
use rounds::{Plan, Program};

const RATE_1: &[(&str, &str)] = &[("DEBUG_PPROF_RATE", "1")];
/// jemalloc's profiler as it is run in production: on, one sample per 512 KiB.
const JEMALLOC_PROFILER: &[(&str, &str)] = &[(
    "_RJEM_MALLOC_CONF",
    "prof:true,prof_active:true,lg_prof_sample:19",
)];

/// A profiler and what it is compared to: its inner allocator, bare.
struct Profiler {
    name: &'static str,
    program: Program,
    bare: &'static str,
}

fn main() {
    let plan = if smoke::is_smoke() {
        Plan::SMOKE
    } else {
        Plan::FULL
    };
    let sides = cargo::build("sides", &[], "");
    let peers = cargo::build("peers", &[], "");
    let ours = |name: &str, environment| Program {
        path: sides.join(name),
        environment,
    };
    let theirs = |name: &str, environment| Program {
        path: peers.join(name),
        environment,
    };
    let profilers = [
        ("this crate, system", ours("system_profiled", &[]), "system"),
        ("pprof-alloc, system", theirs("pprof_alloc", &[]), "system"),
        (
            "this crate, jemalloc",
            ours("jemalloc_profiled", &[]),
            "jemalloc",
        ),
        (
            "jemalloc's own",
            theirs("jemalloc_prof", JEMALLOC_PROFILER),
            "jemalloc",
        ),
        (
            "this crate, rate 1",
            ours("system_profiled", RATE_1),
            "system",
        ),
        ("dhat", theirs("dhat", &[]), "system"),
    ]
    .map(|(name, program, bare)| Profiler {
        name,
        program,
        bare,
    });
    let bare = |name: &str| ours(name, &[]);
    // `cargo bench --bench peers -- scaling` for the second table alone.
    if !std::env::args().any(|argument| argument == "scaling") {
        compare(&profilers, bare, &plan);
    }
    let [.., at_rate_1, dhat] = &profilers;
    scaling::compare(&bare("system"), &at_rate_1.program, &dhat.program, &plan);
}

/// The table of all work.
fn compare(profilers: &[Profiler], bare: impl Fn(&str) -> Program, plan: &Plan) {
    let rounds = plan.generations * plan.rounds;
    println!(
        "\n### Against the bare allocator: {rounds} rounds{}\n",
        smoke::note()
    );
    let names: Vec<&str> = profilers.iter().map(|profiler| profiler.name).collect();
    println!("| work | A/A | {} |", names.join(" | "));
    println!("|---|--:|{}", "--:|".repeat(names.len()));

    // Bare and control of each allocator first, then the profilers.
    let mut programs: Vec<Program> = ["system", "system", "jemalloc", "jemalloc"]
        .map(&bare)
        .into();
    programs.extend(profilers.iter().map(|profiler| profiler.program.clone()));
    let mut columns = vec![Vec::new(); profilers.len()];
    for (nth, (group, name)) in programs[0].start().kinds().into_iter().enumerate() {
        if group != "Mean" {
            continue;
        }
        eprintln!("{name}");
        let samples = rounds::measure(&programs, nth, plan);
        let (bares, of_profilers) = samples.split_at(4);
        print!(
            "| {name} | {:.3} |",
            minimum(&bares[1]) / minimum(&bares[0])
        );
        for ((profiler, rounds), column) in profilers.iter().zip(of_profilers).zip(&mut columns) {
            let inner = if profiler.bare == "system" {
                &bares[..2]
            } else {
                &bares[2..]
            };
            let ratio = Ratio::new(rounds, &inner[0], &inner[1]);
            print!(" {:.3} |", ratio.of_minima);
            column.push(ratio);
        }
        println!();
    }
    print_mean("geometric mean", &columns, |ratio| ratio.of_minima);
    print_mean("… of the paired medians", &columns, |ratio| {
        ratio.paired_median
    });
}

fn print_mean(name: &str, columns: &[Vec<Ratio>], of: fn(&Ratio) -> f64) {
    print!("| **{name}** | |");
    for column in columns {
        print!(" **{:.3}** |", geometric_mean(column.iter().map(of)));
    }
    println!();
}
