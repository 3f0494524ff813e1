//! The symbolizer against the `backtrace` crate's, frame by frame: in this test's own binary, and in libraries as
//! compilers and linkers make them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use object::read::elf::ElfFile64;
use object::{NativeEndian, Object, ObjectSymbol, SymbolKind};

use super::{Depth, Found, look_up};
use crate::profile::mappings::{Mapping, Mappings};
use crate::stack::ReturnAddress;

/// Addresses that are compared in each file.
const ADDRESSES: usize = 3_000;

/// Generic, inlined, nested, in several modules.
const RUST: &str = r#"
use std::collections::{BTreeMap, HashMap};
pub mod deep { pub mod er {
    #[inline(always)] pub fn third<T: Clone>(v: &[T], n: usize) -> Vec<T> { v.iter().cycle().take(n).cloned().collect() }
    #[inline] pub fn second<T: Clone + Ord>(v: &[T]) -> Vec<T> { let mut v = third(v, v.len() * 2); v.sort(); v }
} }
pub trait Shape { fn area(&self) -> f64; fn name(&self) -> String { format!("{:.1}", self.area()) } }
struct Square(f64);
struct Circle<T>(T);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }
impl<T: Into<f64> + Copy> Shape for Circle<T> { fn area(&self) -> f64 { self.0.into() * 3.14 } }
#[unsafe(no_mangle)] pub extern "C" fn NAME(n: usize) -> usize {
    let mut map: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for i in 0..n { map.entry(format!("{}", i % 7)).or_default().push(i as u32); }
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Square(2.0)), Box::new(Circle(1.5f32)), Box::new(Circle(3u8))];
    let names: HashMap<String, usize> = shapes.iter().map(|s| (s.name(), n)).collect();
    map.values().map(|v| deep::er::second(v).len()).sum::<usize>() + names.len()
}
"#;

const C: &str = r#"
static inline __attribute__((always_inline)) int inner(int n) { int s = 0; for (int i = 0; i < n; i++) s += i ^ (s << 1); return s; }
static __attribute__((noinline)) int middle(int n) { return inner(n) + inner(n / 2); }
__attribute__((noinline, cold)) int apart(int n) { return middle(n) * 3; }
int NAME(int n) { return n > 10 ? apart(n) : middle(n) + inner(3); }
"#;

/// Builds of the same source: what is between a compiler's debug information and a reader.
const RUST_BUILDS: [(&str, &[&str]); 12] = [
    ("debug", &["-Cdebuginfo=2"]),
    ("limited", &["-Copt-level=3", "-Cdebuginfo=1"]),
    ("full", &["-Copt-level=2", "-Cdebuginfo=2"]),
    (
        "small",
        &["-Copt-level=z", "-Cdebuginfo=2", "-Cpanic=abort"],
    ),
    ("lines", &["-Copt-level=2", "-Cdebuginfo=line-tables-only"]),
    ("none", &["-Copt-level=2", "-Cdebuginfo=0"]),
    (
        "v0",
        &[
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Csymbol-mangling-version=v0",
        ],
    ),
    (
        "dwarf5",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cdwarf-version=5"],
    ),
    ("fat", &["-Copt-level=3", "-Cdebuginfo=2", "-Clto=fat"]),
    (
        "one-unit",
        &[
            "-Copt-level=3",
            "-Cdebuginfo=1",
            "-Ccodegen-units=1",
            "-Clto=thin",
        ],
    ),
    (
        "compressed",
        &[
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Clink-arg=-Wl,--compress-debug-sections=zlib",
        ],
    ),
    (
        "stripped",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cstrip=symbols"],
    ),
];

const C_BUILDS: [(&str, &[&str]); 5] = [
    ("c-dwarf4", &["-O2", "-g", "-gdwarf-4"]),
    ("c-dwarf5", &["-O2", "-g", "-gdwarf-5"]),
    ("c-compressed", &["-O2", "-g", "-gz"]),
    ("c-lto", &["-O2", "-g", "-flto"]),
    ("c-no-id", &["-O1", "-g", "-Wl,--build-id=none"]),
];

fn directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().unwrap().join("symbolizer-oracle");
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn build(name: &str, compiler: &str, suffix: &str, source: &str, flags: &[&str]) -> PathBuf {
    let directory = directory();
    let file = directory.join(format!("{name}.{suffix}"));
    let library = directory.join(format!("lib{name}.so"));
    fs::write(
        &file,
        source.replace("NAME", &format!("entry_{}", name.replace('-', "_"))),
    )
    .unwrap();
    let mut command = Command::new(compiler);
    command.args(flags).arg("-o").arg(&library).arg(&file);
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    assert!(output.status.success(), "{name}: {output:?}");
    library
}

fn load(library: &Path) {
    let path = CString::new(library.as_os_str().as_bytes()).unwrap();
    // SAFETY: a library that was just built; it has no constructors of its own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "{library:?}");
}

