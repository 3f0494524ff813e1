//! A heap profile in raw form, written as it is read and from memory that was reserved before: what still works when there is
//! no memory left.
//!
//! Nothing is sorted, collected or resolved: a bucket is read, its new locations are written, then its sample. What is
//! written is what `?symbolize=0` answers: addresses as the binaries' own symbol tables have them, and build ids.

mod gzip;
mod label_ids;
mod location_ids;
mod message;

use std::io::{self, Write};
use std::time::SystemTime;

use self::gzip::Gzip;
use self::label_ids::LabelIds;
use self::location_ids::LocationIds;
use self::message::{Message, TEXT};
use super::all_mappings;
use super::frames::{Frames, Pseudo};
use super::heap::{HeapRecord, HeapValues, Summary};
use super::largest::Largest;
use super::mappings::Mappings;
use super::pprof::{SAMPLE_TYPES, nanos_since_epoch};
use super::profiler_stats::ProfilerStats;
use super::sites::Site;
use super::symbols::Resolved;
use crate::cut::cut;
use crate::error::Error;
use crate::labels;
use crate::limits::Limits;
use crate::record::{self, LabelSet, Suspended};
use crate::stack::{Changes, ReturnAddress};

/// Bytes of a profile before compression; what is read after that is folded into `[truncated]`. 65 536 buckets of 30 frames
/// take 8 MB at most, and compressed a quarter of it.
pub(crate) const RAW_BYTES: u64 = 8 << 20;

/// Left for what is written behind the samples: mappings, comments.
const TAIL_BYTES: u64 = 512 << 10;

/// Numbers of the fields of `proto/profile.proto` that are written here.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
}

/// What writing needs.
#[derive(Debug)]
pub(crate) struct RawProfile {
    loaded: Loaded,
    ids: LocationIds,
    labels: LabelIds,
    gzip: Gzip,
}

/// What was in the profile.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) total: HeapValues,
    pub(crate) largest: Largest,
}

/// What this process has loaded. Read when it changes: a profile then takes some hundred kilobytes for the kernel's list.
#[derive(Debug)]
struct Loaded {
    changes: Option<Changes>,
    mappings: Mappings,
    frames: Frames,
}

impl Loaded {
    fn read() -> Self {
        let changes = Changes::read_if_free();
        let mappings = all_mappings();
        let frames = Frames::of(Resolved::default(), &mappings);
        Self {
            changes,
            mappings,
            frames,
        }
    }

    fn refresh(&mut self) {
        if self.changes.is_none() || self.changes != Changes::read_if_free() {
            *self = Self::read();
        }
    }
}

impl RawProfile {
    /// Reserves and touches the memory: 1.3 MB.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], [`Error::NoMemory`].
    pub(crate) fn reserve() -> Result<Self, Error> {
        let _own = Suspended::new();
        record::sample_rate().ok_or(Error::NotInstalled)?;
        let mut reserved = Self {
            loaded: Loaded::read(),
            ids: LocationIds::reserve().ok_or(Error::NoMemory)?,
            labels: LabelIds::reserve().ok_or(Error::NoMemory)?,
            gzip: Gzip::reserve(),
        };
        // What this touches is there from now on.
        reserved.write(&[], &mut io::sink()).map_err(Error::Write)?;
        Ok(reserved)
    }

    /// Writes what the counts are now. Lines of `comments` that begin with `#` are kept in the file and not shown.
    pub(crate) fn write(&mut self, comments: &[&str], out: &mut dyn Write) -> io::Result<Written> {
        let _own = Suspended::new();
        self.loaded.refresh();
        self.ids.clear();
        self.labels.clear();
        self.gzip.begin(out)?;
        let mut writer = Writer {
            loaded: &self.loaded,
            ids: &mut self.ids,
            labels: &mut self.labels,
            gzip: &mut self.gzip,
            out,
            strings: 0,
            functions: 0,
            bytes: 0,
        };
        let written = writer.profile(comments)?;
        self.gzip.finish(out)?;
        Ok(written)
    }

    /// The largest stacks of what was written, a line each.
    pub(crate) fn describe(&self, largest: &Largest, stacks: usize) -> Vec<String> {
        let _own = Suspended::new();
        largest.describe(&self.loaded.mappings, stacks)
    }
}

struct Writer<'a> {
    loaded: &'a Loaded,
    ids: &'a mut LocationIds,
    labels: &'a mut LabelIds,
    gzip: &'a mut Gzip,
    out: &'a mut dyn Write,
    /// How many there are of each.
    strings: u64,
    functions: u64,
    bytes: u64,
}

