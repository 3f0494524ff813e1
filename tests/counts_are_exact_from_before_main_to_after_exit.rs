//! Allocations and frees of sampled blocks at every stage of a process's life are counted, and the process ends well: before
//! `main`, in destructors of thread-locals (whichever was registered first) and of POSIX keys, in `atexit`, in the static
//! destructors of a C++ library, in `.fini_array`, and on a thread that outlives `main`.
//!
//! ```text
//! .init_array ─▶ main ─▶ threads: thread-locals, keys ─▶ main returns ─▶ atexit, C++ ─▶ .fini_array: what was counted
//!                          └─ a detached thread ───────────────────────────────────────────────────────▶
//! ```

mod measured;
mod statistics;
mod watched;

use std::alloc::{Layout, alloc};
use std::cell::RefCell;
use std::env;
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::mem;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use measured::{Block, allocated, in_use};
use watched::{PATIENCE, part, run};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TEST: &str = "counts_are_exact_from_before_main_to_after_exit";

/// A stage of the process's life, with a size of block that is its own.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
enum Stage {
    BeforeMain,
    ThreadLocalFirst,
    ThreadLocalLast,
    Key,
    AtExit,
    StaticDestructor,
    Detached,
    Fini,
}

const STAGES: usize = Stage::Fini as usize + 1;

/// What the program did: blocks allocated and freed, by the stage that allocated them.
static ALLOCATED: [AtomicI64; STAGES] = [const { AtomicI64::new(0) }; STAGES];
static FREED: [AtomicI64; STAGES] = [const { AtomicI64::new(0) }; STAGES];

/// Blocks that a later stage frees.
static KEPT: Mutex<Vec<(usize, Block)>> = Mutex::new(Vec::new());

/// Whether this process is the one that lives through it all.
static IS_LIFE: AtomicBool = AtomicBool::new(false);

impl Stage {
    fn size(self) -> usize {
        size_of_stage(self as usize)
    }

    fn new_block(self) -> Block {
        let block = Block::new(self.size(), 8);
        ALLOCATED[self as usize].fetch_add(1, Ordering::SeqCst);
        block
    }

    /// What every stage does: allocates three blocks, frees one, keeps one for later, leaks one, and frees all that earlier
    /// stages have kept.
    fn live(self) {
        let [freed, kept, leaked] = [(); 3].map(|()| self.new_block());
        free(self as usize, freed);
        mem::forget(leaked);
        let earlier = {
            let mut blocks = KEPT.lock().expect("no panic");
            mem::replace(&mut *blocks, vec![(self as usize, kept)])
        };
        for (stage, block) in earlier {
            free(stage, block);
        }
    }
}

fn size_of_stage(stage: usize) -> usize {
    30_011 + 1_000 * stage
}

fn free(stage: usize, block: Block) {
    drop(block);
    FREED[stage].fetch_add(1, Ordering::SeqCst);
}

