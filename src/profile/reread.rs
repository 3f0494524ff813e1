//! A profile in raw form that another run left behind: checked, and given the names of this run's binary if it is the same.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use prost::Message;

use super::all_mappings;
use super::encoder::Encoder;
use super::format::ProfileFormat;
use super::frames::Frames;
use super::mappings::Mappings;
use super::pieces::Pieces;
use super::pprof::SAMPLE_TYPES;
use super::proto;
use super::raw::RAW_BYTES;
use super::sites::Site;
use super::tables::{Form, Tables};
use crate::pages::{self, PageVec};
use crate::record::{self, Suspended};
use crate::stack::ReturnAddress;

/// Bytes that a decoded profile takes for each of its bytes, at most: a location has a vector, an id is eight bytes.
const DECODED: usize = 10;

/// Addresses that stand for frames of modules that this process does not have. Below those of pseudo frames, and not code's.
const FOREIGN: usize = 0xffff_ffff_0000_0000;

/// Why a file is not served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not what this crate writes.
    Foreign(String),
    /// There is no memory to read it with.
    NoMemory,
}

/// The profile in `file`, with names if `symbolize` and if it is of the binary that runs here; else as it is.
pub(crate) fn reread(file: &[u8], symbolize: bool) -> Result<Pieces, Unreadable> {
    let _own = Suspended::new();
    let message = unzip(file)?;
    if !pages::has_room(message.as_slice().len() * DECODED) {
        return Err(Unreadable::NoMemory);
    }
    let profile = proto::Profile::decode(message.as_slice())
        .map_err(|error| foreign(&format!("it is no pprof profile ({error})")))?;
    drop(message);
    check(&profile)?;
    let mappings = all_mappings();
    let is_same_binary = {
        let there = profile.mapping.first();
        let here = mappings.iter().next();
        there.zip(here).is_some_and(|(there, here)| {
            !here.build_id.is_empty() && text(&profile, there.build_id) == here.build_id
        })
    };
    if !symbolize || !is_same_binary {
        return Ok(Pieces::of(file));
    }
    Ok(with_names(&profile, &mappings))
}

/// What is compressed in `file`, if it is no more than this crate writes.
fn unzip(file: &[u8]) -> Result<PageVec<u8>, Unreadable> {
    let mut gzip = GzDecoder::new(file);
    let mut message = PageVec::new();
    let mut part = [0; 16 << 10];
    loop {
        match gzip.read(&mut part) {
            Ok(0) => return Ok(message),
            Ok(len) => {
                if message.as_slice().len() as u64 > RAW_BYTES {
                    return Err(foreign("it is larger than any dump"));
                }
                if !message.extend(part.get(..len).unwrap_or_default()) {
                    return Err(Unreadable::NoMemory);
                }
            }
            Err(error) => return Err(foreign(&format!("it is no whole gzip file ({error})"))),
        }
    }
}

fn foreign(reason: &str) -> Unreadable {
    Unreadable::Foreign(reason.to_owned())
}