/// What `backtrace` finds, innermost first.
fn oracle(address: ReturnAddress) -> Vec<Found> {
    let mut lines = Vec::new();
    backtrace::resolve(address.0 as *mut _, |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol.filename().map(|path| path.to_string_lossy());
        lines.push(Found {
            function: format!("{name:#}"),
            file: file.unwrap_or_default().into_owned(),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    lines
}

fn ours(addresses: &[(ReturnAddress, Arc<Mapping>)], headroom: u64) -> Vec<(Vec<Found>, Depth)> {
    let mut all = vec![(Vec::new(), Depth::DebugInfo); addresses.len()];
    look_up(addresses, headroom, &mut |nth, found, depth| {
        assert!(all[nth].0.is_empty());
        all[nth] = (found, depth);
    });
    all
}

/// Addresses all over a mapping.
fn spread(mapping: &Arc<Mapping>) -> Vec<(ReturnAddress, Arc<Mapping>)> {
    let step = ((mapping.limit - mapping.start) / ADDRESSES).max(1);
    (mapping.start + 1..mapping.limit)
        .step_by(step)
        .map(|address| (ReturnAddress(address), mapping.clone()))
        .collect()
}

#[test]
fn names_files_and_lines_are_those_of_backtrace() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    for (name, flags) in RUST_BUILDS {
        let all = [&["--edition=2024", "--crate-type=cdylib"], flags].concat();
        load(&build(name, &rustc, "rs", RUST, &all));
    }
    for (name, flags) in C_BUILDS {
        load(&build(
            name,
            "cc",
            "c",
            C,
            &[&["-shared", "-fPIC"], flags].concat(),
        ));
    }
    let mappings = Mappings::read();
    for mapping in mappings.iter().filter(|mapping| mapping.has_file()) {
        let addresses = spread(mapping);
        let found = ours(&addresses, u64::MAX);
        let symbols = Symbols::of(mapping);
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        for ((address, _), (ours, depth)) in addresses.iter().zip(&found) {
            let theirs = oracle(*address);
            let at = mapping.file_address(address.call()) as u64;
            let kind = Kind::of(ours, &theirs, &symbols, at);
            assert_eq!(*depth, Depth::DebugInfo);
            assert_ne!(
                kind,
                Kind::Unexplained,
                "{}: {at:#x}\n{ours:#?}\n{theirs:#?}",
                mapping.path
            );
            *kinds.entry(kind).or_default() += 1;
        }
        println!("{}: {kinds:?}", mapping.file);
    }
}

/// How two answers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Same,
    BothNone,
    /// `backtrace` counts the byte behind a function as the function's, and takes symbols of data, and of no kind or
    /// length, for functions. Here a name is right or absent.
    NotInside,
    /// Two symbols of one function, and no debug information that says more.
    Alias,
    Unexplained,
}

impl Kind {
    fn of(ours: &[Found], theirs: &[Found], symbols: &Symbols, address: u64) -> Kind {
        let is_inside = |found: &Found| symbols.inside(address).contains(&found.function);
        match (ours, theirs) {
            ([], []) => Kind::BothNone,
            _ if ours == theirs => Kind::Same,
            ([], [theirs]) if !is_inside(theirs) && symbols.has(&theirs.function) => {
                Kind::NotInside
            }
            ([ours], [theirs])
                if (&ours.file, ours.line) == (&theirs.file, theirs.line)
                    && is_inside(ours)
                    && symbols.has(&theirs.function) =>
            {
                Kind::Alias
            }
            _ => Kind::Unexplained,
        }
    }
}

/// A naive reading of a file's symbol tables.
struct Symbols(Vec<(u64, u64, String, bool)>);

impl Symbols {
    fn of(mapping: &Mapping) -> Symbols {
        let map = super::image::open(mapping).unwrap();
        let image = super::image::Image::parse(map.bytes()).unwrap();
        let debug_file = super::image::open_debug_file(&image);
        let mut all = Vec::new();
        for data in [Some(&map), debug_file.as_ref()].into_iter().flatten() {
            let file = ElfFile64::<NativeEndian>::parse(data.bytes()).unwrap();
            for symbol in file.symbols().chain(file.dynamic_symbols()) {
                let name = String::from_utf8_lossy(symbol.name_bytes().unwrap());
                let name = format!("{:#}", rustc_demangle::demangle(&name));
                let (start, end) = (symbol.address(), symbol.address() + symbol.size());
                all.push((start, end, name, symbol.kind() == SymbolKind::Text));
            }
        }
        Symbols(all)
    }

    /// Functions that hold an address.
    fn inside(&self, address: u64) -> Vec<String> {
        let is_inside = |(start, end, _, is_text): &&(u64, u64, String, bool)| {
            *is_text && (*start..*end).contains(&address)
        };
        let inside = self.0.iter().filter(is_inside);
        inside.map(|(_, _, name, _)| name.clone()).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(_, _, known, _)| known == name)
    }
}

/// With little memory left, names come from the symbol table, and say so.
#[test]
fn without_headroom_names_come_from_the_symbol_table() {
    let mappings = Mappings::read();
    let here = Kind::of as *const () as usize;
    let mapping = mappings.find(here).unwrap().1.clone();
    let address = [(ReturnAddress(here + 1), mapping)];
    let [(short, depth)] = &ours(&address, 1 << 20)[..] else {
        panic!("one answer");
    };
    assert_eq!(*depth, Depth::SymbolTable);
    assert!(
        short[0].function.ends_with("::Kind::of"),
        "{short:?}"
    );
    assert_eq!((short[0].file.as_str(), short[0].line), ("", 0));
    let [(full, depth)] = &ours(&address, u64::MAX)[..] else {
        panic!("one answer");
    };
    assert_eq!(*depth, Depth::DebugInfo);
    assert!(full[0].file.ends_with("symbolizer/tests.rs"), "{full:?}");
}
