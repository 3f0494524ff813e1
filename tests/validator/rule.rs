//! The rules by name, and a broken one.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// What a profile must satisfy: consumers.md §1.2 and design.md §6, one variant per row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Rule { $($(#[$doc])* $rule,)* }

        impl Rule {
            pub(crate) const ALL: &[Rule] = &[$(Rule::$rule,)*];
        }
    };
}

rules! {
    // The envelope.
    /// The body is one whole gzip stream.
    Gzip,
    /// Pyroscope rejects more than 4 MiB.
    UncompressedSize,
    /// It is the protobuf message that it claims to be.
    Decodes,
    /// No field that profile.proto does not define.
    KnownFields,
    /// Pyroscope rejects the whole profile for one bad byte.
    Utf8,
    /// As `Utf8`, for the comments, which come from a source of their own.
    CommentUtf8,
    /// Twice is "concatenated profiles detected".
    TimeNanosOnce,

    // Tables and references.
    /// `string_table[0]` is empty.
    EmptyStringFirst,
    /// Every string index points into the table.
    StringIndexInRange,
    /// Pyroscope cuts longer names.
    NameLength,
    /// 1..n in table order, which only Parca demands.
    MappingIdsInOrder,
    /// As `MappingIdsInOrder`.
    LocationIdsInOrder,
    /// As `MappingIdsInOrder`.
    FunctionIdsInOrder,
    /// A sample's locations exist.
    SampleLocationResolves,
    /// A location's mapping exists.
    LocationMappingResolves,
    /// A line's function exists.
    LineFunctionResolves,

    // The header.
    /// Go's types and units for this kind of profile, in Go's order.
    SampleTypes,
    /// Parca parses them as PromQL, Pyroscope refuses `-`.
    SampleTypeIsIdentifier,
    /// Go's for this kind; without it Pyroscope panics.
    PeriodType,
    /// The sampling rate.
    Period,
    /// Pyroscope's ingestion window.
    TimeNanos,
    /// 0 on snapshots, or Parca takes them for deltas; positive on deltas.
    Duration,
    /// alloc_space on allocs, absent elsewhere.
    DefaultSampleType,
    /// It must name a type of this profile.
    DefaultSampleTypeExists,
    /// The tool's pruning deletes user frames from mid-stack.
    NoDropOrKeepFrames,

    // Mappings.
    /// Mapping 1 titles the profile and carries the build id.
    MainBinaryFirst,
    /// A path that can be opened makes the tool's source view empty.
    FilenameIsBasename,
    /// What debuginfod and Pyroscope match.
    BuildIdIsLowerHex,
    /// All four true when symbolized, all false in the raw form.
    MappingFlags,
    /// Start below limit when symbolized, 0-0-0 in the raw form.
    MappingRange,

    // Locations and functions.
    /// Alloy tells stacks apart by address.
    AddressNotZero,
    /// One location per call address.
    AddressUnique,
    /// A location lies inside its mapping.
    AddressInMapping,
    /// A frame without mapping is a pseudo frame: reserved address, one line, `[name]`; and only such a frame has one.
    PseudoFrame,
    /// Symbolized form: every frame has a name.
    LocationHasLine,
    /// Raw form: lines would keep consumers from symbolizing.
    RawLocationHasNoLine,
    /// "line with nil function".
    LineHasFunction,
    /// Equal to the name, it makes the tool strip generics.
    SystemNameEmpty,
    /// A nameless frame is a lost frame.
    FunctionNamed,

    // Samples.
    /// As many values as sample types.
    ValueCount,
    /// Pyroscope drops negative samples; only in-use growth may be negative.
    NoNegativeValue,
    /// What is live was allocated.
    InuseWithinAlloc,
    /// A delta lists what changed.
    NoZeroSampleInDelta,
    /// A sample says where.
    SampleHasStack,
    /// Pyroscope cuts deeper stacks at the leaf.
    Depth,
    /// Pyroscope rejects more than 16 000.
    SampleCount,
    /// Go's numeric label `bytes`: the size of one object, unless the comment says that some have none.
    BytesLabel,
    /// Parca rejects it.
    LabelKeyNotZero,
    /// Parca takes the first, the OpenTelemetry converter rejects.
    LabelKeyUnique,
}

/// A rule that a profile breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}
