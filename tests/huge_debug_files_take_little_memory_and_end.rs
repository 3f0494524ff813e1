//! Debug information that is a gigabyte of nothing, or of units without end, costs a profile neither the program's memory
//! nor its life, and names are right or absent.
#![cfg(all(target_arch = "x86_64", target_env = "gnu", feature = "symbolize"))]

mod c_library;
mod child_process;
mod validator;

use std::ffi::c_void;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use c_library::{Loaded, build};
use child_process::{case, succeeds, times};
use debug_pprof::{HeapProfile, ProfiledAllocator};
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Of the blocks that are looked for; nothing else in the process asks for as much.
const SIZE: usize = 8_737;

/// What the symbolizer may take of the program's memory, a profile of a debug build included.
const BUDGET: usize = 40 << 20;

const SOURCE: &str = "
__attribute__((noinline)) void right_name(void (*call)(void *), void *with) {
    call(with);
    __asm__ volatile(\"\");
}
void enter(void (*call)(void *), void *with) { right_name(call, with); __asm__ volatile(\"\"); }
";

unsafe extern "C" fn allocate(_: *mut c_void) {
    drop(black_box(Vec::<u8>::with_capacity(black_box(SIZE))));
}

fn sample_in(library: &Loaded) {
    type Enter = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void);
    // SAFETY: the library's function has this signature.
    let enter = unsafe { std::mem::transmute::<*mut c_void, Enter>(library.symbol(c"enter")) };
    // SAFETY: calls back once.
    unsafe { enter(allocate, ptr::null_mut()) };
}

/// Where a section's header is in an ELF file.
fn section(file: &[u8], name: &str) -> Option<usize> {
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().expect("8")) as usize;
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4")) as usize;
    let u16_at = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().expect("2")) as usize;
    let header = |nth: usize| u64_at(0x28) + 64 * nth;
    let names = u64_at(header(u16_at(0x3e)) + 0x18);
    (0..u16_at(0x3c)).map(header).find(|at| {
        let start = names + u32_at(*at);
        file[start..].starts_with(&[name.as_bytes(), b"\0"].concat())
    })
}

/// Writes a copy of the library in `original`, in which the section's contents are `len` bytes behind all others: zeroes
/// that take no room on disk, or what `filling` makes of numbers from 1 on.
fn with_huge_section(
    original: &[u8],
    name: &str,
    len: usize,
    filling: Option<fn(u32) -> Vec<u8>>,
    to: &Path,
) {
    let mut file = original.to_vec();
    let header = section(&file, name).expect("it has the section");
    let end = file.len().next_multiple_of(8);
    file[header + 0x18..header + 0x20].copy_from_slice(&(end as u64).to_le_bytes());
    file[header + 0x20..header + 0x28].copy_from_slice(&(len as u64).to_le_bytes());
    let mut out = File::create(to).expect("a file of this process's");
    out.write_all(&file).expect("room on disk");
    out.set_len((end + len) as u64).expect("a sparse file");
    let Some(filling) = filling else { return };
    out.seek(SeekFrom::Start(end as u64)).expect("a file");
    let mut out = BufWriter::new(out);
    let parts = len / filling(1).len();
    for nth in 1..=parts as u32 {
        out.write_all(&filling(nth)).expect("room on disk");
    }
    out.flush().expect("room on disk");
}

/// A unit of 11 bytes: length, version 4, abbreviations at 0, addresses of 8 bytes.
fn empty_unit(_: u32) -> Vec<u8> {
    vec![7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8]
}

/// An abbreviation of 8 bytes: its number in 4, a unit without children or attributes.
fn abbreviation(nth: u32) -> Vec<u8> {
    let number = [0, 7, 14, 21].map(|shift| (nth >> shift) as u8 & 0x7f | 0x80);
    let [a, b, c, d] = number;
    vec![a, b, c, d & 0x7f, 0x11, 0, 0, 0]
}

/// Anonymous memory of this process, in bytes.
fn anonymous() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kib
        .expect("a number")
        .trim()
        .parse::<usize>()
        .expect("a number")
}

/// The most anonymous memory while `work` runs, above what there was before.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = anonymous();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous());
                thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let most = watch.join().expect("the watch");
        (result, most.saturating_sub(before))
    })
}

/// Profiles an allocation in a library whose file is replaced, after it was loaded, by one with the same build id whose
/// `section` is huge.
fn child(section: &str) {
    let name = format!("huge{}", section.replace(['.', '_', ' '], "-"));
    let library = build(&name, SOURCE, &["-gdwarf-4", "-Wl,--build-id=sha1"]);
    let original = fs::read(&library).expect("it was built");
    let loaded = Loaded::open(&library);
    let hostile = library.with_extension("hostile");
    debug_pprof::set_sample_rate(0);
    match section {
        ".debug_info units" => {
            let len = times(32 << 20, 256 << 20);
            with_huge_section(&original, ".debug_info", len, Some(empty_unit), &hostile);
        }
        ".debug_abbrev entries" => {
            let len = times(16 << 20, 256 << 20);
            with_huge_section(
                &original,
                ".debug_abbrev",
                len,
                Some(abbreviation),
                &hostile,
            );
        }
        section => {
            let len = times(64 << 20, 1 << 30);
            with_huge_section(&original, section, len, None, &hostile);
        }
    }
    debug_pprof::set_sample_rate(1);
    fs::rename(&hostile, &library).expect("the library");
    // What the program itself takes is not what this is about.
    let write = || {
        let profile = HeapProfile::capture().expect("installed");
        let mut body = Vec::new();
        profile.write_pprof(&mut body).expect("a vector takes all");
        body
    };
    drop(write());
    sample_in(&loaded);
    let (body, peak) = peak(write);
    debug_pprof::set_sample_rate(0);
    let profile = assert_valid(&body, Expect::new(Kind::Heap).period(1));
    println!("{section}: {} KiB", peak >> 10);
    assert!(peak <= BUDGET, "{section}: {peak} bytes");
    let stacks = profile.stacks();
    let of_size =
        |stack: &&validator::Stack| stack.numeric_labels.get("bytes") == Some(&(SIZE as i64));
    let names = stacks.iter().find(of_size).expect("was sampled").names();
    let at = names
        .iter()
        .position(|name| name.ends_with("::allocate"))
        .expect("the callback");
    let file = library
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    for (name, right) in names[at + 1..].iter().zip(["right_name", "enter"]) {
        assert!(
            *name == right || name.starts_with(&format!("{file}+0x")),
            "{names:?}"
        );
    }
    let _ = fs::remove_file(library);
}

#[test]
fn huge_debug_files_take_little_memory_and_end() {
    if let Some(case) = case() {
        return child(&case);
    }
    for section in [
        ".debug_info",
        ".debug_abbrev",
        ".debug_line",
        ".debug_str",
        ".symtab",
        ".strtab",
        ".debug_info units",
        ".debug_abbrev entries",
    ] {
        succeeds("huge_debug_files_take_little_memory_and_end", section);
    }
}
