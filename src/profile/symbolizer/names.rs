//! The names of entries: their own, or those of the entries that they refer to, in other units too.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, DebugInfoOffset, Unit, UnitOffset, UnitRef};

use super::effort::Effort;
use super::sections::Bytes;
use super::units::Units;

/// References from an entry to the one with its name: an inlined call to its function, that to its declaration. Three
/// are usual; a circle has no end.
const MOST_REFERENCES: usize = 16;

/// Names of one unit's entries.
#[derive(Debug, Default)]
pub(super) struct Names<'d>(HashMap<UnitOffset, Option<Name<'d>>>);

/// A function's names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'d> {
    /// As the linker has it if that is known.
    pub(super) linker: &'d [u8],
    /// As the source has it, without a path: of Rust with all generic arguments, `push<svc::Session, alloc::alloc::Global>`.
    pub(super) plain: Option<&'d [u8]>,
}

/// What an entry says of its name.
enum Said<'d> {
    Name(Name<'d>),
    /// Another entry has it, in the same unit.
    Near(UnitOffset),
    /// Another entry has it.
    Far(DebugInfoOffset),
}

impl<'d> Names<'d> {
    /// The names of an entry.
    pub(super) fn of(
        &mut self,
        unit: &Unit<Bytes<'d>>,
        entry: UnitOffset,
        units: &mut Units<'d>,
        effort: &mut Effort,
    ) -> Option<Name<'d>> {
        if let Some(known) = self.0.get(&entry) {
            return *known;
        }
        let name = find(unit, entry, units, effort);
        self.0.insert(entry, name);
        name
    }
}

fn find<'d>(
    unit: &Unit<Bytes<'d>>,
    entry: UnitOffset,
    units: &mut Units<'d>,
    effort: &mut Effort,
) -> Option<Name<'d>> {
    let mut other: Option<Rc<Unit<Bytes<'d>>>> = None;
    let mut entry = entry;
    for _ in 0..MOST_REFERENCES {
        let unit = other.as_deref().unwrap_or(unit);
        match said(unit.unit_ref(units.dwarf()), entry, effort)? {
            // A name of nothing is none: it comes of damage.
            Said::Name(name) => return Some(name).filter(|name| !name.linker.is_empty()),
            Said::Near(offset) => entry = offset,
            // A unit is a large step.
            Said::Far(_) if effort.is_spent() => return None,
            Said::Far(offset) => {
                let (unit, offset) = units.referred(offset)?;
                (other, entry) = (Some(unit), offset);
            }
        }
    }
    None
}

fn said<'d>(
    unit: UnitRef<'_, Bytes<'d>>,
    entry: UnitOffset,
    effort: &mut Effort,
) -> Option<Said<'d>> {
    let mut entries = unit.entries_raw(Some(entry)).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    let (mut linker, mut plain, mut reference) = (None, None, None);
    for specification in abbreviation.attributes() {
        if !effort.step() {
            return None;
        }
        let attribute = entries.read_attribute(*specification).ok()?;
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                linker = unit.attr_string(attribute.value()).ok();
            }
            gimli::DW_AT_name => plain = unit.attr_string(attribute.value()).ok(),
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                reference = match attribute.value() {
                    AttributeValue::UnitRef(offset) => Some(Said::Near(offset)),
                    AttributeValue::DebugInfoRef(offset) => Some(Said::Far(offset)),
                    // Another file's.
                    _ => None,
                };
            }
            _ => {}
        }
        if linker.is_some() && plain.is_some() {
            break;
        }
    }
    let plain = plain.map(|name| name.slice());
    let name = linker.map(|name| name.slice()).or(plain);
    name.map(|linker| Said::Name(Name { linker, plain }))
        .or(reference)
}
