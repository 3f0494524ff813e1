//! The names of the addresses in one file.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{Unit, UnitOffset, UnitRef};
use rustc_demangle::try_demangle;

use super::effort::Effort;
use super::functions::{self, Level};
use super::image::Image;
use super::lines::{self, Place};
use super::names::Names;
use super::ranges::{CodeRanges, Wanted, within};
use super::sections::{Bytes, Decompressed, decompressed_len, dwarf};
use super::units::Units;
use super::{Depth, Found, symbol_table};
use crate::profile::types::{self, Said};

/// Bytes of memory that a file's debug information takes beside what it is decompressed to: tables of one unit at a
/// time, and the answers. 6 MB were seen with 5 000 addresses in a binary of 100 MB.
const WORKING: u64 = 16 << 20;

/// Finds what `image` says about `wanted`, sorted by address. Calls `found` once for each that has a name.
pub(super) fn look_up(
    image: &Image<'_>,
    wanted: &[Wanted],
    headroom: u64,
    effort: &mut Effort,
    found: &mut dyn FnMut(usize, Vec<Found>, Depth),
) {
    // Twice what is needed must be free: others allocate meanwhile.
    let needed = decompressed_len(image).map(|len| WORKING.saturating_add(len));
    let has_room = needed.map(|needed| needed <= headroom / 2);
    let mut search = Search {
        wanted,
        code: image.code(),
        is_named: vec![false; wanted.len()],
        places: HashMap::new(),
    };
    if has_room == Some(true) {
        let decompressed = Decompressed::of(image);
        let mut units = Units::new(dwarf(image, &decompressed), effort);
        search.units(&mut units, effort, found);
    }
    let depth = if has_room == Some(false) || effort.is_spent() {
        Depth::SymbolTable
    } else {
        Depth::DebugInfo
    };
    search.symbols(image, depth, found);
}

struct Search<'a> {
    wanted: &'a [Wanted],
    code: Vec<Range<u64>>,
    /// Of each that is wanted, whether it was found.
    is_named: Vec<bool>,
    /// Files and lines of those for which a unit knows no function: assembly.
    places: HashMap<usize, (String, u32)>,
}

impl Search<'_> {
    fn units(
        &mut self,
        units: &mut Units<'_>,
        effort: &mut Effort,
        found: &mut dyn FnMut(usize, Vec<Found>, Depth),
    ) {
        for nth in 0..units.len() {
            // Reading a unit is a large step.
            if effort.is_spent() {
                return;
            }
            let Some(unit) = units.read(nth) else {
                continue;
            };
            let inside = self.inside(unit.unit_ref(units.dwarf()), effort);
            if !inside.is_empty() {
                self.unit(&unit, &inside, units, effort, found);
            }
        }
    }

    /// Which addresses the unit says it holds, without those that are named.
    fn inside(&self, unit: UnitRef<'_, Bytes<'_>>, effort: &mut Effort) -> Vec<Wanted> {
        let Ok(ranges) = root_ranges(unit) else {
            return Vec::new();
        };
        let mut inside = Vec::new();
        ranges.for_each(unit, &self.code, effort, |range| {
            let within = within(self.wanted, &range);
            let wanted = self.wanted.get(within.clone()).unwrap_or_default();
            let is_named = self.is_named.get(within).unwrap_or_default();
            let unnamed = wanted
                .iter()
                .zip(is_named)
                .filter(|(_, is_named)| !**is_named);
            inside.extend(unnamed.map(|(wanted, _)| *wanted));
        });
        inside.sort_unstable();
        inside.dedup();
        inside
    }

    fn unit<'d>(
        &mut self,
        unit: &Unit<Bytes<'d>>,
        inside: &[Wanted],
        units: &mut Units<'d>,
        effort: &mut Effort,
        found: &mut dyn FnMut(usize, Vec<Found>, Depth),
    ) {
        let at = unit.unit_ref(units.dwarf());
        let levels = functions::levels(at, inside, &self.code, effort);
        let places = lines::places(at, inside, &self.code, effort);
        let mut text = Text {
            unit,
            names: Names::default(),
            said: HashMap::new(),
            paths: HashMap::new(),
        };
        for (nth, (wanted, place)) in inside.iter().zip(places).enumerate() {
            let lines = text.lines(levels.of(nth), place, units, effort);
            let position = self.wanted.partition_point(|other| other < wanted);
            if lines.is_empty() {
                if let Some(place) = place {
                    let path = text.path(place.file, units);
                    self.places.entry(position).or_insert((path, place.line));
                }
            } else if let Some(is_named) = self.is_named.get_mut(position) {
                *is_named = true;
                found(wanted.nth, lines, Depth::DebugInfo);
            }
        }
    }

    fn symbols(
        mut self,
        image: &Image<'_>,
        depth: Depth,
        found: &mut dyn FnMut(usize, Vec<Found>, Depth),
    ) {
        let left: Vec<Wanted> = self
            .wanted
            .iter()
            .zip(&self.is_named)
            .filter(|(_, is_named)| !**is_named)
            .map(|(wanted, _)| *wanted)
            .collect();
        if left.is_empty() {
            return;
        }
        // A pass over the table is what remains when all else took too long.
        let names = symbol_table::names(image, &left, &mut Effort::new());
        for (wanted, name) in left.iter().zip(names) {
            let position = self.wanted.partition_point(|other| other < wanted);
            let (file, line) = self.places.remove(&position).unwrap_or_default();
            let lines = name.map(|name| Found {
                function: demangled(name),
                file,
                line,
                said: None,
            });
            found(wanted.nth, lines.into_iter().collect(), depth);
        }
    }
}

