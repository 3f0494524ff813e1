//! `Status`: what `/proc/self/status` says, for profiles and for the room `stats`.

use std::fs;

/// Sizes in bytes. None for what the file does not say, and where there is no `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) peak_resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
}

impl Status {
    pub(crate) fn read() -> Status {
        // As bytes: the process's name in it need not be UTF-8.
        let status = fs::read("/proc/self/status").unwrap_or_default();
        Status::parse(&String::from_utf8_lossy(&status))
    }

    fn parse(status: &str) -> Status {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.strip_prefix(':')?.trim())
        };
        let bytes = |name: &str| {
            let kilobytes = value(name)?.strip_suffix(" kB")?.parse::<u64>().ok()?;
            kilobytes.checked_mul(1024)
        };
        Status {
            resident_bytes: bytes("VmRSS"),
            peak_resident_bytes: bytes("VmHWM"),
            virtual_bytes: bytes("VmSize"),
            threads: value("Threads").and_then(|threads| threads.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn what_is_odd_is_absent() {
        let status = Status::parse(
            "Name:\tVmRSS: 1 kB\nVmSize:\t   4 kB\nVmRSS:\t18014398509481984 kB\nVmHWM:\t12 MB\nThreads:\t7\n",
        );
        let expected = Status {
            virtual_bytes: Some(4096),
            threads: Some(7),
            ..Status::default()
        };
        assert_eq!(status, expected);
        assert_eq!(Status::parse(""), Status::default());
    }
}
