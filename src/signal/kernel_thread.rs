//! What `/proc/self/task` says of each thread. Outside handlers.

use std::fs;
use std::time::Duration;

use super::wait_state;

/// A thread, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelThread {
    pub(super) tid: i32,
    /// At most 15 bytes, with what is not UTF-8 replaced.
    pub(super) name: String,
    /// The kernel's letter, `?` if it does not say.
    pub(super) state: char,
    /// What it waits for, or does, in a few words.
    pub(super) doing: String,
    /// Since it was started.
    pub(super) age: Option<Duration>,
    /// The signals that it blocks, the first in the lowest bit.
    blocked: u64,
}

/// The numbers of all threads, in no particular order. Empty without `/proc`.
pub(super) fn tids() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten();
    let tid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.flatten().filter_map(tid).collect()
}

/// All threads, by number. One that ends meanwhile may be left out.
pub(super) fn kernel_threads() -> Vec<KernelThread> {
    let mut tids = tids();
    tids.sort_unstable();
    let now = since_boot();
    tids.into_iter()
        .filter_map(|tid| KernelThread::read(tid, now))
        .collect()
}

fn read(tid: i32, file: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/self/task/{tid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a thread exists.
pub(super) fn is_there(tid: i32) -> bool {
    fs::exists(format!("/proc/self/task/{tid}")).unwrap_or(false)
}

/// A thread's name, if it blocks `signal`.
pub(super) fn name_if_blocks(tid: i32, signal: libc::c_int) -> Option<String> {
    let status = read(tid, "status")?;
    is_in(blocked(&status), signal).then(|| {
        let name = status.lines().find_map(|line| line.strip_prefix("Name:"));
        name.unwrap_or_default().trim().to_owned()
    })
}

fn is_in(set: u64, signal: libc::c_int) -> bool {
    let bit = u32::try_from(signal - 1).unwrap_or(u32::MAX);
    set.checked_shr(bit).is_some_and(|rest| rest & 1 != 0)
}

fn blocked(status: &str) -> u64 {
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix("SigBlk:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

impl KernelThread {
    fn read(tid: i32, now: Option<Duration>) -> Option<Self> {
        let stat = read(tid, "stat")?;
        let (name, state, started) = parse_stat(&stat)?;
        let status = read(tid, "status").unwrap_or_default();
        let what = |file| read(tid, file).unwrap_or_default();
        Some(Self {
            tid,
            name: name.chars().flat_map(shown).collect(),
            state,
            doing: wait_state::describe(state, &what("syscall"), &what("wchan")),
            age: now.zip(started).map(|(now, at)| now.saturating_sub(at)),
            blocked: blocked(&status),
        })
    }

    pub(super) fn blocks(&self, signal: libc::c_int) -> bool {
        is_in(self.blocked, signal)
    }
}

/// A letter of a name, fit for a line of text.
fn shown(letter: char) -> impl Iterator<Item = char> {
    let is_plain = !letter.is_control();
    let escaped = (!is_plain).then(|| letter.escape_default());
    is_plain
        .then_some(letter)
        .into_iter()
        .chain(escaped.into_iter().flatten())
}

/// The name, the state and the time since boot at which it was started.
fn parse_stat(stat: &str) -> Option<(&str, char, Option<Duration>)> {
    // A name may hold anything, parentheses too.
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The 22nd of all, of which the state is the third.
    let started: Option<u64> = fields.nth(18).and_then(|ticks| ticks.parse().ok());
    // SAFETY: asks for a number.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok();
    let ticks = ticks.filter(|ticks| *ticks > 0);
    let started = started
        .zip(ticks)
        .map(|(started, ticks)| Duration::from_millis(started.saturating_mul(1_000) / ticks));
    Some((name, state, started))
}

fn since_boot() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid to write to.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) } != 0 {
        return None;
    }
    let (seconds, nanos) = (
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    );
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "17 (a) (S\n) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 500 0\n";
        assert_eq!(
            parse_stat(stat),
            Some(("a) (S\n", 'R', Some(Duration::from_secs(5))))
        );
        assert_eq!(
            "a\nb\u{7f}é".chars().flat_map(shown).collect::<String>(),
            "a\\nb\\u{7f}é"
        );
        for odd in ["", "17", "17 (a", "17 (a)", "17 a) ("] {
            assert_eq!(parse_stat(odd), None, "{odd:?}");
        }
        assert_eq!(parse_stat("17 (a) S"), Some(("a", 'S', None)));
    }

    #[test]
    fn blocked_signals_are_read() {
        let set = blocked("Name:\tx\nSigBlk:\t0000000080000001\nSigIgn:\tffffffffffffffff\n");
        assert!(is_in(set, 1) && is_in(set, 32) && !is_in(set, 2));
        assert!(!is_in(u64::MAX, 0) && !is_in(u64::MAX, 65) && is_in(u64::MAX, 64));
        assert_eq!(blocked(""), 0);
    }

    #[test]
    fn this_thread_is_there_with_its_name_and_age() {
        let thread = std::thread::Builder::new().name("task-of-a-test".into());
        let found = thread.spawn(|| {
            let own = crate::signal::handler::own_tid();
            kernel_threads()
                .into_iter()
                .find(|thread| thread.tid == own)
        });
        let task = found.unwrap().join().unwrap().expect("this thread");
        assert_eq!((task.name.as_str(), task.state), ("task-of-a-test", 'R'));
        assert!(task.age.unwrap() < Duration::from_secs(60), "{task:?}");
        assert_eq!(task.doing, "running");
    }
}