impl Writer<'_> {
    fn profile(&mut self, comments: &[&str]) -> io::Result<Written> {
        self.string("")?;
        for named in SAMPLE_TYPES {
            self.value_type(field::SAMPLE_TYPE, named)?;
        }
        self.value_type(field::PERIOD_TYPE, ("space", "bytes"))?;
        let label = self.string("bytes")?;
        let mut folded = HeapValues::default();
        let mut folded_records = 0;
        let mut largest = Largest::new();
        let rate = record::sample_rate().unwrap_or(0);
        let mut failed = None;
        let records = HeapRecord::all().inspect(|record| {
            largest.add(*record);
            if failed.is_some() || record.estimate().is_zero() {
                return;
            }
            if self.bytes + TAIL_BYTES > RAW_BYTES {
                folded = folded + record.estimate();
                folded_records += 1;
                return;
            }
            failed = self.record(record, label).err();
        });
        let summary = Summary::of(records, rate);
        if let Some(error) = failed {
            return Err(error);
        }
        if !folded.is_zero() {
            let location = self.pseudo(Pseudo::Truncated)?;
            self.sample(&[location], folded, None, LabelSet::NONE)?;
        }
        self.mappings()?;
        self.number(
            field::TIME_NANOS,
            nanos_since_epoch(SystemTime::now()) as u64,
        )?;
        self.number(field::PERIOD, rate as u64)?;
        for comment in comments {
            self.comment(comment)?;
        }
        self.comment(&format!(
            "#in-use {} bytes, standard error of sampling {:.0} bytes",
            summary.total.inuse_space, summary.inuse_space_error
        ))?;
        for loss in ProfilerStats::read().losses() {
            self.comment(&loss)?;
        }
        if folded_records > 0 {
            self.comment(&format!(
                "{folded_records} entries are folded into [truncated]: the profile's size limit; totals are kept"
            ))?;
        }
        Ok(Written {
            total: summary.total,
            largest,
        })
    }

    fn record(&mut self, record: &HeapRecord, label: u64) -> io::Result<()> {
        let Some(bucket) = record.bucket() else {
            let location = self.pseudo(Pseudo::OverLimit)?;
            return self.sample(&[location], record.estimate(), None, LabelSet::NONE);
        };
        let loaded = self.loaded;
        let mut stack = [Site::nowhere(ReturnAddress(0)); Limits::MAX_DEPTH];
        let mut depth = 0;
        let sites = Site::of_stack(bucket.frames(), &loaded.mappings);
        for (slot, site) in stack.iter_mut().zip(sites) {
            *slot = site;
            depth += 1;
        }
        let visible = loaded
            .frames
            .visible(stack.get(..depth).unwrap_or_default());
        // One more for each pseudo frame.
        let mut ids = [0; Limits::MAX_DEPTH + 2];
        let mut count = 0;
        let mut add = |id| {
            if let Some(slot) = ids.get_mut(count) {
                *slot = id;
                count += 1;
            }
        };
        for site in visible {
            add(self.location(*site)?);
        }
        if visible.is_empty() {
            add(self.pseudo(Pseudo::NoStack)?);
        }
        if bucket.is_truncated() {
            add(self.pseudo(Pseudo::StackTruncated)?);
        }
        let ids = ids.get(..count).unwrap_or_default();
        let size = record.size().map(|size| (label, size));
        self.sample(ids, record.estimate(), size, bucket.labels())
    }

    fn sample(
        &mut self,
        ids: &[u64],
        values: HeapValues,
        size: Option<(u64, usize)>,
        labels: LabelSet,
    ) -> io::Result<()> {
        let first = self.label_strings(labels)?;
        let mut packed = Message::new();
        let mut sample = Message::new();
        ids.iter().for_each(|id| packed.varint(*id));
        sample.bytes(1, packed.as_slice());
        packed.clear();
        let values = values.in_order();
        values.iter().for_each(|value| packed.varint(*value as u64));
        sample.bytes(2, packed.as_slice());
        if let Some((key, size)) = size {
            packed.clear();
            packed.number(1, key);
            packed.number(3, size as u64);
            sample.bytes(3, packed.as_slice());
        }
        // Key and value, key and value.
        for (nth, _) in labels::of(labels).enumerate() {
            packed.clear();
            packed.number(1, first + 2 * nth as u64);
            packed.number(2, first + 2 * nth as u64 + 1);
            sample.bytes(3, packed.as_slice());
        }
        self.message(field::SAMPLE, &sample)
    }

    /// The index of the first of a set's strings, which are written with the first sample that has them.
    fn label_strings(&mut self, set: LabelSet) -> io::Result<u64> {
        if let Some(known) = self.labels.get(set) {
            return Ok(known);
        }
        let first = self.strings;
        for (key, value) in labels::of(set) {
            self.string(key)?;
            self.string(value)?;
        }
        self.labels.set(set, first);
        Ok(first)
    }

    fn location(&mut self, site: Site) -> io::Result<u64> {
        let (id, is_new) = self.ids.of(site);
        if is_new {
            let call = site.address.call();
            let mapping = self.loaded.mappings.of(site);
            let address = mapping.map_or(call, |mapping| mapping.file_address(call));
            let mut location = Message::new();
            location.number(1, id);
            location.number(2, site.mapping.map_or(0, |nth| u64::from(nth) + 1));
            location.number(3, (address as u64).max(1));
            self.message(field::LOCATION, &location)?;
        }
        Ok(id)
    }

    fn pseudo(&mut self, pseudo: Pseudo) -> io::Result<u64> {
        let address = pseudo.address();
        let (id, is_new) = self.ids.of(Site::nowhere(ReturnAddress(address as usize)));
        if is_new {
            let name = self.string(pseudo.name())?;
            self.functions += 1;
            let mut function = Message::new();
            function.number(1, self.functions);
            function.number(2, name);
            self.message(field::FUNCTION, &function)?;
            let mut line = Message::new();
            line.number(1, self.functions);
            let mut location = Message::new();
            location.number(1, id);
            location.number(3, address);
            location.bytes(4, line.as_slice());
            self.message(field::LOCATION, &location)?;
        }
        Ok(id)
    }

    /// Without a range: every symbolizer can use it, wherever the binary was loaded.
    fn mappings(&mut self) -> io::Result<()> {
        let loaded = self.loaded;
        for (id, mapping) in (1..).zip(loaded.mappings.iter()) {
            let mut message = Message::new();
            message.number(1, id);
            message.number(5, self.string(&mapping.file)?);
            message.number(6, self.string(&mapping.build_id)?);
            self.message(field::MAPPING, &message)?;
        }
        Ok(())
    }

    fn value_type(&mut self, number: u32, (name, unit): (&str, &str)) -> io::Result<()> {
        let mut message = Message::new();
        message.number(1, self.string(name)?);
        message.number(2, self.string(unit)?);
        self.message(number, &message)
    }

    fn comment(&mut self, comment: &str) -> io::Result<()> {
        let text = self.string(comment)?;
        self.number(field::COMMENT, text)
    }

    /// The index of a string, which is written each time: there are few.
    fn string(&mut self, text: &str) -> io::Result<u64> {
        let mut message = Message::new();
        message.bytes(field::STRING_TABLE, cut(text, TEXT).as_bytes());
        self.put(&message)?;
        self.strings += 1;
        Ok(self.strings - 1)
    }

    fn number(&mut self, number: u32, value: u64) -> io::Result<()> {
        let mut message = Message::new();
        message.number(number, value);
        self.put(&message)
    }

    fn message(&mut self, number: u32, message: &Message) -> io::Result<()> {
        let mut head = Message::new();
        head.head(number, message.as_slice().len());
        self.put(&head)?;
        self.put(message)
    }

    fn put(&mut self, message: &Message) -> io::Result<()> {
        self.bytes += message.as_slice().len() as u64;
        self.gzip.write(message.as_slice(), self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::ProfileFormat;
    use super::super::heap::{DefaultSampleType, HeapProfile, PprofView};
    use super::super::{pprof, proto};
    use super::*;
    use prost::Message as _;
    use std::io::Read;

    fn decode(gzip: &[u8]) -> proto::Profile {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(gzip)
            .read_to_end(&mut bytes)
            .unwrap();
        proto::Profile::decode(bytes.as_slice()).unwrap()
    }

    /// Without the allocator there are no buckets, but for those that other tests of this process made; so what is compared
    /// is the frame of it.
    #[test]
    fn it_has_the_header_and_the_mappings_of_the_other_writer() {
        let Ok(profile) = HeapProfile::capture() else {
            return;
        };
        let view = PprofView {
            types: false,
            default_sample_type: DefaultSampleType::Unset,
            symbolize: false,
            format: ProfileFormat::Pprof,
        };
        let parts = pprof::write(&profile, view);
        let parts: Vec<u8> = parts.iter().flatten().copied().collect();
        let other = decode(&parts);
        let mut file = Vec::new();
        let mut raw = RawProfile::reserve().unwrap();
        raw.write(&["#x"], &mut file).unwrap();
        let this = decode(&file);
        assert_eq!(this.sample_type.len(), other.sample_type.len());
        assert_eq!(this.mapping.len(), other.mapping.len());
    }
}
