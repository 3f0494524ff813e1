//! Resident memory, memory in use, a signal, a panic, a double panic that aborts, and the end of the process each leave a
//! dump of their own kind, once; what is not asked for leaves none.

mod child_process;
mod dump_dir;
mod validator;

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, fs, hint, panic, thread};

use debug_pprof::{BlackBox, BlackBoxBuilder, ProfiledAllocator};
use dump_dir::{DumpDir, dumps};
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(4096);

const TEST: &str = "each_leaves_a_dump_of_its_kind";

/// Generous: nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(60);

fn box_in_told() -> BlackBoxBuilder {
    BlackBox::builder()
        .dir(dump_dir::told())
        .share_of_limit(None)
        .pressure(None)
}

fn wait_for_dump() {
    let start = Instant::now();
    while dumps(&dump_dir::told()).is_empty() {
        assert!(start.elapsed() < WATCHDOG, "no dump");
        thread::sleep(Duration::from_millis(2));
    }
    // It has its name before its line is said; who asks waits for that.
    assert_eq!(BlackBox::previous(), None);
}

/// So much, touched.
fn hold(mib: usize) -> Vec<Vec<u8>> {
    (0..mib)
        .map(|_| hint::black_box(vec![1; 1 << 20]))
        .collect()
}

/// Panics where unwinding ends the process: the hook is called, and called again.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("again, on purpose");
    }
}

fn child(case: &str) {
    let start = |builder: BlackBoxBuilder| builder.start().expect("it starts");
    match case {
        "nothing" => {
            start(box_in_told().rss_above(1 << 40).in_use_above(1 << 40));
            let held = hold(64);
            // Panics are not asked for, and neither is the end.
            let _ = panic::catch_unwind(|| panic!("on purpose"));
            thread::sleep(Duration::from_millis(300));
            drop(held);
        }
        "rss" => {
            start(box_in_told().rss_above(48 << 20));
            let held = hold(64);
            wait_for_dump();
            // It hovers: more is allocated and freed. For so long because the next look comes only when a hundred times as
            // much time has gone by as the dump took.
            for _ in 0..30 {
                drop(hold(2));
                thread::sleep(Duration::from_millis(100));
            }
            drop(held);
        }
        "inuse" => {
            start(box_in_told().in_use_above(24 << 20));
            let held = hold(32);
            wait_for_dump();
            thread::sleep(Duration::from_millis(300));
            drop(held);
        }
        "signal" => {
            start(box_in_told().signal(libc::SIGUSR2));
            // SAFETY: a signal to this process, which handles it.
            unsafe { libc::raise(libc::SIGUSR2) };
            wait_for_dump();
        }
        "panic" => {
            // The hook that was there is called as ever.
            panic::set_hook(Box::new(|_| eprintln!("the hook before it")));
            start(box_in_told().on_panic(true));
            let caught = panic::catch_unwind(|| panic!("on purpose"));
            assert!(caught.is_err());
            assert_eq!(
                dumps(&dump_dir::told()).len(),
                1,
                "it is there when the panic goes on"
            );
            // A service that panics all the time dumps once in a while.
            for _ in 0..20 {
                let _ = panic::catch_unwind(|| panic!("on purpose"));
            }
        }
        "again" => {
            start(box_in_told().on_panic(true));
            let _again = PanicsAgain;
            panic!("on purpose");
        }
        "exit" => {
            start(box_in_told().at_exit(true));
            std::process::exit(0);
        }
        other => panic!("{other}"),
    }
}

fn run(case: &str) -> (DumpDir, ExitStatus, String) {
    let dir = DumpDir::new(case);
    let mut command = Command::new(env::current_exe().expect("this program"));
    dir.told(child_process::command_of(&mut command, TEST, case));
    let mut child = dump_dir::start(&mut command);
    let said = dump_dir::said(&mut child);
    (dir, child_process::end(child), said)
}

#[test]
fn each_leaves_a_dump_of_its_kind() {
    if let Some(case) = child_process::case() {
        return child(&case);
    }
    thread::scope(|scope| {
        for (case, count, is_clean) in [
            ("nothing", 0, true),
            ("rss", 1, true),
            ("inuse", 1, true),
            ("signal", 1, true),
            ("panic", 1, true),
            ("again", 1, false),
            ("exit", 1, true),
        ] {
            scope.spawn(move || check(case, count, is_clean));
        }
    });
}

fn check(case: &str, count: usize, is_clean: bool) {
    let (dir, status, said) = run(case);
    assert_eq!(status.success(), is_clean, "{case}: {status}\n{said}");
    let files = dumps(dir.path());
    assert_eq!(files.len(), count, "{case}: {files:?}\n{said}");
    for file in &files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("text");
        let kind = if case == "again" { "panic" } else { case };
        assert!(name.ends_with(&format!("-{kind}.pb.gz")), "{name}");
        let body = fs::read(file).expect("readable");
        assert_valid(&body, Expect::new(Kind::Heap).raw().period(4096));
        assert!(said.contains(name) && said.contains("largest: "), "{said}");
    }
    let running = dump_dir::names(dir.path());
    let running = running.iter().filter(|name| name.starts_with("running"));
    assert_eq!(running.count(), usize::from(!is_clean), "{case}");
    assert_eq!(
        said.matches("the hook before it").count(),
        if case == "panic" { 21 } else { 0 }
    );
}
