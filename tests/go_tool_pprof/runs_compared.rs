//! `-base` and `-diff_base` across two processes: same program, other addresses, so equal leaks cancel.

use crate::captured;
use crate::go_pprof::pprof;
use crate::top::Top;

const LEAKS: [&str; 3] = ["cache::remember", "previews::keep_slice", "tickers::start"];

/// The first mapping's start, to show that the two runs were loaded at different places.
fn load_address(captured: &captured::Captured) -> u64 {
    captured.profile.proto.mapping[0].memory_start
}

#[test]
fn equal_leaks_of_two_runs_cancel() {
    let (first, second) = (captured::first_run(), captured::second_run());
    assert_ne!(
        load_address(first),
        load_address(second),
        "address randomisation is off: the test shows nothing"
    );
    for base in ["-base", "-diff_base"] {
        let top = Top::of(&[
            base,
            first.file(),
            "-sample_index=inuse_space",
            second.file(),
        ]);
        for function in LEAKS {
            let row = top.row(function);
            assert_eq!((row.flat, row.cum), (0, 0), "{base}: {row:?}");
        }
    }
}

/// A pair of +x and -x sums up to zero in `-top` too, but it is two traces. (`-diff_base` labels the base's samples, so
/// there the traces always stay apart.)
#[test]
fn locations_of_two_runs_merge() {
    let (first, second) = (captured::first_run(), captured::second_run());
    let traces = pprof(&[
        "-traces",
        "-base",
        first.file(),
        "-sample_index=inuse_space",
        second.file(),
    ]);
    let left: Vec<&str> = traces
        .split("-----------+")
        .filter(|trace| LEAKS.iter().any(|function| trace.contains(function)))
        .filter(|trace| value(trace) != Some("0"))
        .collect();
    assert!(left.is_empty(), "left over:\n{}", left.concat());
}

/// The number beside the first frame, which follows the labels (`bytes:  64kB`).
fn value(trace: &str) -> Option<&str> {
    let mut lines = trace
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    lines.find(|first| !first.ends_with(':'))
}

#[test]
fn a_profile_minus_itself_is_empty() {
    let file = captured::first_run().file();
    let top = Top::of(&["-diff_base", file, "-sample_index=alloc_space", file]);
    assert!(top.rows.is_empty(), "{top:#?}");
}
