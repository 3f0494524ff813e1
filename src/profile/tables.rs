//! The tables of a pprof message: every string, function, location and mapping once, with ids 1..n in table order.

use std::iter;

use super::by_site::BySite;
use super::encoder::{Encoder, PART};
use super::frames::{Frames, Pseudo};
use super::interned::{Interned, Text, hash};
use super::mappings::Mappings;
use super::names::Line;
use super::pieces::Pieces;
use super::proto;
use super::sites::Site;
use crate::pages::PageVec;
use crate::stack::ReturnAddress;

/// Fills the tables of one profile.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    /// What was added since the last part went to the encoder.
    part: proto::Profile,
    encoder: Encoder,
    strings: Interned<Text>,
    text: PageVec<u8>,
    /// How many there are. Each is a function of the frames, or stands for one address: none comes twice.
    functions: u64,
    /// By the frames' index of a function; 0 for one that no location has had yet.
    by_index: PageVec<u64>,
    /// How many there are. More than are found again, if there was no memory for one.
    location_count: u64,
    locations: BySite<u64>,
    mappings: &'a Mappings,
    form: Form<'a>,
}

/// Of a mapping, with its file's name and build id; a little more than most have.
const MAPPING_BYTES: usize = 160;

/// What a location says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    /// Addresses in this process, with names, files and lines.
    Symbolized(&'a Frames),
    /// Addresses as the binary's own symbol table has them, in mappings without a range, without names: every
    /// symbolizer can use it, wherever the binary was loaded.
    Raw,
}

impl<'a> Tables<'a> {
    pub(super) fn new(mappings: &'a Mappings, form: Form<'a>, encoder: Encoder) -> Self {
        let (functions, addresses) = match form {
            Form::Symbolized(frames) => {
                let resolved = &frames.resolved;
                (resolved.names().function_count(), resolved.len())
            }
            Form::Raw => (0, 0),
        };
        let mut tables = Self {
            part: proto::Profile::default(),
            encoder,
            strings: Interned::new(),
            text: PageVec::new(),
            functions: 0,
            by_index: PageVec::collect(iter::repeat_n(0, functions)),
            location_count: 0,
            locations: BySite::with_room(addresses),
            mappings,
            form,
        };
        tables.string("");
        tables
    }

    /// Adds all mappings, and `rest`, whose tables are left empty. None if the profile is larger than it may be.
    pub(super) fn finish(mut self, rest: proto::Profile) -> Option<Pieces> {
        let symbolized = matches!(self.form, Form::Symbolized(_));
        let mappings = self.mappings;
        for (nth, mapping) in mappings.iter().enumerate() {
            let range = |value: u64| if symbolized { value } else { 0 };
            let mapping = proto::Mapping {
                id: nth as u64 + 1,
                memory_start: range(mapping.start as u64),
                memory_limit: range(mapping.limit as u64),
                file_offset: range(mapping.offset),
                filename: self.string(mapping.file.as_str()),
                build_id: self.string(mapping.build_id.as_str()),
                has_functions: symbolized,
                has_filenames: symbolized,
                has_line_numbers: symbolized,
                has_inline_frames: symbolized,
            };
            self.part.mapping.push(mapping);
        }
        self.encoder.add(&mut self.part);
        self.part = rest;
        self.encoder.add(&mut self.part);
        self.encoder.finish()
    }

    /// Whether there is room for no more than what is written behind the samples.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.encoder
            .is_nearly_full(MAPPING_BYTES * self.mappings.iter().count())
    }

    /// What the locations lie in.
    pub(super) fn mappings(&self) -> &'a Mappings {
        self.mappings
    }

    pub(super) fn add_sample(&mut self, sample: proto::Sample) {
        self.part.sample.push(sample);
        if self.part.sample.len() >= PART {
            self.encoder.add(&mut self.part);
        }
    }

    pub(super) fn value_type(&mut self, (name, unit): (&str, &str)) -> proto::ValueType {
        proto::ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    /// The index of a string; of the empty one if there is no memory for it.
    pub(super) fn string(&mut self, value: &str) -> i64 {
        let hash = hash(value);
        let text = self.text.as_slice();
        let known = self
            .strings
            .find(hash, |known| known.of(text) == value.as_bytes());
        let index = known.or_else(|| {
            let text = Text::add(&mut self.text, value)?;
            let index = self.strings.add(hash, text)?;
            self.part.string_table.push(value.to_owned());
            Some(index)
        });
        index.unwrap_or(0).into()
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        // No system name: where it equals the name, `go tool pprof` takes the name for C++ and cuts its generics.
        let function = proto::Function {
            id: self.functions + 1,
            name: self.string(name),
            system_name: 0,
            filename: self.string(file),
            start_line: 0,
        };
        self.part.function.push(function);
        self.functions += 1;
        self.functions
    }

    /// The function of a line, made once.
    fn function_at(&mut self, line: &Line, frames: &'a Frames) -> Option<u64> {
        let index = line.function as usize;
        match self.by_index.as_slice().get(index) {
            Some(0) => {}
            known => return known.copied(),
        }
        let function = frames.resolved.names().function(line)?;
        let id = self.function(function.name, function.file);
        if let Some(known) = self.by_index.as_mut_slice().get_mut(index) {
            *known = id;
        }
        Some(id)
    }

    /// The location of a pseudo frame.
    pub(super) fn pseudo(&mut self, pseudo: Pseudo) -> u64 {
        self.named(pseudo.address() as usize, pseudo.name())
    }

    /// The location of what is in no file that is mapped: by an address of its own, with this name.
    pub(super) fn named(&mut self, address: usize, name: &str) -> u64 {
        let key = Site::nowhere(ReturnAddress(address));
        if let Some(id) = self.locations.get(key) {
            return *id;
        }
        let function_id = self.function(name, "");
        self.add(
            key,
            address as u64,
            0,
            vec![proto::Line {
                function_id,
                ..Default::default()
            }],
        )
    }

    /// The location of a frame of code.
    pub(super) fn location(&mut self, frame: Site) -> u64 {
        if let Some(id) = self.locations.get(frame) {
            return *id;
        }
        let mappings = self.mappings;
        let call = frame.address.call();
        let mapping_id = frame.mapping.map_or(0, |nth| u64::from(nth) + 1);
        let frames = match self.form {
            Form::Symbolized(frames) => frames,
            Form::Raw => {
                let mapping = mappings.of(frame);
                let address = mapping.map_or(call, |mapping| mapping.file_address(call));
                return self.add(frame, (address as u64).max(1), mapping_id, Vec::new());
            }
        };
        let mut lines: Vec<proto::Line> = Vec::new();
        for line in frames.lines(frame) {
            let Some(function_id) = self.function_at(line, frames) else {
                continue;
            };
            lines.push(proto::Line {
                function_id,
                line: line.line.into(),
                column: 0,
            });
        }
        if lines.is_empty() {
            // A mapping is either symbolized or not: a frame without a name needs one, else it is lost on the way.
            let name = mappings.placeholder(frame);
            let function_id = self.function(&name, "");
            lines.push(proto::Line {
                function_id,
                ..Default::default()
            });
        }
        self.add(frame, (call as u64).max(1), mapping_id, lines)
    }

    fn add(&mut self, key: Site, address: u64, mapping_id: u64, line: Vec<proto::Line>) -> u64 {
        self.location_count += 1;
        let id = self.location_count;
        self.part.location.push(proto::Location {
            id,
            mapping_id,
            address,
            line,
            is_folded: false,
        });
        // Without memory for it the location comes once more.
        let _ = self.locations.insert(key, id);
        id
    }
}
