//! In the machine code of a release build nothing that the allocator's four methods can reach panics, allocates, locks,
//! formats or unwinds: all of it is the profiler's own code and the calls to C that are listed here. The programs are
//! those of `tests/allocator_calls`; one has an allocator that does all of it inside, and is refused.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

mod object_code;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use object_code::{Code, Function};

/// Where the program enters the allocator: what rustc's `alloc`, `dealloc`, `realloc` and `alloc_zeroed` call.
const METHODS: [&str; 4] = [
    "__rustc::__rust_alloc",
    "__rustc::__rust_dealloc",
    "__rustc::__rust_realloc",
    "__rustc::__rust_alloc_zeroed",
];

/// C functions that may be reached. None allocates, and none takes a lock that the program could hold.
const LEAVES: [&str; 26] = [
    // The inner allocator of `allocator_calls`.
    "aligned_alloc",
    "calloc",
    "realloc",
    "free",
    // Memory for the tables.
    "mmap",
    "munmap",
    "madvise",
    // Once: the rate.
    "getenv",
    "strlen",
    // Once, or once a thread: seeds, the page size, the thread's identity.
    "sysconf",
    "getauxval",
    "getpid",
    "clock_gettime",
    "pthread_self",
    // Once, and once a thread: the key that tells of threads' ends, one of those whose values lie in the thread; `gettid`, and, in the
    // key's destructor, which is named inside malloc and called when a thread ends, `nanosleep`.
    "pthread_key_create",
    "pthread_setspecific",
    "syscall",
    // What the compiler makes of copies and comparisons.
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    // The walk of stacks that no table covers: see `WALK`.
    "_Unwind_Backtrace",
    "_Unwind_GetIP",
    "_Unwind_GetCFA",
    "_dl_find_object",
];

/// The one exception. `_Unwind_Backtrace` calls this function of the `backtrace` crate for each frame, which calls
/// `CALLBACK` and guards against panics in it with a panic of its own. It is not entered; `CALLBACK` is checked as the
/// methods are, and cannot panic. Whoever calls `_Unwind_Backtrace`, itself or by `CAPTURE`, has a landing pad for an
/// unwinding that does not happen, which ends in `_Unwind_Resume`.
const WALK: &str = "backtrace::backtrace::libunwind::trace::trace_fn";
const CAPTURE: &str = "debug_pprof::stack::capture";
const CALLBACK: &str = "debug_pprof::stack::unsynchronized::walk::";

fn program(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/allocator_calls");
    // The dependencies are those of the stack corpus.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stack-corpus/stock");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "")
        .current_dir(package)
        .output()
        .expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build: {errors}");
    target.join("release").join(name)
}

/// Everything that is reached, and whatever of it is not allowed.
#[derive(Default)]
struct Reached<'a> {
    functions: BTreeMap<&'a str, &'a Function>,
    leaves: Vec<&'a str>,
    refused: Vec<String>,
}

fn is_ours(name: &str) -> bool {
    // Generic code of `core` is compiled into the crate, under its own name. `Frame` is what `CALLBACK` is handed.
    name.contains("debug_pprof::")
        || name.starts_with("<core::iter::")
        || name.starts_with("backtrace::backtrace::Frame::")
}

impl<'a> Reached<'a> {
    fn from(code: &'a Code, roots: &[&str]) -> Self {
        let mut reached = Self::default();
        for root in roots {
            let functions: Vec<_> = code.named(root).collect();
            assert!(!functions.is_empty(), "{root} is not in the program");
            for function in functions {
                reached.enter(code, function);
            }
        }
        reached
    }

    fn enter(&mut self, code: &'a Code, function: &'a Function) {
        if self.functions.insert(&function.name, function).is_some() {
            return;
        }
        if !function.unknown.is_empty() {
            self.refused
                .push(format!("{} calls {:?}", function.name, function.unknown));
        }
        for name in &function.calls {
            self.call(code, function, name);
        }
    }

    fn call(&mut self, code: &'a Code, function: &'a Function, name: &'a str) {
        let walks = function.calls.contains("_Unwind_Backtrace");
        let resumes = walks || function.calls.contains(CAPTURE);
        let is_excepted = walks && name == WALK || resumes && name == "_Unwind_Resume";
        if LEAVES.contains(&name) || is_excepted {
            self.leaves.push(name);
        } else if is_ours(name) {
            for called in code.named(name) {
                self.enter(code, called);
            }
        } else {
            self.refused.push(format!("{} calls {name}", function.name));
            // One's own functions are named by what they call, too; the standard library's speak for themselves.
            if !name.starts_with("core::") && !name.starts_with("std::") && !METHODS.contains(&name)
            {
                for called in code.named(name) {
                    self.enter(code, called);
                }
            }
        }
    }
}

#[test]
fn nothing_forbidden_is_called_inside_malloc() {
    let code = Code::of(&program("quiet"));
    let roots: Vec<&str> = METHODS.into_iter().chain([CALLBACK]).collect();
    let reached = Reached::from(&code, &roots);
    for function in reached.functions.values() {
        println!(
            "{} calls {:?} {:?}",
            function.name, function.calls, function.unknown
        );
    }
    assert_eq!(reached.refused, [""; 0], "reached from {METHODS:?}");
    // It was a walk through all of it, to the last steps. These are never inlined; what else is differs from build to build.
    for name in [
        "debug_pprof::record::sample",
        "debug_pprof::record::count_sample",
        "debug_pprof::record::dealloc_slow",
        "debug_pprof::record::realloc_settle",
        "debug_pprof::record::live::table::Table::map",
        "debug_pprof::elementary::exp_m1",
    ] {
        assert!(
            reached.functions.contains_key(name),
            "{name} was not reached"
        );
    }
    for name in [
        "aligned_alloc",
        "calloc",
        "realloc",
        "free",
        "mmap",
        "_Unwind_Backtrace",
    ] {
        assert!(reached.leaves.contains(&name), "{name} was not reached");
    }
}

#[test]
fn an_allocator_that_panics_allocates_locks_and_formats_is_refused() {
    let code = Code::of(&program("loud"));
    let refused = Reached::from(&code, &METHODS).refused.join("\n");
    println!("{refused}");
    for forbidden in [
        "calls core::panicking::panic_bounds_check",
        "calls __rustc::__rust_dealloc",
        "::lock_contended",
        "fmt",
        "calls _Unwind_Resume",
    ] {
        assert!(
            refused.contains(forbidden),
            "{forbidden} is not among:\n{refused}"
        );
    }
}
