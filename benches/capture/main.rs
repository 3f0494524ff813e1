//! What one sampled allocation costs, by the depth of its stack.
//!
//! ```text
//! cargo bench --bench capture
//! ```
//!
//! Everything is above the same pair unsampled, in the same process and round; of each the fastest round counts.

#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/program.rs"]
mod program;
#[path = "../driver/smoke.rs"]
mod smoke;
#[path = "../driver/verdict.rs"]
mod verdict;

use std::path::Path;

use verdict::verdict;

/// Frames that the bars are for.
const FRAMES: u32 = 30;
/// Nanoseconds for a sampled allocation: a stock build, and one with frame pointers.
const BUILDS: [(&str, &str, f64); 2] = [
    ("stock", "", 700.0),
    ("frame pointers", "-Cforce-frame-pointers=yes", 200.0),
];
/// Nanoseconds that a pair may cost whose every block is sampled.
const LARGE_BAR_NS: f64 = 1_000.0;
/// Of a program with 10 MiB of text.
const TABLE_BAR_MIB: f64 = 3.0;
const MIB: f64 = 1_048_576.0;
const TABLE_BAR_MS: f64 = 100.0;

fn main() {
    println!("\n### A sampled allocation{}\n", smoke::note());
    println!(
        "| build | unwinder | frames | allocation ns | its free ns | both ns | both, another stack each time ns | bar | |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|---|---|");
    let large = BUILDS.map(|(name, flags, bar)| {
        let programs = cargo::build("sides", &["--no-default-features"], flags);
        (name, depths(name, &programs, bar))
    });
    for (name, added) in large {
        println!(
            "\n1 MiB blocks at the default rate, nearly every one sampled, {name}: {added:.0} ns added per pair, bar \
             {LARGE_BAR_NS}: {}.",
            verdict(added <= LARGE_BAR_NS)
        );
    }
    tables(&cargo::build("sides", &["--no-default-features"], ""));
}

/// Prints a row for each depth. Returns what a pair of 1 MiB costs.
fn depths(build: &str, programs: &Path, bar: f64) -> f64 {
    let (processes, rounds) = if smoke::is_smoke() {
        (1, "3")
    } else {
        (6, "30")
    };
    // Where a process happens to land moves its timings: of several the fastest counts, depth by depth.
    let runs: Vec<Vec<String>> = (0..processes)
        .map(|_| program::lines(&programs.join("capture"), &[rounds]))
        .collect();
    let fastest = |nth: usize| {
        let figures = runs.iter().map(|lines| program::numbers::<4>(&lines[nth]));
        let least = |a: [f64; 4], b: [f64; 4]| std::array::from_fn(|i| a[i].min(b[i]));
        figures.reduce(least).expect("at least one run")
    };
    let [unwinder, depths @ .., _] = runs[0].as_slice() else {
        panic!("a line for the unwinder and one for large blocks");
    };
    for nth in 1..=depths.len() {
        let [frames, alloc, free, many] = fastest(nth);
        let beside = if frames as u32 == FRAMES {
            format!("≤ {bar} | {}", verdict(alloc <= bar))
        } else {
            "|".to_owned()
        };
        let both = alloc + free;
        println!(
            "| {build} | {unwinder} | {frames} | {alloc:.0} | {free:.0} | {both:.0} | {many:.0} | {beside} |"
        );
    }
    let large = runs.iter().filter_map(|lines| lines.last());
    large
        .map(|line| program::number(line))
        .fold(f64::INFINITY, f64::min)
}

fn tables(programs: &Path) {
    let line = &program::lines(&programs.join("large_text"), &[])[0];
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [text, bytes, milliseconds, unwinder] = words.as_slice() else {
        panic!("four words, not {line}");
    };
    let (text, bytes) = (program::number(text), program::number(bytes));
    let milliseconds = program::number(milliseconds);
    print!("\nUnwind tables of {:.1} MiB of text: ", text / MIB);
    if !unwinder.starts_with("stack-delta") {
        println!("this unwinder ({unwinder}) has none");
        return;
    }
    println!(
        "{unwinder}, {:.2} MiB, bar {TABLE_BAR_MIB} MiB: {}; ready after {milliseconds:.0} ms, bar {TABLE_BAR_MS}: {}",
        bytes / MIB,
        verdict(bytes <= TABLE_BAR_MIB * MIB),
        verdict(milliseconds <= TABLE_BAR_MS)
    );
}
