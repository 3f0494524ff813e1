//! The string table, the ids, and that each reference leads somewhere.

use super::limits::MAX_NAME_BYTES;
use super::proto::Profile;
use super::{Expect, Rule, Violations, string};

pub(super) fn check(profile: &Profile, _expect: Expect, found: &mut Violations) {
    strings(profile, found);
    ids(profile, found);
    references(profile, found);
}

fn strings(profile: &Profile, found: &mut Violations) {
    let first = profile.string_table.first();
    found.check(
        first.is_some_and(String::is_empty),
        Rule::EmptyStringFirst,
        format!("string 0 is {first:?}"),
    );
    for (what, index) in string_indices(profile) {
        found.check(
            usize::try_from(index).is_ok_and(|index| index < profile.string_table.len()),
            Rule::StringIndexInRange,
            format!("{what} is string {index} of {}", profile.string_table.len()),
        );
    }
    for function in &profile.function {
        let length = string(profile, function.name).len();
        found.check(
            length <= MAX_NAME_BYTES,
            Rule::NameLength,
            format!("function {} has a name of {length} bytes", function.id),
        );
    }
}

/// Every field that names a string, with where it stands.
fn string_indices(profile: &Profile) -> Vec<(String, i64)> {
    let mut list = vec![
        ("drop_frames".to_owned(), profile.drop_frames),
        ("keep_frames".to_owned(), profile.keep_frames),
        (
            "default_sample_type".to_owned(),
            profile.default_sample_type,
        ),
        ("doc_url".to_owned(), profile.doc_url),
    ];
    for &comment in &profile.comment {
        list.push(("a comment".to_owned(), comment));
    }
    for value_type in profile.sample_type.iter().chain(&profile.period_type) {
        list.push(("a value type".to_owned(), value_type.r#type));
        list.push(("a value type's unit".to_owned(), value_type.unit));
    }
    for mapping in &profile.mapping {
        list.push((
            format!("filename of mapping {}", mapping.id),
            mapping.filename,
        ));
        list.push((
            format!("build_id of mapping {}", mapping.id),
            mapping.build_id,
        ));
    }
    for function in &profile.function {
        list.push((format!("name of function {}", function.id), function.name));
        list.push((
            format!("system_name of function {}", function.id),
            function.system_name,
        ));
        list.push((
            format!("filename of function {}", function.id),
            function.filename,
        ));
    }
    for (index, sample) in profile.sample.iter().enumerate() {
        for label in &sample.label {
            list.push((format!("a label's key of sample {index}"), label.key));
            list.push((format!("a label's str of sample {index}"), label.str));
            list.push((
                format!("a label's num_unit of sample {index}"),
                label.num_unit,
            ));
        }
    }
    list
}

fn ids(profile: &Profile, found: &mut Violations) {
    in_order(
        profile.mapping.iter().map(|mapping| mapping.id),
        Rule::MappingIdsInOrder,
        found,
    );
    in_order(
        profile.location.iter().map(|location| location.id),
        Rule::LocationIdsInOrder,
        found,
    );
    in_order(
        profile.function.iter().map(|function| function.id),
        Rule::FunctionIdsInOrder,
        found,
    );
}

fn in_order(ids: impl Iterator<Item = u64>, rule: Rule, found: &mut Violations) {
    for (position, id) in (1..).zip(ids) {
        found.check(
            id == position,
            rule,
            format!("entry {position} has id {id}"),
        );
    }
}

fn references(profile: &Profile, found: &mut Violations) {
    let exists =
        |id: u64, length: usize| usize::try_from(id).is_ok_and(|id| (1..=length).contains(&id));
    for (index, sample) in profile.sample.iter().enumerate() {
        for &location in &sample.location_id {
            found.check(
                exists(location, profile.location.len()),
                Rule::SampleLocationResolves,
                format!("sample {index} names location {location}"),
            );
        }
    }
    for location in &profile.location {
        found.check(
            location.mapping_id == 0 || exists(location.mapping_id, profile.mapping.len()),
            Rule::LocationMappingResolves,
            format!(
                "location {} names mapping {}",
                location.id, location.mapping_id
            ),
        );
        for line in &location.line {
            found.check(
                line.function_id != 0,
                Rule::LineHasFunction,
                format!("location {}", location.id),
            );
            found.check(
                line.function_id == 0 || exists(line.function_id, profile.function.len()),
                Rule::LineFunctionResolves,
                format!(
                    "location {} names function {}",
                    location.id, line.function_id
                ),
            );
        }
    }
}
