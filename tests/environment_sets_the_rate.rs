//! `DEBUG_PPROF_RATE` is in force before the first line of `main`; a value that is none is reported once, by name, and
//! the program's own rate is used.

use std::process::{Command, Output};

use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(4_096);

const CHILD: &str = "ENVIRONMENT_SETS_THE_RATE_CHILD";

/// Runs this test binary again with the variable set, where it reports its rate.
fn child(value: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "environment_sets_the_rate", "--nocapture"])
        .env(CHILD, "1");
    match value {
        Some(value) => command.env("DEBUG_PPROF_RATE", value),
        None => command.env_remove("DEBUG_PPROF_RATE"),
    };
    let output = command.output().expect("the child runs");
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn environment_sets_the_rate() {
    if std::env::var_os(CHILD).is_some() {
        for _ in 0..3 {
            HeapProfile::capture().expect("installed");
        }
        println!("rate={}", debug_pprof::sample_rate());
        return;
    }
    for (value, rate) in [
        (None, 4_096),
        (Some("0"), 0),
        (Some("1"), 1),
        (Some("1048576"), 1_048_576),
    ] {
        let output = child(value);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            stdout.contains(&format!("rate={rate}\n")),
            "{value:?}: {stdout}"
        );
        assert!(output.stderr.is_empty(), "{output:?}");
    }
    for bad in ["", "512k", "-1", "1e6"] {
        let output = child(Some(bad));
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(stdout.contains("rate=4096\n"), "{bad:?}: {stdout}");
        assert_eq!(
            stderr.matches("DEBUG_PPROF_RATE").count(),
            1,
            "{bad:?}: {stderr}"
        );
        assert!(stderr.contains("whole number of bytes"), "{stderr}");
    }
}
