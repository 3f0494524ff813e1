//! The sections of debug information: read in place, decompressed beside the heap where they are compressed.

use flate2::{Decompress, FlushDecompress, Status};
use gimli::{Dwarf, EndianSlice, NativeEndian, SectionId};
use object::elf::ELFCOMPRESS_ZLIB;
use object::read::elf::{CompressionHeader, SectionHeader};

use super::image::Image;
use super::memory_map::MemoryMap;

/// Bytes of debug information, wherever they lie.
pub(super) type Bytes<'d> = EndianSlice<'d, NativeEndian>;

/// What is read of it. Types, variables and macros are skipped over.
const READ: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAranges,
];

/// Debug information that decompresses to more than this is left alone, as if there were none. Ten times the largest
/// that was seen; more than this is no profile's price.
const MOST_DECOMPRESSED: u64 = 1 << 30;

/// Those sections that had to be decompressed.
#[derive(Debug, Default)]
pub(super) struct Decompressed(Vec<(SectionId, MemoryMap)>);

enum Section<'d> {
    Plain(&'d [u8]),
    Zlib { data: &'d [u8], len: u64 },
}

fn section<'d>(image: &Image<'d>, id: SectionId) -> Option<Section<'d>> {
    let header = image.section(id.name())?;
    let endian = object::NativeEndian;
    match header.compression(endian, image.data).ok()? {
        None => Some(Section::Plain(header.data(endian, image.data).ok()?)),
        Some((compression, offset, len)) if compression.ch_type(endian) == ELFCOMPRESS_ZLIB => {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            Some(Section::Zlib {
                data: image.data.get(start..end)?,
                len: compression.ch_size(endian),
            })
        }
        // Zstandard would be a dependency of its own.
        Some(_) => None,
    }
}

/// Bytes of memory that reading this file's debug information takes for decompressing; None if that is out of bounds.
pub(super) fn decompressed_len(image: &Image<'_>) -> Option<u64> {
    let len = READ
        .iter()
        .filter_map(|id| match section(image, *id)? {
            Section::Plain(_) => None,
            Section::Zlib { len, .. } => Some(len),
        })
        .fold(0, u64::saturating_add);
    (len <= MOST_DECOMPRESSED).then_some(len)
}

impl Decompressed {
    pub(super) fn of(image: &Image<'_>) -> Self {
        let inflate = |id: &SectionId| match section(image, *id)? {
            Section::Plain(_) => None,
            Section::Zlib { data, len } => Some((*id, inflate(data, len)?)),
        };
        Self(READ.iter().filter_map(inflate).collect())
    }
}

fn inflate(data: &[u8], len: u64) -> Option<MemoryMap> {
    let mut map = MemoryMap::zeroed(usize::try_from(len).ok()?)?;
    let mut stream = Decompress::new(true);
    let status = stream.decompress(data, map.bytes_mut(), FlushDecompress::Finish);
    (matches!(status, Ok(Status::StreamEnd)) && stream.total_out() == len).then_some(map)
}

/// The debug information of a file; empty sections for those that it does not have.
pub(super) fn dwarf<'d>(image: &Image<'d>, decompressed: &'d Decompressed) -> Dwarf<Bytes<'d>> {
    let load = |id: SectionId| {
        let inflated = decompressed.0.iter().find(|(inflated, _)| *inflated == id);
        let bytes = match inflated {
            Some((_, map)) => map.bytes(),
            None if READ.contains(&id) => match section(image, id) {
                Some(Section::Plain(bytes)) => bytes,
                _ => &[],
            },
            None => &[],
        };
        Ok::<_, ()>(EndianSlice::new(bytes, NativeEndian))
    };
    // `load` does not fail.
    Dwarf::load(load).unwrap_or_default()
}
