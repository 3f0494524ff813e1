//! The symbolizer against the `backtrace` crate's, frame by frame: in this test's own binary, and in libraries as
//! compilers and linkers make them.

use std::collections::BTreeMap;
use std::sync::Arc;

use object::read::elf::ElfFile64;
use object::{NativeEndian, Object, ObjectSymbol, SymbolKind};

use super::super::image::{self, Image};
use super::super::{Depth, Found};
use super::builds::{C, C_BUILDS, RUST, RUST_BUILDS, build, load};
use super::ours;
use crate::profile::mappings::{Mapping, Mappings};
use crate::stack::ReturnAddress;

/// Addresses that are compared in each file.
const ADDRESSES: usize = 3_000;

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
            said: None,
        });
    });
    lines
}

/// Addresses all over a mapping.
fn spread(mapping: &Arc<Mapping>) -> Vec<(ReturnAddress, &Arc<Mapping>)> {
    let step = ((mapping.limit - mapping.start) / ADDRESSES).max(1);
    (mapping.start + 1..mapping.limit)
        .step_by(step)
        .map(|address| (ReturnAddress(address), mapping))
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
        let map = image::open(mapping).unwrap();
        let image = Image::parse(map.bytes()).unwrap();
        let debug_file = image::open_debug_file(&image);
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
