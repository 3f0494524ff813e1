//! A frame's name is the right one or `binary+0xoffset`, never another: as built, without debug information, without
//! symbols, and when the file is no longer the one that runs.
#![cfg(target_os = "linux")]

mod example_binary;
mod http_client;
mod leaky_service;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use example_binary::Build;
use http_client::validator::{Expect, Kind, Profile};
use leaky_service::{CACHE_BYTES, Config, LeakyService, NAME, PREVIEWS_BYTES, executable};
use rustc_demangle::demangle;

/// Each leak, largest first, and what stays alive of it.
const LEAKS: [(&str, i64); 2] = [
    ("leaky_service::cache::remember", CACHE_BYTES),
    ("leaky_service::previews::keep_slice", PREVIEWS_BYTES),
];

const CONFIG: Config = Config::exact(Build::Release);

/// What the unstripped executable says of itself, read by binutils.
struct Truth {
    symbols: Vec<Symbol>,
    /// Where its code begins in its own addresses, rounded down to the page that is mapped.
    code_start: u64,
    build_id: String,
}

#[derive(Debug)]
struct Symbol {
    start: u64,
    limit: u64,
    name: String,
}

fn output(tool: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(tool).args(args).arg(file).output();
    let output = output.unwrap_or_else(|e| panic!("{tool}, of binutils: {e}"));
    assert!(output.status.success(), "{tool} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn hex(digits: &str) -> u64 {
    let digits = digits.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap_or_else(|e| panic!("{digits:?}: {e}"))
}

impl Truth {
    fn read(file: &Path) -> Truth {
        let symbols = output("nm", &["-n", "--print-size", "--defined-only"], file);
        let symbols = symbols.lines().filter_map(Symbol::parse).collect();
        let headers = output("readelf", &["--segments", "--wide"], file);
        let code = headers
            .lines()
            .find(|line| line.trim_start().starts_with("LOAD") && line.contains(" R E "));
        let code_start = code.and_then(|line| line.split_whitespace().nth(2));
        let notes = output("readelf", &["--notes"], file);
        let build_id = notes
            .lines()
            .find_map(|line| line.split("Build ID: ").nth(1));
        Truth {
            symbols,
            code_start: hex(code_start.expect("a segment of code")) & !0xfff,
            build_id: build_id.expect("a build id").trim().to_owned(),
        }
    }

    /// The functions that contain this address: several, if they were found to be the same and merged.
    fn names(&self, address: u64) -> Vec<&str> {
        let contain = self
            .symbols
            .iter()
            .filter(|symbol| (symbol.start..symbol.limit).contains(&address));
        contain.map(|symbol| symbol.name.as_str()).collect()
    }

    /// The name itself, or of `leaky_service+0xoffset` that of the function there.
    fn translate(&self, name: &str) -> String {
        match name.split_once("+0x") {
            Some((NAME, offset)) => self.names(hex(offset)).concat(),
            _ => name.to_owned(),
        }
    }
}

impl Symbol {
    /// `000000000004abf0 0000000000000476 t _ZN13leaky_service5cache8remember17h00b149504ff4180bE`; None without size.
    fn parse(line: &str) -> Option<Symbol> {
        let mut fields = line.split_whitespace();
        let (start, size, kind, name) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let start = hex(start);
        matches!(kind, "t" | "T" | "w" | "W").then(|| Symbol {
            start,
            limit: start + hex(size),
            name: format!("{:#}", demangle(name)),
        })
    }
}

/// The executable as built.
fn original() -> (PathBuf, Truth) {
    let file = executable(Build::Release);
    let truth = Truth::read(&file);
    (file, truth)
}

/// The executable, copied where it can be changed, under its own name.
fn copy(directory: &str, of: &Path) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("names")
        .join(directory);
    fs::create_dir_all(&directory).expect("cargo's test directory is writable");
    let copy = directory.join(NAME);
    // A new file instead of new contents: an earlier run's may still be running.
    let _ = fs::remove_file(&copy);
    fs::copy(of, &copy).expect("a copy");
    copy
}

/// How many frames of the main binary have a name, and how many have none.
#[derive(Debug)]
struct Frames {
    named: usize,
    absent: usize,
    with_file: usize,
}

