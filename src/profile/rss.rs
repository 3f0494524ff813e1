//! `heap?rss=1`: what the process has in physical memory besides the samples, so that a profile's total is its RSS.
//!
//! ```text
//! RSS = samples ┬ in use, estimated                                  the profile
//!               ├ [thread stacks], [file-backed]                     counted by the kernel
//!               ├ [profiler]                                         its mappings
//!               ├ [allocator: cached], [allocator: metadata]         as the allocator says, as far as there is room
//!               ├ [sampling error]                                   to what is in use as counted, if it is; may be below 0
//!               └ [other anonymous]                                  the rest: C code, rounding up, what is not counted
//!                 [not resident]                                     instead, below 0, if what is in use alone is more
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use super::frames::Pseudo;
use crate::record::{self, Suspended};
use crate::stats::AllocatorView;

/// The pseudo samples of a profile of all physical memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) resident: i64,
    pub(super) samples: [(Pseudo, i64); 8],
}

/// Physical memory by what it belongs to, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Resident {
    file_backed: i64,
    stacks: i64,
    anonymous: i64,
}

impl Rest {
    /// Reads it now. None where `/proc/self/smaps` cannot be read.
    pub(super) fn read(inuse_space: i64, view: Option<AllocatorView>) -> Option<Rest> {
        let _own = Suspended::new();
        let smaps = BufReader::new(File::open("/proc/self/smaps").ok()?);
        let resident = Resident::of(smaps.lines().map_while(Result::ok), &StackMarks::read())?;
        let profiler = record::counters().memory as i64;
        let counted = record::exact_counts();
        let counted = counted.and_then(|counts| i64::try_from(counts.inuse_bytes()).ok());
        Some(Self::of(
            resident,
            (inuse_space, counted.unwrap_or(inuse_space)),
            profiler,
            view.unwrap_or_default(),
        ))
    }

    /// `estimated` is what the samples say is in use, `counted` what is.
    fn of(
        resident: Resident,
        (estimated, counted): (i64, i64),
        profiler: i64,
        view: AllocatorView,
    ) -> Rest {
        // Tables that nobody has written to yet are mapped and not resident.
        let profiler = profiler.min(resident.anonymous);
        let left = resident.anonymous - profiler - counted;
        let not_resident = left.min(0);
        let left = left.max(0);
        // An allocator knows what it holds, not what of that the kernel has.
        let said = |bytes: Option<u64>| {
            let bytes = bytes.unwrap_or(0);
            i64::try_from(bytes).unwrap_or(i64::MAX)
        };
        let metadata = said(view.metadata).min(left);
        let cached = said(view.idle).min(left - metadata);
        Rest {
            resident: resident.file_backed + resident.stacks + resident.anonymous,
            samples: [
                (Pseudo::AllocatorCached, cached),
                (Pseudo::AllocatorMetadata, metadata),
                (Pseudo::ThreadStacks, resident.stacks),
                (Pseudo::FileBacked, resident.file_backed),
                (Pseudo::SamplingError, counted - estimated),
                (Pseudo::OtherAnonymous, left - metadata - cached),
                (Pseudo::Profiler, profiler),
                (Pseudo::NotResident, not_resident),
            ],
        }
    }
}

/// Addresses that tell the stacks of threads from other anonymous memory.
#[derive(Debug, Default)]
struct StackMarks {
    /// Stack pointers of threads that wait, and of this one.
    pointers: Vec<u64>,
    /// Variables of threads, which the C library keeps at the top of a stack that it has mapped. Believed only behind a
    /// guard: those of a library that was loaded later lie elsewhere.
    variables: Vec<u64>,
}

