//! The validator takes a good profile, and names the rule for each way of breaking it.
//!
//! `broken` matches on `Rule` without a wildcard: a new rule does not compile without its negative case.

mod validator;

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use validator::limits::{
    MAX_AGE_NANOS, MAX_AHEAD_NANOS, MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES, MAX_UNCOMPRESSED_BYTES,
    PSEUDO_ADDRESS_START,
};
use validator::proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use validator::{Expect, Form, Kind, Rule, assert_valid, violations};

const HEAP: Expect = Expect::new(Kind::Heap).binary("service").period(524_288);

#[test]
fn good_profiles_break_no_rule() {
    for expect in [
        HEAP,
        HEAP.delta(),
        HEAP.raw(),
        HEAP.raw().delta(),
        Expect::new(Kind::Allocs),
    ] {
        assert_valid(&gzip(&good(expect).encode_to_vec()), expect);
    }
}

#[test]
fn empty_profiles_of_all_kinds_break_no_rule() {
    use Kind::{Allocs, Block, Cpu, Goroutine, Heap, Mutex, ThreadCreate};
    for kind in [Heap, Allocs, Goroutine, ThreadCreate, Block, Mutex, Cpu] {
        let expect = Expect::new(kind);
        assert_valid(&gzip(&header(expect).encode_to_vec()), expect);
    }
}