/// Fetches a profile with all leaks in it, and compares each frame of the main binary with the truth.
fn right_or_absent(service: &LeakyService, truth: &Truth) -> (Profile, Frames) {
    service.wait_until_full();
    let expect = Expect::new(Kind::Heap).period(1);
    let (_, profile) = service.profile("heap", expect);
    assert_eq!(profile.main_binary(), Some((NAME, truth.build_id.as_str())));
    let main = &profile.proto.mapping[0];
    let mut frames = Frames {
        named: 0,
        absent: 0,
        with_file: 0,
    };
    for location in &profile.proto.location {
        if location.mapping_id != main.id {
            continue;
        }
        let address = location.address - main.memory_start + truth.code_start;
        let lines = profile.frames(location);
        // What others are inlined into: the function of the symbol table.
        let outermost = lines.last().expect("the validator found a line");
        if outermost.name == format!("{NAME}+{address:#x}") {
            assert_eq!((lines.len(), outermost.file.as_str()), (1, ""), "{lines:?}");
            frames.absent += 1;
        } else {
            let names = truth.names(address);
            assert!(
                names.contains(&outermost.name.as_str()),
                "{outermost:?} is in {names:?}"
            );
            frames.named += 1;
        }
        frames.with_file += lines.iter().filter(|line| !line.file.is_empty()).count();
    }
    (profile, frames)
}

/// The leaks lead by what is in use, and all that leaked is at the function that leaks it.
fn assert_leaks_lead(profile: &Profile, truth: &Truth) {
    let mut flat: BTreeMap<String, i64> = BTreeMap::new();
    for (name, value) in profile.by_leaf_function("inuse_space") {
        *flat.entry(truth.translate(&name)).or_default() += value;
    }
    let mut flat: Vec<_> = flat.into_iter().collect();
    flat.sort_by_key(|(_, value)| -value);
    for ((name, value), (leak, bytes)) in flat.iter().zip(LEAKS) {
        assert_eq!(name, leak, "{flat:#?}");
        // The tables that hold the blocks come on top: a twentieth at most.
        assert!(
            (bytes..bytes + bytes / 20).contains(value),
            "{leak} leaks {bytes}: {flat:#?}"
        );
    }
}

#[test]
fn as_built_everything_is_there() {
    let (original, truth) = original();
    let service = LeakyService::start_executable(original, &CONFIG);
    let (profile, frames) = right_or_absent(&service, &truth);
    assert_leaks_lead(&profile, &truth);
    assert!(
        frames.named > 20 && frames.with_file >= frames.named,
        "{frames:?}"
    );
    let stacks = profile.stacks();
    let stack = stacks
        .iter()
        .find(|stack| stack.names().first() == Some(&LEAKS[0].0))
        .expect("a stack of the leak");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/leaky_service/cache.rs"
    );
    let leaf = &stack.frames[0];
    assert_eq!(leaf.file, source);
    let lines = fs::read_to_string(source).expect("the source");
    let line = lines
        .lines()
        .nth(leaf.line as usize - 1)
        .unwrap_or_default();
    assert!(line.contains("pages.insert"), "{leaf:?} is {line:?}");
    // Inlined into one another: frames of the same address.
    assert!(
        stack
            .frames
            .windows(2)
            .any(|two| two[0].address == two[1].address),
        "{stack:#?}"
    );
}

#[test]
fn without_debug_information_names_come_from_the_symbol_table() {
    let (original, truth) = original();
    let stripped = copy("strip-debug", &original);
    output("strip", &["--strip-debug"], &stripped);
    let service = LeakyService::start_executable(stripped, &CONFIG);
    let (profile, frames) = right_or_absent(&service, &truth);
    assert_leaks_lead(&profile, &truth);
    assert!(
        LEAKS
            .iter()
            .all(|(leak, _)| profile.function_names().contains(leak))
    );
    assert!(frames.named > 20 && frames.with_file == 0, "{frames:?}");
}

#[test]
fn without_symbols_every_frame_is_an_offset() {
    let (original, truth) = original();
    let stripped = copy("strip", &original);
    output("strip", &[], &stripped);
    let service = LeakyService::start_executable(stripped, &CONFIG);
    let (profile, frames) = right_or_absent(&service, &truth);
    assert_leaks_lead(&profile, &truth);
    assert!(frames.absent > 20 && frames.named == 0, "{frames:?}");
}

#[test]
fn a_deleted_executable_is_not_misread() {
    let (original, truth) = original();
    let deleted = copy("deleted", &original);
    let service = LeakyService::start_executable(deleted.clone(), &CONFIG);
    fs::remove_file(deleted).expect("the copy");
    let (profile, _) = right_or_absent(&service, &truth);
    assert_leaks_lead(&profile, &truth);
}

/// A deployment puts the next version at the path of the one that runs.
#[test]
fn a_replaced_executable_is_not_misread() {
    let (original, truth) = original();
    let replaced = copy("replaced", &original);
    let next = copy("next", &executable(Build::Debug));
    let service = LeakyService::start_executable(replaced.clone(), &CONFIG);
    fs::rename(next, replaced).expect("replaced");
    let (profile, _) = right_or_absent(&service, &truth);
    assert_leaks_lead(&profile, &truth);
}