fn root_ranges(unit: UnitRef<'_, Bytes<'_>>) -> gimli::Result<CodeRanges> {
    let mut ranges = CodeRanges::default();
    let mut entries = unit.entries_raw(None)?;
    if let Some(abbreviation) = entries.read_abbreviation()? {
        for specification in abbreviation.attributes() {
            ranges.note(unit, &entries.read_attribute(*specification)?);
        }
    }
    Ok(ranges)
}

/// Names and paths of one unit, each made once.
struct Text<'u, 'd> {
    unit: &'u Unit<Bytes<'d>>,
    names: Names<'d>,
    /// What the functions of the unit's entries say.
    said: HashMap<UnitOffset, Option<Said>>,
    paths: HashMap<u64, String>,
}

impl<'d> Text<'_, 'd> {
    /// Of `levels`, innermost first; in the same order.
    fn lines<'l>(
        &mut self,
        levels: impl Iterator<Item = &'l Level>,
        place: Option<Place>,
        units: &mut Units<'d>,
        effort: &mut Effort,
    ) -> Vec<Found> {
        let mut lines = Vec::new();
        let mut place = place;
        for level in levels {
            // The function around stands where it called this one.
            let here = std::mem::replace(&mut place, level.call);
            let Some(name) = self.names.of(self.unit, level.entry, units, effort) else {
                continue;
            };
            let function = demangled(name.linker);
            lines.push(Found {
                said: name
                    .plain
                    .and_then(|plain| self.said(level.entry, &function, plain)),
                function,
                file: here.map_or_else(String::new, |place| self.path(place.file, units)),
                line: here.map_or(0, |place| place.line),
            });
        }
        lines
    }

    fn said(&mut self, entry: UnitOffset, function: &str, plain: &[u8]) -> Option<Said> {
        let find = || types::said(function, &String::from_utf8_lossy(plain));
        self.said.entry(entry).or_insert_with(find).clone()
    }

    fn path(&mut self, file: u64, units: &Units<'d>) -> String {
        let unit = self.unit.unit_ref(units.dwarf());
        self.paths
            .entry(file)
            .or_insert_with(|| lines::path(unit, file))
            .clone()
    }
}

/// In full, without the hash; as it is if it is no mangled name of Rust's.
fn demangled(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    match try_demangle(&name) {
        Ok(demangled) => format!("{demangled:#}"),
        Err(_) => name.into_owned(),
    }
}
