//! `promtool check metrics` has nothing to say against what `/metrics` answers.

mod prometheus;

use std::path::Path;

use debug_pprof::ProfiledAllocator;
use debug_pprof::stats::{Format, render};
use prometheus::{promtool, said};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

#[test]
fn nothing_is_said_against_names_types_and_helps() {
    let text = render(Format::Prometheus);
    assert!(
        text.contains("\nrust_memstats_alloc_bytes_total "),
        "{text}"
    );
    let output = promtool(&["check", "metrics"], Path::new("."), &text);
    assert!(output.status.success(), "{}\n{text}", said(&output));
    assert_eq!(said(&output), "");
    // Seen to find fault.
    let without_help = text.replace("# HELP rust_threads ", "# ");
    let output = promtool(&["check", "metrics"], Path::new("."), &without_help);
    assert!(!output.status.success());
}