fn say(text: &str) {
    // Past std's buffers, which are gone in the end.
    // SAFETY: writes a string of that length.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// Called before `main`, by the C library.
extern "C" fn before_main() {
    // SAFETY: reads the environment, which nobody changes before `main`.
    if !unsafe { libc::getenv(c"DEBUG_PPROF_TEST_PART".as_ptr()) }.is_null() {
        IS_LIFE.store(true, Ordering::SeqCst);
        Stage::BeforeMain.live();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

/// Called after `main` and all `atexit` handlers: the last stage, and the verdict.
extern "C" fn fini() {
    if !IS_LIFE.load(Ordering::SeqCst) {
        return;
    }
    Stage::Fini.live();
    let before: [i64; STAGES] =
        std::array::from_fn(|stage| ALLOCATED[stage].load(Ordering::SeqCst));
    let profile = HeapProfile::capture().expect("installed");
    let mut is_exact = true;
    for stage in 0..STAGES {
        let (counted, counted_in_use) = (
            allocated(&profile, size_of_stage(stage)).objects,
            in_use(&profile, size_of_stage(stage)).objects,
        );
        let done = ALLOCATED[stage].load(Ordering::SeqCst);
        let left = done - FREED[stage].load(Ordering::SeqCst);
        // The detached thread is at it: it has gone on while the profile was taken, and may have allocated one and not have
        // said so.
        let slack = match stage == Stage::Detached as usize {
            true => done - before[stage] + 2,
            false => 0,
        };
        let is_as_done =
            done > 0 && (counted - done).abs() <= slack && (counted_in_use - left).abs() <= slack;
        if !is_as_done {
            say(&format!(
                "stage {stage}: {counted} counted, {counted_in_use} in use; in truth {done}, {left}\n"
            ));
            is_exact = false;
        }
    }
    let stats = mem_stats().profiler;
    is_exact &= (stats.stale, stats.nested) == (0, 0);
    say(if is_exact { "exact\n" } else { "not exact\n" });
}

/// Lives its stage when it is dropped.
struct InDrop(Stage);

impl Drop for InDrop {
    fn drop(&mut self) {
        self.0.live();
    }
}

thread_local! {
    /// Registered by the thread's first line: destroyed last.
    static FIRST: RefCell<Option<InDrop>> = const { RefCell::new(None) };
    /// Registered after allocations, and after the other.
    static LAST: RefCell<Option<InDrop>> = const { RefCell::new(None) };
}

fn thread_locals() {
    let thread = thread::spawn(|| {
        FIRST.set(Some(InDrop(Stage::ThreadLocalFirst)));
        drop(Stage::ThreadLocalFirst.new_block());
        FREED[Stage::ThreadLocalFirst as usize].fetch_add(1, Ordering::SeqCst);
        LAST.set(Some(InDrop(Stage::ThreadLocalLast)));
    });
    thread.join().expect("no panic");
}

static KEY: AtomicUsize = AtomicUsize::new(0);
static ITERATIONS: AtomicUsize = AtomicUsize::new(0);

/// Sets its key again, so it is called as often as the C library calls destructors.
extern "C" fn key_destructor(block: *mut c_void) {
    // SAFETY: the box that was set, and set to null before this call.
    let block = unsafe { Box::from_raw(block.cast::<Block>()) };
    free(Stage::Key as usize, *block);
    Stage::Key.live();
    ITERATIONS.fetch_add(1, Ordering::SeqCst);
    set_key();
}

fn set_key() {
    let block = Box::into_raw(Box::new(Stage::Key.new_block()));
    let key = KEY.load(Ordering::SeqCst) as libc::pthread_key_t;
    // SAFETY: a key that was made and never deleted.
    assert_eq!(unsafe { libc::pthread_setspecific(key, block.cast()) }, 0);
}

fn keys() {
    let mut key = 0;
    // SAFETY: the destructor takes what `set_key` sets.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(key_destructor)) };
    assert_eq!(made, 0);
    KEY.store(key as usize, Ordering::SeqCst);
    thread::spawn(set_key).join().expect("no panic");
    // PTHREAD_DESTRUCTOR_ITERATIONS; the block that is set then is never freed.
    assert_eq!(ITERATIONS.load(Ordering::SeqCst), 4);
}

/// Whether a block is freed past the allocator, which the verdict must find out.
static IS_WRONG: AtomicBool = AtomicBool::new(false);

extern "C" fn at_exit() {
    Stage::AtExit.live();
    if IS_WRONG.load(Ordering::SeqCst) {
        let layout = Layout::from_size_align(Stage::AtExit.size(), 8).expect("a layout");
        ALLOCATED[Stage::AtExit as usize].fetch_add(1, Ordering::SeqCst);
        FREED[Stage::AtExit as usize].fetch_add(1, Ordering::SeqCst);
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { alloc(layout) });
        // SAFETY: `System` has it from `malloc`.
        unsafe { libc::free(block.cast()) };
    }
}

extern "C" fn in_static_destructor() {
    Stage::StaticDestructor.live();
}

const CC_SOURCE: &str = r#"
static void (*callback)();
struct Static { ~Static() { if (callback) callback(); } };
static Static instance;
extern "C" void set_callback(void (*to)()) { callback = to; }
"#;

/// The C++ library, or why there is none.
fn cc_library() -> Result<PathBuf, String> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, library) = (
        directory.join("static_destructor.cc"),
        directory.join("libstatic_destructor.so"),
    );
    std::fs::write(&source, CC_SOURCE).expect("a writable directory");
    let mut command = Command::new(env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    command
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    match command.output() {
        Err(error) => Err(format!("no C++ compiler: {error}")),
        Ok(output) if !output.status.success() => {
            panic!("{}", String::from_utf8_lossy(&output.stderr))
        }
        Ok(_) => Ok(library),
    }
}

fn static_destructor(library: &str) {
    let path = CString::new(library).expect("no nul");
    // SAFETY: a library of our own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "{library}");
    // SAFETY: the library of above.
    let set = unsafe { libc::dlsym(handle, c"set_callback".as_ptr()) };
    assert!(!set.is_null());
    // SAFETY: it has this type.
    let set = unsafe { mem::transmute::<*mut c_void, extern "C" fn(extern "C" fn())>(set) };
    set(in_static_destructor);
}

/// A thread that is at it when the process ends.
fn detached() {
    let is_running: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    thread::spawn(move || {
        mem::forget(Stage::Detached.new_block());
        loop {
            free(Stage::Detached as usize, Stage::Detached.new_block());
            is_running.store(true, Ordering::SeqCst);
        }
    });
    while !is_running.load(Ordering::SeqCst) {
        thread::yield_now();
    }
}

/// `main`, up to its return.
fn life(library: &str) {
    // Runs after all that is registered later.
    // SAFETY: a function that may be called at exit.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    if library.is_empty() {
        // Nothing will be counted in that stage, so something is counted here.
        Stage::StaticDestructor.live();
    } else {
        static_destructor(library);
    }
    thread_locals();
    keys();
    detached();
    // Tables or not, the profiler works at exit.
    drop(HeapProfile::capture());
}

#[test]
fn counts_are_exact_from_before_main_to_after_exit() {
    if let Some(library) = part() {
        if library == "wrong" {
            IS_WRONG.store(true, Ordering::SeqCst);
            return life("");
        }
        return life(&library);
    }
    let library = cc_library();
    if let Err(why) = &library {
        println!("C++ static destructors are left out: {why}");
    }
    let library = library.map_or(String::new(), |path| path.display().to_string());
    for _ in 0..5 {
        let outcome = run(TEST, &library, PATIENCE);
        outcome.assert_success();
        assert!(outcome.output.ends_with("exact\n"), "{}", outcome.output);
        assert!(!outcome.output.contains("not exact"), "{}", outcome.output);
    }
    // The verdict is not always the same.
    let outcome = run(TEST, "wrong", PATIENCE);
    assert!(
        outcome.output.ends_with("not exact\n"),
        "{}",
        outcome.output
    );
}
