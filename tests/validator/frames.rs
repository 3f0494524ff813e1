//! Mappings, locations and functions: where a frame is and what it is called.

use std::collections::HashSet;

use super::limits::PSEUDO_ADDRESS_START;
use super::proto::{Location, Mapping, Profile};
use super::{Expect, Form, Rule, Violations, string};

pub(super) fn check(profile: &Profile, expect: Expect, found: &mut Violations) {
    main_binary(profile, expect, found);
    for mapping in &profile.mapping {
        check_mapping(profile, mapping, expect.form, found);
    }
    let mut seen = HashSet::new();
    for location in &profile.location {
        found.check(
            seen.insert((location.mapping_id, location.address)),
            Rule::AddressUnique,
            format!("location {} repeats {:#x}", location.id, location.address),
        );
        check_location(profile, location, expect.form, found);
    }
    for function in &profile.function {
        found.check(
            !string(profile, function.name).is_empty(),
            Rule::FunctionNamed,
            format!("function {}", function.id),
        );
        let system_name = string(profile, function.system_name);
        found.check(
            system_name.is_empty(),
            Rule::SystemNameEmpty,
            format!("{system_name:?} of function {}", function.id),
        );
    }
}

fn main_binary(profile: &Profile, expect: Expect, found: &mut Violations) {
    let Some(first) = profile.mapping.first() else {
        found.check(
            profile.location.is_empty(),
            Rule::MainBinaryFirst,
            "frames, but no mapping",
        );
        return;
    };
    let name = string(profile, first.filename);
    let is_main = match expect.binary {
        Some(binary) => name == binary,
        None => !name.is_empty() && !name.starts_with('[') && !name.contains(".so"),
    };
    found.check(
        is_main,
        Rule::MainBinaryFirst,
        format!("the first mapping is {name:?}"),
    );
}

fn check_mapping(profile: &Profile, mapping: &Mapping, form: Form, found: &mut Violations) {
    let name = string(profile, mapping.filename);
    found.check(
        !name.contains('/'),
        Rule::FilenameIsBasename,
        format!("{name:?}"),
    );
    let build_id = string(profile, mapping.build_id);
    found.check(
        build_id.len().is_multiple_of(2)
            && build_id
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        Rule::BuildIdIsLowerHex,
        format!("{build_id:?} of {name:?}"),
    );
    let flags = [
        mapping.has_functions,
        mapping.has_filenames,
        mapping.has_line_numbers,
        mapping.has_inline_frames,
    ];
    found.check(
        flags == [form == Form::Symbolized; 4],
        Rule::MappingFlags,
        format!("{flags:?} on {name:?}"),
    );
    let range = (
        mapping.memory_start,
        mapping.memory_limit,
        mapping.file_offset,
    );
    let is_right = match form {
        Form::Symbolized => range.0 < range.1,
        Form::Raw => range == (0, 0, 0),
    };
    found.check(
        is_right,
        Rule::MappingRange,
        format!("{range:#x?} of {name:?}"),
    );
}

fn check_location(profile: &Profile, location: &Location, form: Form, found: &mut Violations) {
    let (id, address) = (location.id, location.address);
    found.check(address != 0, Rule::AddressNotZero, format!("location {id}"));
    if location.mapping_id == 0 && (1..PSEUDO_ADDRESS_START).contains(&address) {
        // Code that is mapped no more: all that is left of it is its address.
        let names = names(profile, location);
        let expected: &[String] = match form {
            Form::Symbolized => &[format!("{address:#x}")],
            Form::Raw => &[],
        };
        found.check(
            names == expected,
            Rule::PseudoFrame,
            format!("location {id} at {address:#x} without mapping is called {names:?}"),
        );
        return;
    }
    let is_pseudo = location.mapping_id == 0;
    found.check(
        is_pseudo == (address >= PSEUDO_ADDRESS_START),
        Rule::PseudoFrame,
        format!(
            "location {id} at {address:#x} has mapping {}",
            location.mapping_id
        ),
    );
    if is_pseudo {
        let names = names(profile, location);
        found.check(
            matches!(names.as_slice(), [name] if name.starts_with('[') && name.ends_with(']')),
            Rule::PseudoFrame,
            format!("location {id} at {address:#x} without mapping is called {names:?}"),
        );
        return;
    }
    match form {
        Form::Symbolized => {
            found.check(
                !location.line.is_empty(),
                Rule::LocationHasLine,
                format!("location {id}"),
            );
            if let Some(mapping) = mapping(profile, location) {
                let range = mapping.memory_start..mapping.memory_limit;
                found.check(
                    range.contains(&address),
                    Rule::AddressInMapping,
                    format!("location {id} at {address:#x} is outside {range:#x?}"),
                );
            }
        }
        Form::Raw => {
            found.check(
                location.line.is_empty(),
                Rule::RawLocationHasNoLine,
                format!("location {id}"),
            );
        }
    }
}

fn mapping<'a>(profile: &'a Profile, location: &Location) -> Option<&'a Mapping> {
    profile
        .mapping
        .get(usize::try_from(location.mapping_id).ok()?.checked_sub(1)?)
}

fn names<'a>(profile: &'a Profile, location: &Location) -> Vec<&'a str> {
    let functions = location.line.iter().filter_map(|line| {
        profile
            .function
            .get(usize::try_from(line.function_id).ok()?.checked_sub(1)?)
    });
    functions
        .map(|function| string(profile, function.name))
        .collect()
}
