//! The units of one file's debug information, read one at a time.

use std::rc::Rc;
use std::sync::Arc;

use gimli::{
    Abbreviations, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset, Dwarf, NativeEndian, Section,
    Unit, UnitHeader, UnitOffset,
};

use super::effort::Effort;
use super::sections::Bytes;

/// Units that are kept for the names in them. Link-time optimization inlines across units, from few into many.
const KEPT_UNITS: usize = 8;

/// Units of a file that are looked at; 8 MiB of offsets. Ten times what the largest programs have; a file that is not what
/// it should be may have a unit every eleven bytes.
const MOST_UNITS: usize = 1 << 20;

/// Bytes of a unit's abbreviations that are read. Compilers write some KiB; each five bytes may become a hundred in memory.
const MOST_ABBREVIATIONS: usize = 1 << 20;

/// Reads units of one file, and keeps what units share.
pub(super) struct Units<'d> {
    dwarf: Dwarf<Bytes<'d>>,
    /// Where each unit begins, sorted.
    starts: Vec<DebugInfoOffset>,
    /// Of the last unit: after link-time optimization all units share one table.
    abbreviations: Option<(DebugAbbrevOffset, Arc<Abbreviations>)>,
    /// The last units that others have referred to.
    referred: Vec<(DebugInfoOffset, Rc<Unit<Bytes<'d>>>)>,
}

impl<'d> Units<'d> {
    pub(super) fn new(dwarf: Dwarf<Bytes<'d>>, effort: &mut Effort) -> Self {
        let mut starts = Vec::new();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next()
            && starts.len() < MOST_UNITS
            && effort.step()
        {
            starts.extend(header.debug_info_offset());
        }
        Self {
            dwarf,
            starts,
            abbreviations: None,
            referred: Vec::new(),
        }
    }

    pub(super) fn dwarf(&self) -> &Dwarf<Bytes<'d>> {
        &self.dwarf
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Reads a unit; None if it is damaged.
    pub(super) fn read(&mut self, nth: usize) -> Option<Unit<Bytes<'d>>> {
        let header = self.dwarf.unit_header(*self.starts.get(nth)?).ok()?;
        let abbreviations = self.abbreviations(&header)?;
        Unit::new_with_abbreviations(&self.dwarf, header, abbreviations).ok()
    }

    fn abbreviations(&mut self, header: &UnitHeader<Bytes<'d>>) -> Option<Arc<Abbreviations>> {
        let offset = header.debug_abbrev_offset();
        if let Some((known, abbreviations)) = &self.abbreviations
            && *known == offset
        {
            return Some(abbreviations.clone());
        }
        let all = self.dwarf.debug_abbrev.reader().slice();
        let end = offset.0.saturating_add(MOST_ABBREVIATIONS).min(all.len());
        let near = DebugAbbrev::new(all.get(..end)?, NativeEndian);
        let abbreviations = Arc::new(near.abbreviations(offset).ok()?);
        self.abbreviations = Some((offset, abbreviations.clone()));
        Some(abbreviations)
    }

    /// The unit that holds an offset, and the offset in it.
    pub(super) fn referred(
        &mut self,
        offset: DebugInfoOffset,
    ) -> Option<(Rc<Unit<Bytes<'d>>>, UnitOffset)> {
        let nth = self
            .starts
            .partition_point(|start| *start <= offset)
            .checked_sub(1)?;
        let start = *self.starts.get(nth)?;
        let at = match self.referred.iter().position(|(known, _)| *known == start) {
            Some(at) => at,
            None => {
                let unit = Rc::new(self.read(nth)?);
                self.referred.truncate(KEPT_UNITS - 1);
                self.referred.insert(0, (start, unit));
                0
            }
        };
        let (_, unit) = self.referred.get(at)?;
        let offset = offset.to_unit_offset(&unit.header)?;
        Some((unit.clone(), offset))
    }
}