#[test]
fn each_broken_rule_is_reported() {
    let mut failures = Vec::new();
    for &rule in Rule::ALL {
        let (expect, body) = broken(rule);
        let found = violations(&body, expect);
        if !found.iter().any(|v| v.rule == rule) {
            failures.push(format!("{rule:?} is not reported, but {found:?}"));
        } else if !entails_others(rule) && found.iter().any(|v| v.rule != rule) {
            failures.push(format!("{rule:?} is not reported alone, but {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Violations that cannot come alone: an unreadable index is also a missing name, a wrong type is also a
/// non-identifier, and so on.
fn entails_others(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::CommentUtf8
            | Rule::EmptyStringFirst
            | Rule::LabelKeyNotZero
            | Rule::SampleTypeIsIdentifier
            | Rule::DefaultSampleTypeExists
            | Rule::AddressNotZero
            | Rule::ValueCount
            | Rule::NoNegativeValue
    )
}

#[test]
fn model_reads_totals_and_stacks() {
    let profile = assert_valid(&gzip(&good(HEAP).encode_to_vec()), HEAP);
    assert_eq!(profile.total("inuse_space"), 2 * 1024 + 64);
    assert_eq!(
        profile.by_leaf_function("alloc_objects")["app::inlined::<u8>"],
        8
    );
    assert_eq!(profile.through("main", "alloc_space"), 8 * 1024);
    assert_eq!(
        profile.stacks()[0].names(),
        ["app::inlined::<u8>", "app::outer", "app::main"]
    );
    assert_eq!(profile.stacks()[0].numeric_labels["bytes"], 1024);
    assert_eq!(profile.main_binary(), Some(("service", "00ff")));
    assert_eq!(profile.comments(), ["debug-pprof 0.1.0"]);
    assert!(profile.function_names().contains(&"[truncated]"));
}

#[test]
#[should_panic(expected = "Duration: 7 ns on a snapshot")]
fn assert_valid_lists_what_is_wrong() {
    let mut profile = good(HEAP);
    profile.duration_nanos = 7;
    assert_valid(&gzip(&profile.encode_to_vec()), HEAP);
}

/// A body that breaks `rule`, and what it claims to be.
fn broken(rule: Rule) -> (Expect, Vec<u8>) {
    match rule {
        Rule::Gzip => (HEAP, good(HEAP).encode_to_vec()),
        Rule::UncompressedSize => heap(|p| {
            let filler = "x".repeat(MAX_NAME_BYTES);
            p.string_table
                .extend(vec![filler; MAX_UNCOMPRESSED_BYTES / MAX_NAME_BYTES + 1]);
        }),
        Rule::Decodes => bytes(|message| message.truncate(message.len() - 1)),
        Rule::KnownFields => bytes(|message| message.extend([0x80, 0x01, 1])),
        Rule::Utf8 => bytes(|message| replace(message, b"app::main", b"app::m\xffin")),
        Rule::CommentUtf8 => bytes(|message| replace(message, b"debug-pprof", b"debug\xffpprof")),
        Rule::TimeNanosOnce => bytes(|message| {
            let time = Profile {
                time_nanos: now(),
                ..Profile::default()
            };
            message.extend(time.encode_to_vec());
        }),

        Rule::EmptyStringFirst => heap(|p| p.string_table[0] = "x".to_owned()),
        Rule::StringIndexInRange => heap(|p| p.doc_url = 10_000),
        Rule::NameLength => heap(|p| {
            let name = usize::try_from(p.function[0].name).expect("an index");
            p.string_table[name] = "x".repeat(MAX_NAME_BYTES + 1);
        }),
        Rule::MappingIdsInOrder => heap(|p| p.mapping[1].id = 3),
        Rule::LocationIdsInOrder => heap(|p| p.location[1].id = 1),
        Rule::FunctionIdsInOrder => heap(|p| p.function.last_mut().expect("functions").id = 9),
        Rule::SampleLocationResolves => heap(|p| p.sample[0].location_id[1] = 99),
        Rule::LocationMappingResolves => heap(|p| p.location[0].mapping_id = 99),
        Rule::LineFunctionResolves => heap(|p| p.location[0].line[0].function_id = 99),

        Rule::SampleTypes => heap(|p| p.sample_type.swap(0, 1)),
        Rule::SampleTypeIsIdentifier => heap(|p| {
            let name = intern(p, "inuse-space");
            p.sample_type[3].r#type = name;
        }),
        Rule::PeriodType => heap(|p| p.period_type = None),
        Rule::Period => heap(|p| p.period = 0),
        Rule::TimeNanos => heap(|p| p.time_nanos = 0),
        Rule::Duration => heap(|p| p.duration_nanos = 1),
        Rule::DefaultSampleType => heap(|p| p.default_sample_type = p.sample_type[1].r#type),
        Rule::DefaultSampleTypeExists => heap(|p| p.default_sample_type = p.sample_type[1].unit),
        Rule::NoDropOrKeepFrames => heap(|p| p.drop_frames = intern(p, "alloc::.*")),

        Rule::MainBinaryFirst => heap(|p| {
            let library = p.mapping[1].filename;
            p.mapping[0].filename = library;
        }),
        Rule::FilenameIsBasename => heap(|p| p.mapping[1].filename = intern(p, "/lib/libc.so.6")),
        Rule::BuildIdIsLowerHex => heap(|p| p.mapping[0].build_id = intern(p, "00FF")),
        Rule::MappingFlags => heap(|p| p.mapping[1].has_line_numbers = false),
        Rule::MappingRange => heap(|p| {
            let end = p.mapping[1].memory_limit;
            p.mapping.push(Mapping {
                id: 3,
                memory_start: end,
                memory_limit: end,
                ..p.mapping[1]
            });
        }),

        Rule::AddressNotZero => heap(|p| p.location[0].address = 0),
        Rule::AddressUnique => heap(|p| p.location[2].address = p.location[0].address),
        Rule::AddressInMapping => heap(|p| p.location[0].address = 0x9000),
        Rule::PseudoFrame => heap(|p| p.location[3].address = 0x1234),
        Rule::LocationHasLine => heap(|p| p.location[2].line.clear()),
        Rule::RawLocationHasNoLine => variant(HEAP.raw(), |p| {
            let line = p.location[3].line.clone();
            p.location[0].line = line;
        }),
        Rule::LineHasFunction => heap(|p| p.location[0].line[0].function_id = 0),
        Rule::SystemNameEmpty => heap(|p| p.function[0].system_name = p.function[0].name),
        Rule::FunctionNamed => heap(|p| p.function[0].name = 0),

        Rule::ValueCount => heap(|p| p.sample[0].value.truncate(3)),
        Rule::NoNegativeValue => variant(HEAP.delta(), |p| p.sample[0].value[1] = -8),
        Rule::InuseWithinAlloc => heap(|p| p.sample[0].value[2] = 9),
        Rule::NoZeroSampleInDelta => variant(HEAP.delta(), |p| p.sample[0].value = vec![0; 4]),
        Rule::SampleHasStack => heap(|p| p.sample[0].location_id.clear()),
        Rule::Depth => heap(|p| p.sample[0].location_id = vec![1; MAX_DEPTH + 1]),
        Rule::SampleCount => heap(|p| p.sample = vec![p.sample[0].clone(); MAX_SAMPLES + 1]),
        Rule::BytesLabel => heap(|p| p.sample[0].label.clear()),
        Rule::LabelKeyNotZero => heap(|p| p.sample[0].label[0].key = 0),
        Rule::LabelKeyUnique => heap(|p| {
            let label = p.sample[0].label[0];
            p.sample[0].label.push(label);
        }),
    }
}

/// Rules that stand for several conditions: each condition on its own.
#[test]
fn every_condition_of_a_rule_counts() {
    let cases: [(Rule, (Expect, Vec<u8>)); 13] = [
        (Rule::Gzip, (HEAP, Vec::new())),
        (Rule::Gzip, {
            let (expect, body) = heap(|_| ());
            (expect, body[..body.len() - 4].to_vec())
        }),
        (Rule::KnownFields, (HEAP, gzip(&nested_unknown_field()))),
        (
            Rule::TimeNanos,
            heap(|p| p.time_nanos -= MAX_AGE_NANOS + 1_000_000_000),
        ),
        (
            Rule::TimeNanos,
            heap(|p| p.time_nanos += MAX_AHEAD_NANOS + 60_000_000_000),
        ),
        (
            Rule::Duration,
            variant(HEAP.delta(), |p| p.duration_nanos = 0),
        ),
        (
            Rule::DefaultSampleType,
            variant(Expect::new(Kind::Allocs), |p| p.default_sample_type = 0),
        ),
        (
            Rule::MappingFlags,
            variant(HEAP.raw(), |p| p.mapping[0].has_functions = true),
        ),
        (
            Rule::MappingRange,
            variant(HEAP.raw(), |p| p.mapping[0].memory_limit = 0x1000),
        ),
        (Rule::PseudoFrame, heap(|p| p.location[3].line.clear())),
        (Rule::PseudoFrame, heap(|p| p.location[3].mapping_id = 1)),
        (Rule::NoNegativeValue, heap(|p| p.sample[0].value[3] = -1)),
        (Rule::MainBinaryFirst, heap(|p| p.mapping.clear())),
    ];
    for (case, (rule, (expect, body))) in cases.into_iter().enumerate() {
        let found = violations(&body, expect);
        assert!(
            found.iter().any(|v| v.rule == rule),
            "case {case}, {rule:?}: found {found:?}"
        );
    }
}

/// A `Function` with a field 6.
fn nested_unknown_field() -> Vec<u8> {
    let mut message = good(HEAP).encode_to_vec();
    message.extend([5 << 3 | 2, 2, 6 << 3, 1]);
    message
}

fn heap(change: impl FnOnce(&mut Profile)) -> (Expect, Vec<u8>) {
    variant(HEAP, change)
}

fn variant(expect: Expect, change: impl FnOnce(&mut Profile)) -> (Expect, Vec<u8>) {
    let mut profile = good(expect);
    change(&mut profile);
    (expect, gzip(&profile.encode_to_vec()))
}

fn bytes(change: impl FnOnce(&mut Vec<u8>)) -> (Expect, Vec<u8>) {
    let mut message = good(HEAP).encode_to_vec();
    change(&mut message);
    (HEAP, gzip(&message))
}

fn replace(message: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let at = message
        .windows(old.len())
        .position(|window| window == old)
        .expect("the text is there");
    message[at..at + new.len()].copy_from_slice(new);
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(now.as_nanos()).expect("the clock is before 2262")
}

fn intern(profile: &mut Profile, text: &str) -> i64 {
    let index = profile
        .string_table
        .iter()
        .position(|string| string == text)
        .unwrap_or_else(|| {
            profile.string_table.push(text.to_owned());
            profile.string_table.len() - 1
        });
    i64::try_from(index).expect("a small table")
}

/// A profile without samples.
fn header(expect: Expect) -> Profile {
    let mut p = Profile {
        string_table: vec![String::new()],
        time_nanos: now(),
        ..Profile::default()
    };
    for (name, unit) in expect.kind.sample_types() {
        let value_type = ValueType {
            r#type: intern(&mut p, name),
            unit: intern(&mut p, unit),
        };
        p.sample_type.push(value_type);
    }
    let (name, unit) = expect.kind.period_type();
    p.period_type = Some(ValueType {
        r#type: intern(&mut p, name),
        unit: intern(&mut p, unit),
    });
    p.period = 524_288;
    p.default_sample_type = intern(&mut p, expect.kind.default_sample_type());
    p.duration_nanos = if expect.has_duration() {
        2_000_000_000
    } else {
        0
    };
    p
}

/// A memory profile with two mappings, an inlined call, a library frame and a pseudo frame:
///
/// ```text
/// location 1  service  app::inlined::<u8> in app::outer     sample 1: 1 3     8 × 1024, 2 live
/// location 2  libc     qsort                                sample 2: 2 4     3 × 64, 1 live
/// location 3  service  app::main
/// location 4  –        [truncated]                          sample 3: 4       folded, without `bytes`
/// ```
fn good(expect: Expect) -> Profile {
    let mut p = header(expect);
    let is_raw = expect.form == Form::Raw;
    p.comment = vec![intern(&mut p, "debug-pprof 0.1.0")];
    for (id, name, build_id, start) in
        [(1, "service", "00ff", 0x1000), (2, "libc.so.6", "", 0x5000)]
    {
        let (filename, build_id) = (intern(&mut p, name), intern(&mut p, build_id));
        p.mapping.push(Mapping {
            id,
            memory_start: if is_raw { 0 } else { start },
            memory_limit: if is_raw { 0 } else { start + 0x2000 },
            file_offset: 0,
            filename,
            build_id,
            has_functions: !is_raw,
            has_filenames: !is_raw,
            has_line_numbers: !is_raw,
            has_inline_frames: !is_raw,
        });
    }
    for (id, name) in (1..).zip([
        "app::inlined::<u8>",
        "app::outer",
        "qsort",
        "app::main",
        "[truncated]",
    ]) {
        let (name, filename) = (intern(&mut p, name), intern(&mut p, "src/main.rs"));
        p.function.push(Function {
            id,
            name,
            system_name: 0,
            filename,
            start_line: 0,
        });
    }
    let pseudo = PSEUDO_ADDRESS_START + 1;
    let locations: [(u64, u64, &[u64]); 4] = [
        (1, 0x1010, &[1, 2]),
        (2, 0x5010, &[3]),
        (1, 0x1020, &[4]),
        (0, pseudo, &[5]),
    ];
    for (id, (mapping_id, address, functions)) in (1..).zip(locations) {
        let functions = if is_raw && mapping_id != 0 {
            &[]
        } else {
            functions
        };
        let line = functions
            .iter()
            .map(|&function_id| Line {
                function_id,
                line: 7,
                column: 0,
            })
            .collect();
        p.location.push(Location {
            id,
            mapping_id,
            address,
            line,
            is_folded: false,
        });
    }
    let bytes = intern(&mut p, "bytes");
    let samples: [(&[u64], [i64; 4], i64); 3] = [
        (&[1, 3], [8, 8 * 1024, 2, 2 * 1024], 1024),
        (&[2, 4], [3, 3 * 64, 1, 64], 64),
        (&[4], [5, 500, 0, 0], 0),
    ];
    for (location_id, value, size) in samples {
        let label = Label {
            key: bytes,
            str: 0,
            num: size,
            num_unit: 0,
        };
        p.sample.push(Sample {
            location_id: location_id.to_vec(),
            value: value.to_vec(),
            label: if size == 0 { vec![] } else { vec![label] },
        });
    }
    p
}
