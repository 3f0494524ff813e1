//! What is watched: resident memory, the tightest limit and how much of it is used, and how long work stood still for want
//! of memory. Files are opened once and read into a buffer on the stack, so that looking takes no memory and no descriptor.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::Path;

use crate::memory_groups::{Hierarchy, MemoryGroup, Used, read_beginning};

/// Open files.
#[derive(Debug)]
pub(super) struct Readings {
    /// Of the kernel, in pages: address space, resident memory.
    statm: Option<File>,
    page: u64,
    groups: Vec<MemoryGroup>,
    /// Bytes of memory of the machine.
    machine: Option<u64>,
    pressure: Option<File>,
}

/// A limit, and how much of it is used, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) used: u64,
    pub(super) limit: u64,
    pub(super) of: &'static str,
}

impl Use {
    pub(super) fn share(self) -> f64 {
        self.used as f64 / self.limit.max(1) as f64
    }
}

impl Readings {
    pub(super) fn open() -> Self {
        Self::at(Path::new("/proc"), &Hierarchy::all())
    }

    fn at(proc: &Path, hierarchies: &[Hierarchy]) -> Self {
        let own_pressure = hierarchies
            .iter()
            .flat_map(Hierarchy::directories)
            .find_map(|group| File::open(group.join("memory.pressure")).ok());
        let info = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let total =
            total.and_then(|kib| kib.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        // SAFETY: no preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Self {
            statm: File::open(proc.join("self/statm")).ok(),
            page: u64::try_from(page).unwrap_or(4096),
            groups: hierarchies.iter().flat_map(Hierarchy::groups).collect(),
            machine: total.map(|kib| kib.saturating_mul(1024)),
            pressure: own_pressure.or_else(|| File::open(proc.join("pressure/memory")).ok()),
        }
    }

    /// Bytes of resident memory; None without `/proc`.
    pub(super) fn resident(&self) -> Option<u64> {
        self.pages(1)
    }

    fn pages(&self, nth: usize) -> Option<u64> {
        let mut buffer = [0; 256];
        let text = read_beginning(self.statm.as_ref()?, &mut buffer)?;
        let pages: u64 = text.split_ascii_whitespace().nth(nth)?.parse().ok()?;
        pages.checked_mul(self.page)
    }

    /// The limit that is used most, by its share: a control group's, this process's address space (`RLIMIT_AS`), or, where
    /// there are none, the machine's memory, of which this process alone has so much. `interesting` is the share from which
    /// it is worth to count exactly.
    pub(super) fn tightest(&self, interesting: f64) -> Option<Use> {
        let groups = self.groups.iter().filter_map(|group| {
            let Used { used, limit } = group.used(interesting)?;
            Some(Use {
                used,
                limit,
                of: "the control group",
            })
        });
        let limits = groups.chain(self.address_space());
        let tightest = limits.max_by(|a, b| a.share().total_cmp(&b.share()));
        tightest.or_else(|| {
            Some(Use {
                used: self.resident()?,
                limit: self.machine?,
                of: "the machine",
            })
        })
    }

    fn address_space(&self) -> Option<Use> {
        let mut limit = MaybeUninit::<libc::rlimit>::uninit();
        // SAFETY: valid to write to.
        if unsafe { libc::getrlimit(libc::RLIMIT_AS, limit.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call has written it.
        let limit = unsafe { limit.assume_init() }.rlim_cur;
        (limit != libc::RLIM_INFINITY).then_some(())?;
        Some(Use {
            used: self.pages(0)?,
            limit,
            of: "the address space (RLIMIT_AS)",
        })
    }

    /// Of the last ten seconds, how many in a hundred something waited for memory; None if the kernel does not say.
    pub(super) fn pressure(&self) -> Option<f64> {
        let mut buffer = [0; 512];
        let text = read_beginning(self.pressure.as_ref()?, &mut buffer)?;
        let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
        let average = some
            .split_ascii_whitespace()
            .find_map(|field| field.strip_prefix("avg10="))?;
        average.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::memory_groups::tests::mountinfo;

    /// As the kernel's files are.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!(
                "debug-pprof-readings-{name}-{}",
                std::process::id()
            ));
            let _ = fs::remove_dir_all(&root);
            let machine = Self(root);
            machine.write("proc/self/statm", "200 100 5 1 0 9 0\n");
            machine.write("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\n");
            machine
        }

        fn write(&self, file: &str, text: &str) {
            let file = self.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn open(&self, groups: &str) -> Readings {
            let mounts = mountinfo(&self.0.join("cg"));
            let hierarchies = Hierarchy::all_in(groups.as_bytes(), mounts.as_bytes());
            let mut readings = Readings::at(&self.0.join("proc"), &hierarchies);
            readings.page = 4096;
            readings
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_tightest_group_counts_and_cached_files_are_free() {
        let machine = Machine::new("groups");
        for (file, text) in [
            ("cg/memory.pressure", "some avg10=1.00 avg60=0.00 total=0\n"),
            ("cg/a/memory.max", "1000\n"),
            ("cg/a/memory.current", "900\n"),
            ("cg/a/memory.stat", "anon 5\ninactive_file 300\nfile 400\n"),
            ("cg/a/b/memory.max", "max\n"),
            ("cg/a/b/memory.current", "100\n"),
            (
                "cg/a/b/memory.pressure",
                "some avg10=12.34 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00\n",
            ),
            ("cg/memory/d/memory.limit_in_bytes", "70\n"),
            ("cg/memory/d/memory.usage_in_bytes", "80\n"),
            ("cg/memory/e/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cg/memory/e/memory.usage_in_bytes", "80\n"),
        ] {
            machine.write(file, text);
        }
        let tightest = |groups: &str, interesting| {
            let tightest = machine.open(groups).tightest(interesting).unwrap();
            (tightest.used, tightest.limit)
        };
        assert_eq!(tightest("0::/a/b\n", 0.8), (600, 1000));
        assert_eq!(tightest("0::/a/b\n", 0.95), (900, 1000));
        assert_eq!(tightest("9:cpu,memory:/d\n0::/a\n", 0.8), (80, 70));
        // Without a limit, the machine.
        for groups in ["0::/not/here\n", "9:memory:/e\n", "garbage", ""] {
            assert_eq!(tightest(groups, 0.8), (409_600, 1_024_000), "{groups}");
        }
        assert_eq!(machine.open("0::/a/b\n").pressure(), Some(12.34));
        assert_eq!(machine.open("0::/x\n").pressure(), Some(1.0));
        // A limit that is set while it is watched.
        let readings = machine.open("0::/a/b\n");
        machine.write("cg/a/b/memory.max", "101\n");
        assert_eq!(readings.tightest(2.0).unwrap().limit, 101);
    }

    #[test]
    fn nonsense_is_no_reading() {
        let machine = Machine::new("nonsense");
        let readings = machine.open("0::/\n");
        assert_eq!(readings.resident(), Some(409_600));
        assert_eq!(readings.pressure(), None);
        for text in ["", "x", "1", "200 99999999999999999999 5", "\u{fffd}"] {
            machine.write("proc/self/statm", text);
            assert_eq!(readings.resident(), None, "{text:?}");
        }
        for text in ["", "some", "some avg10=", "some avg10=x", "full avg10=1.0"] {
            machine.write("proc/pressure/memory", text);
            assert_eq!(machine.open("").pressure(), None, "{text:?}");
        }
        // Whatever the machine has.
        let readings = Readings::open();
        assert!(readings.resident().is_some() && readings.tightest(0.8).is_some());
    }
}