impl StackMarks {
    fn read() -> Self {
        let own = 0_u8;
        let mut pointers = vec![(&raw const own).addr() as u64];
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
        for task in tasks.flatten() {
            // "running", or a system call's number, its arguments, the stack pointer, the program counter.
            let state = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            let pointer = state.split_whitespace().rev().nth(1);
            let pointer = pointer.and_then(|word| word.strip_prefix("0x"));
            pointers.extend(pointer.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        StackMarks {
            pointers,
            variables: record::thread_variables()
                .map(|address| address as u64)
                .collect(),
        }
    }

    fn is_stack(&self, start: u64, limit: u64, is_guarded: bool) -> bool {
        let holds = |marks: &[u64]| marks.iter().any(|mark| (start..limit).contains(mark));
        holds(&self.pointers) || (is_guarded && holds(&self.variables))
    }
}

impl Resident {
    fn of(lines: impl Iterator<Item = String>, marks: &StackMarks) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Of {
            File,
            Stack,
            Anonymous,
        }
        let mut resident = Resident::default();
        let mut of = None;
        // Where the last mapping without permissions ended.
        let mut guard_limit = 0;
        let mut seen = HashSet::new();
        for line in lines {
            if let Some(kib) = line.strip_prefix("Rss:") {
                let kib = kib.trim().strip_suffix(" kB")?.parse::<i64>().ok()?;
                let sum = match of? {
                    Of::File => &mut resident.file_backed,
                    Of::Stack => &mut resident.stacks,
                    Of::Anonymous => &mut resident.anonymous,
                };
                *sum += kib * 1024;
                continue;
            }
            let mut words = line.split_whitespace();
            let Some((start, limit)) = words.next().and_then(|range| range.split_once('-')) else {
                continue;
            };
            let (Ok(start), Ok(limit)) = (
                u64::from_str_radix(start, 16),
                u64::from_str_radix(limit, 16),
            ) else {
                continue;
            };
            let permissions = words.next().unwrap_or_default();
            let name = words.nth(3).unwrap_or_default();
            // A reading that was interrupted by changes may repeat a mapping.
            if !seen.insert(start) {
                of = None;
                continue;
            }
            of = Some(match name {
                name if name.starts_with('/') => Of::File,
                "[stack]" => Of::Stack,
                "" if marks.is_stack(start, limit, guard_limit == start) => Of::Stack,
                _ => Of::Anonymous,
            });
            if permissions.starts_with("---") {
                guard_limit = limit;
            }
        }
        Some(resident)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-2000 r-xp 00000000 08:01 77 /bin/svc
Rss:                   4 kB
2000-9000 rw-p 00000000 00:00 0 [heap]
Rss:                  28 kB
a000-b000 ---p 00000000 00:00 0
Rss:                   0 kB
b000-f000 rw-p 00000000 00:00 0
Rss:                  16 kB
10000-20000 rw-p 00000000 00:00 0
Rss:                  64 kB
30000-40000 rw-p 00000000 00:00 0 [stack]
Rss:                   8 kB
";

    fn resident(marks: &StackMarks) -> Resident {
        Resident::of(SMAPS.lines().map(str::to_owned), marks).expect("well formed")
    }

    #[test]
    fn stacks_are_told_by_their_pointers_and_behind_guards() {
        let marks = StackMarks {
            pointers: vec![],
            variables: vec![0xe000, 0x10800],
        };
        let kib = |file_backed: i64, stacks: i64, anonymous: i64| Resident {
            file_backed: file_backed << 10,
            stacks: stacks << 10,
            anonymous: anonymous << 10,
        };
        assert_eq!(resident(&marks), kib(4, 24, 92));
        let marks = StackMarks {
            pointers: vec![0x10800],
            variables: vec![],
        };
        assert_eq!(resident(&marks), kib(4, 72, 44));
    }

    #[test]
    fn the_sum_is_what_is_resident() {
        let resident = resident(&StackMarks::default());
        let view = AllocatorView {
            idle: Some(1 << 40),
            metadata: Some(9),
            ..AllocatorView::default()
        };
        for inuse in [0, 1 << 14, 1 << 30] {
            for profiler in [0, 1 << 12, 1 << 30] {
                let rest = Rest::of(resident, (inuse, inuse + 77), profiler, view);
                let sum: i64 = rest.samples.iter().map(|(_, bytes)| bytes).sum();
                assert_eq!(sum + inuse, 120 << 10);
                assert_eq!(rest.resident, 120 << 10);
            }
        }
    }
}
