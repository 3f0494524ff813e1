//! Files and lines of addresses, from one run through a unit's line program.

use std::ops::Range;

use gimli::UnitRef;

use super::effort::Effort;
use super::ranges::{Wanted, within};
use super::sections::Bytes;

/// A place in the source, as a line program has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index in the unit's list of files.
    pub(super) file: u64,
    /// 0 if unknown.
    pub(super) line: u32,
}

/// The places of `wanted`, in its order.
///
/// A row holds from its address to the next row's; of rows with the same address the last holds. Rows are sorted in a
/// sequence, sequences are not.
pub(super) fn places(
    unit: UnitRef<'_, Bytes<'_>>,
    wanted: &[Wanted],
    code: &[Range<u64>],
    effort: &mut Effort,
) -> Vec<Option<Place>> {
    let mut places = vec![None; wanted.len()];
    let Some(program) = unit.line_program.clone() else {
        return places;
    };
    let mut rows = program.rows();
    let mut previous: Option<(u64, Place)> = None;
    let mut is_code = false;
    while let Ok(Some((_, row))) = rows.next_row() {
        if let Some((start, place)) = previous
            && is_code
            && start < row.address()
        {
            for nth in within(wanted, &(start..row.address())) {
                if let Some(found) = places.get_mut(nth) {
                    found.get_or_insert(place);
                }
            }
        }
        if previous.is_none() {
            is_code = code.iter().any(|code| code.contains(&row.address()));
        }
        previous = (!row.end_sequence()).then(|| {
            let place = Place {
                file: row.file_index(),
                line: row.line().map_or(0, |line| line.get() as u32),
            };
            (row.address(), place)
        });
        if !effort.step() {
            break;
        }
    }
    places
}

/// The path of a file of the unit; empty if there is none of this index.
pub(super) fn path(unit: UnitRef<'_, Bytes<'_>>, file: u64) -> String {
    let mut path = String::new();
    let Some(program) = &unit.line_program else {
        return path;
    };
    let header = program.header();
    let Some(file) = header.file(file) else {
        return path;
    };
    if let Some(directory) = unit.comp_dir {
        push(&mut path, &directory.to_string_lossy());
    }
    // Directory 0 is the unit's own.
    let directory = file
        .directory(header)
        .filter(|_| file.directory_index() != 0);
    for part in directory.into_iter().chain([file.path_name()]) {
        if let Ok(part) = unit.attr_string(part) {
            push(&mut path, &part.to_string_lossy());
        }
    }
    path
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}
