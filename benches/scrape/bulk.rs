//! A library with as much debug information as is asked for, and functions that call one another along any path.

use std::ffi::{CString, c_int, c_void};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) type Leaf = extern "C" fn();

/// Places in each function that call the next one.
pub(crate) const SITES: usize = 4;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Functions that a path may lead through; it names a function and a place in it by one number.
    pub(crate) functions: usize,
    /// Types for which Rust's collections are instantiated: about 1 MB of debug information each.
    pub(crate) types: usize,
}

fn name(size: Size) -> String {
    format!("bulk_{}_{}", size.functions, size.types)
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("scrape")
}

/// Where `build` puts it.
pub(crate) fn library(size: Size) -> PathBuf {
    directory().join(format!("lib{}.so", name(size)))
}

/// Builds the library with `rustc`, at the first run; kept under target/. Takes memory by the megabyte: not for a process
/// whose memory is to be measured.
pub(crate) fn build(size: Size) -> PathBuf {
    let (target, name, library) = (directory(), name(size), library(size));
    fs::create_dir_all(&target).expect("cargo's directory is writable");
    let source = target.join(format!("{name}.rs"));
    let text = source_of(size);
    // Kept for this very source.
    if fs::read_to_string(&source).is_ok_and(|known| known == text) && library.exists() {
        return library;
    }
    eprintln!("building {name}, once: a minute for every 50 types");
    let _ = fs::remove_file(&source);
    let next = target.join(format!("{name}.next.rs"));
    fs::write(&next, &text).expect("written");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let status = Command::new(rustc)
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "-Copt-level=1",
            "-Cdebuginfo=2",
        ])
        .args(["-Ccodegen-units=64", "--crate-name", &name, "-o"])
        .args([&library, &next])
        .status();
    assert!(status.expect("rustc runs").success());
    fs::rename(next, source).expect("renamed");
    library
}

fn source_of(size: Size) -> String {
    let mut text = String::from(
        "#![allow(warnings)]\n\
         use std::collections::*;\n\
         use std::{fmt::Debug, hash::Hash, hint::black_box};\n\
         pub type Leaf = extern \"C\" fn();\n\
         fn bulk<K: Ord + Clone + Hash + Debug + Default>(n: usize) -> usize {\n\
         let mut map = BTreeMap::new();\n\
         for i in 0..n { map.insert((i, K::default()), vec![K::default()]); }\n\
         let mut hash: HashMap<K, Vec<K>> = HashMap::new();\n\
         hash.entry(K::default()).or_default().push(K::default());\n\
         let mut v: Vec<(K, usize)> = map.iter().map(|((i, k), v)| (v[0].clone(), i + 1)).collect();\n\
         v.sort(); v.dedup();\n\
         let deque: VecDeque<_> = v.iter().cloned().filter(|x| x.1 > 2).collect();\n\
         let heap: BinaryHeap<_> = deque.into_iter().collect();\n\
         map.remove(&(3, K::default()));\n\
         format!(\"{:?}{:?}\", heap.into_sorted_vec(), hash).len() + map.len() }\n\
         #[inline(always)] fn call(path: &[u32], at: usize, leaf: Leaf) -> usize { match path.get(at) {\n\
         Some(next) => ALL[*next as usize / 4](path, at + 1, leaf), None => { leaf(); black_box(1) } } }\n\
         #[inline(always)] fn site(path: &[u32], at: usize) -> u32 { path[at - 1] % 4 }\n",
    );
    // Writing to a String cannot fail.
    for nth in 0..size.types {
        let _ = writeln!(
            text,
            "#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)] \
             pub struct Key{nth}(u64, [u8; {}], String);",
            nth % 30 + 1
        );
    }
    for nth in 0..size.functions {
        let key = nth % size.types;
        let sites: String = (0..SITES)
            .map(|site| format!("{site} => black_box(call(path, at, leaf)) + {site}, "))
            .collect();
        let _ = writeln!(
            text,
            "#[inline(never)] fn handle_request_{nth}(path: &[u32], at: usize, leaf: Leaf) -> usize {{ \
             let n = match site(path, at) {{ {sites} _ => 0 }}; \
             n + {nth} + if black_box(false) {{ bulk::<Key{key}>(n) }} else {{ 0 }} }}"
        );
    }
    let all: Vec<String> = (0..size.functions)
        .map(|nth| format!("handle_request_{nth}"))
        .collect();
    let _ = writeln!(
        text,
        "static ALL: [fn(&[u32], usize, Leaf) -> usize; {}] = [{}];\n\
         #[unsafe(no_mangle)] pub extern \"C\" fn run(path: *const u32, len: usize, leaf: Leaf) -> usize {{\n\
         call(unsafe {{ std::slice::from_raw_parts(path, len) }}, 0, leaf) }}",
        size.functions,
        all.join(", ")
    );
    text
}

/// A loaded library.
#[derive(Debug)]
pub(crate) struct Bulk(Run);

type Run = extern "C" fn(*const u32, usize, Leaf) -> usize;

unsafe extern "C" {
    fn dlopen(path: *const std::ffi::c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const std::ffi::c_char) -> *mut c_void;
}

impl Bulk {
    pub(crate) fn load(library: &Path) -> Self {
        const NOW: c_int = 2;
        let path = CString::new(library.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: a library that `build` has made, without constructors.
        let library = unsafe { dlopen(path.as_ptr(), NOW) };
        assert!(!library.is_null(), "{path:?} loads");
        // SAFETY: the name ends with NUL.
        let run = unsafe { dlsym(library, c"run".as_ptr()) };
        assert!(!run.is_null());
        // SAFETY: `source_of` defines `run` with this signature, and the library is never unloaded.
        Self(unsafe { std::mem::transmute::<*mut c_void, Run>(run) })
    }

    /// Calls `leaf` below the functions that `path` names.
    pub(crate) fn run(&self, path: &[u32], leaf: Leaf) {
        (self.0)(path.as_ptr(), path.len(), leaf);
    }
}
