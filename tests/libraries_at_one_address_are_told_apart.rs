//! What was sampled in a library keeps that library's names after another has taken its address, or has none: never the
//! names of the other. And stacks in the other are whole before any profile has seen it.
#![cfg(all(target_arch = "x86_64", target_env = "gnu", feature = "symbolize"))]

mod c_library;
mod child_process;
mod validator;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use c_library::{Loaded, build};
use child_process::{case, end, loader_can_be_asked, start, succeeds};
use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use validator::{Expect, Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Of the blocks that are looked for, in each round another; nothing else in the process asks for as much.
const FIRST_SIZE: usize = 9_173;
static SIZE: AtomicUsize = AtomicUsize::new(FIRST_SIZE);

/// Two of these differ in names, and in how large a frame is, but in no address.
const SOURCE: &str = "
__attribute__((noinline)) void NAME_calls(void (*call)(void *), void *with) {
    volatile char room[ROOM];
    room[0] = 1;
    call(with);
    room[1] = 1;
}
void enter(void (*call)(void *), void *with) {
    NAME_calls(call, with);
    __asm__ volatile(\"\");
}
";

fn library(name: &str, room: &str, flags: &[&str]) -> PathBuf {
    let source = SOURCE.replace("NAME", name).replace("ROOM", room);
    build(name, &source, flags)
}

/// Both, which are gone from disk when this is.
struct Libraries([PathBuf; 2]);

impl Libraries {
    fn build(flags: &[&str]) -> Self {
        // No frame pointers: the size of the frame is in the unwind data and nowhere else.
        let flags = [flags, &["-fomit-frame-pointer"]].concat();
        Self([
            library("first", "512", &flags),
            library("other", "768", &flags),
        ])
    }
}

impl Drop for Libraries {
    fn drop(&mut self) {
        for library in &self.0 {
            let _ = fs::remove_file(library);
        }
    }
}

unsafe extern "C" fn allocate(_: *mut c_void) {
    let size = SIZE.load(Ordering::Relaxed);
    drop(black_box(Vec::<u8>::with_capacity(size)));
}

type Enter = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void);

/// Allocates `times` times inside the library, and returns where its code lies.
#[inline(never)]
fn sample_in(library: &Loaded, times: usize) -> usize {
    let symbol = library.symbol(c"enter");
    // SAFETY: the library's function has this signature.
    let enter = unsafe { std::mem::transmute::<*mut c_void, Enter>(symbol) };
    for _ in 0..times {
        // SAFETY: calls back once.
        unsafe { enter(allocate, ptr::null_mut()) };
    }
    symbol.expose_provenance()
}

fn profile() -> Profile {
    let profile = HeapProfile::capture().expect("installed");
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    // What the text form makes of the same names is a matter of the same tables.
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");
    debug_pprof::set_sample_rate(0);
    let profile = assert_valid(&body, Expect::new(Kind::Heap));
    debug_pprof::set_sample_rate(1);
    profile
}

/// How many samples were taken in which library, by the name of the function that called back; of those without a name, by
/// what stands for it, without its offset.
fn counted(profile: &Profile) -> BTreeMap<String, i64> {
    let mut counted = BTreeMap::new();
    let size = SIZE.load(Ordering::Relaxed) as i64;
    for stack in profile.stacks() {
        if stack.numeric_labels.get("bytes") != Some(&size) {
            continue;
        }
        let names = stack.names();
        let at = names.iter().position(|name| name.ends_with("::allocate"));
        let caller = names[at.expect("the callback") + 1];
        // Whole: both of the library's frames, and who called it.
        assert!(stack.has("::sample_in"), "{names:?}");
        let caller = match caller {
            address if address.starts_with("0x") => "0x",
            other => other.split_once("+0x").map_or(other, |(file, _)| file),
        };
        *counted.entry(caller.to_owned()).or_default() += stack.values[0];
    }
    counted
}

fn wait_for_tables() {
    let _ = HeapProfile::capture();
    while mem_stats().profiler.unwinder != "stack-delta tables" {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Samples three times in the first library and five times in the other at its address, with what `between` does while
/// the first is loaded; then the counts.
fn take_turns(flags: &[&str], between: impl Fn()) -> BTreeMap<String, i64> {
    let libraries = Libraries::build(flags);
    let [first, other] = &libraries.0;
    // The kernel hands out the same place again unless something else has taken it.
    for round in 0..20 {
        SIZE.store(FIRST_SIZE + round, Ordering::Relaxed);
        let loaded = Loaded::open(first);
        let place = sample_in(&loaded, 3);
        between();
        drop(loaded);
        let loaded = Loaded::open(other);
        if sample_in(&loaded, 5) == place {
            return counted(&profile());
        }
    }
    panic!("never at the same address");
}

fn map<const N: usize>(expected: [(&str, i64); N]) -> BTreeMap<String, i64> {
    expected
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

/// In a child.
fn child(case: &str) {
    let nothing = || ();
    let seen = || drop(profile());
    let with_id: &[&str] = &["-Wl,--build-id=sha1"];
    match case {
        // A profile was taken while the first was there: it keeps its names.
        "seen" => {
            let counted = take_turns(with_id, seen);
            assert_eq!(counted, map([("first_calls", 3), ("other_calls", 5)]));
        }
        // By tables: the first has one, and the other has none and must not be walked by it.
        "seen, with tables" => {
            wait_for_tables();
            let with_tables = || {
                seen();
                // The tables of what was loaded since are made on a thread of the profiler's.
                thread::sleep(Duration::from_millis(100));
            };
            let counted = take_turns(with_id, with_tables);
            assert_eq!(counted, map([("first_calls", 3), ("other_calls", 5)]));
        }
        // None was: what is not known has no name, and no file either.
        "not seen" => {
            let counted = take_turns(with_id, nothing);
            assert_eq!(counted, map([("0x", 3), ("other_calls", 5)]));
        }
        "not seen, with tables" => {
            wait_for_tables();
            let counted = take_turns(with_id, nothing);
            assert_eq!(counted, map([("0x", 3), ("other_calls", 5)]));
        }
        // Nothing tells the one from the other, so neither has names once something was unloaded.
        "without build ids" => {
            let counted = take_turns(&["-Wl,--build-id=none"], seen);
            assert_eq!(counted, map([("0x", 8)]));
        }
        // They say that they are the same: what is then said is wrong, and this test would see it.
        "with one build id" => {
            let counted = take_turns(&["-Wl,--build-id=0x5eed5eed"], seen);
            assert_eq!(counted, map([("first_calls", 3), ("other_calls", 5)]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn libraries_at_one_address_are_told_apart() {
    const TEST: &str = "libraries_at_one_address_are_told_apart";
    if let Some(case) = case() {
        return child(&case);
    }
    if !loader_can_be_asked() {
        return;
    }
    for case in [
        "seen",
        "seen, with tables",
        "not seen",
        "not seen, with tables",
        "without build ids",
    ] {
        succeeds(TEST, case);
    }
    let confused = end(start(TEST, "with one build id"));
    assert!(!confused.success());
}
