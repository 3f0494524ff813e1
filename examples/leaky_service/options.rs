//! The command line and the environment.

use std::time::Duration;

use debug_pprof::WatchOptions;

const USAGE: &str = "\
usage: leaky_service [--seconds N] [--leak-mb N] [--watch-seconds N] [--stuck-tasks N]

  --seconds N   exit after N seconds (default: run until interrupted)
  --leak-mb N   leak N MiB in all, then only serve (default 384)
  --watch-seconds N   look at the heap each N seconds, so that /leaks has an answer after ten of them (default 60)
  --stuck-tasks N   start N tasks that wait for replies that never come (default 0)

  DEBUG_PPROF_ADDR       where the profiler listens (default 127.0.0.1:6060; port 0 picks a free one)
  DEBUG_PPROF_DUMP_DIR   where a heap profile is written before memory runs out";

/// Half a minute of growth at the load generator's pace, and harmless on any machine that builds Rust.
const DEFAULT_LEAK_MB: usize = 384;

pub(crate) struct Options {
    pub(crate) profiler: String,
    pub(crate) run_for: Option<Duration>,
    pub(crate) leak_bytes: usize,
    pub(crate) watch: WatchOptions,
    pub(crate) stuck_tasks: u64,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            profiler: std::env::var("DEBUG_PPROF_ADDR")
                .unwrap_or_else(|_| "127.0.0.1:6060".to_owned()),
            run_for: None,
            leak_bytes: DEFAULT_LEAK_MB << 20,
            watch: WatchOptions::DEFAULT,
            stuck_tasks: 0,
        };
        while let Some(arg) = args.next() {
            let mut number = || {
                let value = args.next().unwrap_or_default();
                value
                    .parse::<u32>()
                    .map_err(|_| format!("{arg} wants a number, not {value:?}\n\n{USAGE}"))
            };
            match arg.as_str() {
                "--seconds" => options.run_for = Some(Duration::from_secs(number()?.into())),
                "--leak-mb" => options.leak_bytes = usize::try_from(number()?).unwrap_or(0) << 20,
                "--watch-seconds" => options.watch.period = Duration::from_secs(number()?.into()),
                "--stuck-tasks" => options.stuck_tasks = number()?.into(),
                _ => return Err(format!("unknown argument {arg:?}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}