/// That each reference leads somewhere, and that it is a heap profile.
fn check(profile: &proto::Profile) -> Result<(), Unreadable> {
    let types = profile.sample_type.iter();
    let types: Vec<_> = types
        .map(|named| (text(profile, named.r#type), text(profile, named.unit)))
        .collect();
    if types != SAMPLE_TYPES {
        return Err(foreign("it is no heap profile"));
    }
    let in_order = |ids: &mut dyn Iterator<Item = u64>| ids.zip(1..).all(|(id, nth)| id == nth);
    let leads = |id: u64, count: usize| usize::try_from(id).is_ok_and(|id| id <= count);
    let mappings = profile.mapping.len();
    let locations = profile.location.len();
    let is_whole = in_order(&mut profile.mapping.iter().map(|it| it.id))
        && in_order(&mut profile.location.iter().map(|it| it.id))
        && profile
            .location
            .iter()
            .all(|location| leads(location.mapping_id, mappings))
        && profile.sample.iter().all(|sample| {
            sample.value.len() == SAMPLE_TYPES.len()
                && sample
                    .location_id
                    .iter()
                    .all(|id| *id > 0 && leads(*id, locations))
        });
    if is_whole {
        return Ok(());
    }
    Err(foreign("its parts do not fit together"))
}

fn text(profile: &proto::Profile, index: i64) -> &str {
    let index = usize::try_from(index).ok();
    let text = index.and_then(|index| profile.string_table.get(index));
    text.map_or("", String::as_str)
}

/// A frame as it is found in this process.
enum Place {
    Code(Site),
    /// A pseudo frame, or code that is not loaded here: an address of its own, and what to call it.
    Named(usize, String),
}

fn place(profile: &proto::Profile, location: &proto::Location, mappings: &Mappings) -> Place {
    let address = location.address as usize;
    if let Some(line) = location.line.first() {
        let nth = usize::try_from(line.function_id).unwrap_or(0);
        let function = profile.function.get(nth.wrapping_sub(1));
        let name = function.map_or("", |function| text(profile, function.name));
        return Place::Named(address, name.to_owned());
    }
    let nth = usize::try_from(location.mapping_id).unwrap_or(0);
    let Some(there) = profile.mapping.get(nth.wrapping_sub(1)) else {
        return Place::Code(Site::nowhere(ReturnAddress(address.wrapping_add(1))));
    };
    let (file, build_id) = (text(profile, there.filename), text(profile, there.build_id));
    let is_same = |here: &&Arc<super::mappings::Mapping>| {
        !here.build_id.is_empty() && here.build_id == build_id
    };
    let here = mappings.iter().filter(is_same).find_map(|here| {
        let address = address.wrapping_add(here.bias?);
        let (nth, holder) = mappings.find(address)?;
        (holder.build_id == build_id).then_some(Site {
            mapping: u32::try_from(nth).ok(),
            address: ReturnAddress(address.wrapping_add(1)),
        })
    });
    match here {
        Some(site) => Place::Code(site),
        None => Place::Named(
            FOREIGN + usize::try_from(location.id).unwrap_or(0),
            format!("[{file}+{address:#x}]"),
        ),
    }
}

fn with_names(profile: &proto::Profile, mappings: &Mappings) -> Pieces {
    let places: Vec<Place> = profile
        .location
        .iter()
        .map(|location| place(profile, location, mappings))
        .collect();
    let sites = places.iter().filter_map(|place| match place {
        Place::Code(site) => Some(*site),
        Place::Named(..) => None,
    });
    let frames = Frames::resolve(sites, mappings, true);
    let limits = record::limits();
    let largest_first = {
        let mut samples: Vec<&proto::Sample> = profile.sample.iter().collect();
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.value.last().copied()));
        samples
    };
    let mut kept = largest_first.len().min(limits.profile_samples);
    loop {
        let limit = match kept {
            0 => usize::MAX,
            _ => limits.profile_bytes,
        };
        let tables = Tables::new(
            mappings,
            Form::Symbolized(&frames),
            Encoder::new(limit, ProfileFormat::Pprof),
        );
        let parts = build(profile, &largest_first, kept, &places, tables, &frames);
        match parts {
            Some(parts) => return parts,
            None => kept = kept * 9 / 10,
        }
    }
}

/// With the first `kept` samples, and the sum of the others in one. None if it is larger than it may be.
fn build(
    profile: &proto::Profile,
    samples: &[&proto::Sample],
    kept: usize,
    places: &[Place],
    mut tables: Tables<'_>,
    frames: &Frames,
) -> Option<Pieces> {
    let sample_type = SAMPLE_TYPES.map(|named| tables.value_type(named)).to_vec();
    let period_type = tables.value_type(("space", "bytes"));
    let label = tables.string("bytes");
    let mut folded = [0_i64; SAMPLE_TYPES.len()];
    for (nth, sample) in samples.iter().enumerate() {
        if nth >= kept || tables.is_nearly_full() {
            for (sum, value) in folded.iter_mut().zip(&sample.value) {
                *sum = sum.saturating_add(*value);
            }
            continue;
        }
        let stack: Vec<&Place> = sample
            .location_id
            .iter()
            .filter_map(|id| places.get(usize::try_from(*id).ok()?.checked_sub(1)?))
            .collect();
        let code: Vec<Site> = stack
            .iter()
            .map_while(|place| match place {
                Place::Code(site) => Some(*site),
                Place::Named(..) => None,
            })
            .collect();
        let visible = frames.visible(&code);
        let mut location_id: Vec<u64> = visible.iter().map(|site| tables.location(*site)).collect();
        for place in stack.get(code.len()..).unwrap_or_default() {
            location_id.push(match place {
                Place::Code(site) => tables.location(*site),
                Place::Named(address, name) => tables.named(*address, name),
            });
        }
        // The only number is the size.
        let size = sample.label.iter().find(|label| label.str == 0);
        let size = size.map(|size| proto::Label {
            key: label,
            num: size.num,
            ..Default::default()
        });
        let mut labels: Vec<proto::Label> = size.into_iter().collect();
        for label in sample.label.iter().filter(|label| label.str != 0) {
            labels.push(proto::Label {
                key: tables.string(text(profile, label.key)),
                str: tables.string(text(profile, label.str)),
                ..Default::default()
            });
        }
        tables.add_sample(proto::Sample {
            location_id,
            value: sample.value.clone(),
            label: labels,
        });
    }
    if folded.iter().any(|value| *value != 0) {
        let location = tables.pseudo(super::frames::Pseudo::Truncated);
        tables.add_sample(proto::Sample {
            location_id: vec![location],
            value: folded.to_vec(),
            label: Vec::new(),
        });
    }
    let comment = profile
        .comment
        .iter()
        .map(|comment| tables.string(text(profile, *comment)))
        .collect();
    tables.finish(proto::Profile {
        sample_type,
        period_type: Some(period_type),
        period: profile.period,
        time_nanos: profile.time_nanos,
        comment,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn zip(message: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(message).unwrap();
        gzip.finish().unwrap()
    }

    fn why(file: &[u8]) -> String {
        match reread(file, true) {
            Err(Unreadable::Foreign(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_dump_is_refused_with_the_reason() {
        for (file, reason) in [
            (b"".to_vec(), "gzip"),
            (b"PK\x03\x04".to_vec(), "gzip"),
            (zip(b"\xff\xff\xff"), "pprof"),
            (zip(b""), "no heap profile"),
            (zip(&vec![0; RAW_BYTES as usize * 2]), "larger"),
        ] {
            assert!(why(&file).contains(reason), "{reason}: {}", why(&file));
        }
    }
}
