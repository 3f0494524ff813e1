//! What is said of leaks: a line, and a table that a person can read.

use std::fmt;
use std::time::Duration;

use super::{Leak, Leaks, SHORTEST};
use crate::profile::{NamedFrame, memory_headroom, stack_names};
use crate::watch::growth::shown;

/// Stacks that the table shows, and that have grown but do not leak.
const SHOWN: usize = 10;
const SHOWN_STOPPED: usize = 5;

impl Leaks {
    /// What there is to say in one line.
    pub(super) fn headline(&self) -> String {
        if self.is_too_early() {
            let left = (self.period * SHORTEST).saturating_sub(self.watched);
            return format!(
                "too early to tell: watched for {}; ask again in {}",
                shown(self.watched),
                shown(left.max(Duration::from_secs(1)))
            );
        }
        let watched = shown(self.watched);
        match self.leaks.len() {
            0 => format!(
                "nothing leaks: none of {} stacks grows steadily; watched for {watched}",
                self.stacks
            ),
            count => format!(
                "{count} of {} stacks grow steadily; watched for {watched}",
                self.stacks
            ),
        }
    }
}

/// The table.
impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        if self.is_cut {
            writeln!(
                f,
                "the history is shorter than a day: WatchOptions::history_bytes is used up"
            )?;
        }
        if self.is_too_early() {
            return Ok(());
        }
        let per_hour: f64 = self.leaks.iter().map(Leak::per_hour).sum();
        if per_hour > 0.0 {
            write!(f, "\ntogether {} an hour", size(per_hour))?;
            let left = memory_headroom();
            // Some say "none" with a number that no machine has.
            if left < 1 << 50 {
                let hours = left as f64 / per_hour;
                let when = Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::MAX);
                write!(
                    f,
                    "; the memory limit leaves {}, which lasts {}",
                    size(left as f64),
                    shown(when)
                )?;
            }
            writeln!(f)?;
        }
        let leaks = self.leaks.get(..SHOWN).unwrap_or(&self.leaks);
        let stopped = self.stopped.get(..SHOWN_STOPPED).unwrap_or(&self.stopped);
        let stacks = leaks.iter().map(|leak| leak.bucket);
        let stacks: Vec<_> = stacks.chain(stopped.iter().map(|one| one.0)).collect();
        let mut names = stack_names(&stacks).into_iter();
        for (nth, (leak, stack)) in leaks.iter().zip(names.by_ref()).enumerate() {
            let line = user_line(&stack.frames);
            writeln!(
                f,
                "\n{}. {}",
                nth + 1,
                line.map_or_else(|| "[no stack]".to_owned(), text)
            )?;
            if let Some(of_type) = &stack.of_type {
                writeln!(f, "   of type {of_type}")?;
            }
            writeln!(
                f,
                "   +{} in {}, {} an hour; +{:.0} objects; {} of {} in use are older than {}, the oldest {}",
                size(leak.bytes),
                shown(leak.window),
                size(leak.per_hour()),
                leak.objects,
                size(leak.old),
                size(leak.inuse),
                shown(leak.young),
                shown(leak.oldest)
            )?;
            for frame in without_foreign_root(&stack.frames) {
                writeln!(f, "      {}", text(frame))?;
            }
        }
        if let Some(rest @ 1..) = self.leaks.len().checked_sub(leaks.len()) {
            writeln!(
                f,
                "\nand {rest} more: go tool pprof on this page without debug=1 has them all"
            )?;
        }
        if !stopped.is_empty() {
            writeln!(f, "\nalso grew, and is not taken for a leak:")?;
        }
        for ((_, bytes, why), stack) in stopped.iter().zip(names) {
            let line = user_line(&stack.frames).map_or_else(|| "[no stack]".to_owned(), text);
            writeln!(f, "   +{}: {why}: {line}", size(*bytes))?;
        }
        if leaks.is_empty() {
            return writeln!(
                f,
                "\nwhat to do next: if memory grows all the same, heap?since=1h shows all that grew; a buffer that doubles is \
                 one object and is seen only there"
            );
        }
        writeln!(
            f,
            "\nwhat to do next: look at the line named first of each stack: what it allocates is kept by somebody, and not \
             freed. heap?since=1h shows all that grew, heap?min_age=10m all that is old; a cache that is not full yet looks \
             like a leak until it is"
        )
    }
}

fn text(frame: &NamedFrame) -> String {
    if frame.place.is_empty() {
        frame.function.clone()
    } else {
        format!("{}  {}", frame.function, frame.place)
    }
}

/// Whether a frame is the standard library's, libc's or a dependency's.
fn is_foreign(frame: &NamedFrame) -> bool {
    [
        "/rustc/",
        "/.cargo/registry/",
        "/.cargo/git/",
        "/library/",
        "./nptl/",
        "../sysdeps/",
    ]
    .iter()
    .any(|path| frame.place.contains(path))
        || frame.place.is_empty()
}

/// The innermost frame that is the program's own; the leaf if none is.
fn user_line(stack: &[NamedFrame]) -> Option<&NamedFrame> {
    let own = stack.iter().find(|frame| !is_foreign(frame));
    own.or(stack.first())
}

/// Up to the outermost frame that is the program's own: how threads begin is the same in all stacks. All of it if none is.
fn without_foreign_root(stack: &[NamedFrame]) -> &[NamedFrame] {
    let own = stack.iter().rposition(|frame| !is_foreign(frame));
    own.and_then(|last| stack.get(..=last)).unwrap_or(stack)
}

/// Bytes as people say them.
fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    for unit in UNITS {
        if value < 1000.0 {
            return match unit {
                "B" => format!("{value:.0} B"),
                _ => format!("{value:.1} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}
