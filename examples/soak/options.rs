//! The command line.

use std::time::Duration;

use crate::fault::Fault;

const USAGE: &str = "\
usage: soak [SECONDS] [--sanitized] [--fault NAME]

  SECONDS        how long (default 60)
  --sanitized    no fork children, which sanitizers do not always survive, and no bound on the resident memory, of which
                 they keep more and more
  --fault NAME   does something wrong on purpose, to see it found: leak, bypass, thread, descriptor, memory, answer";

const DEFAULT_SECONDS: u32 = 60;

pub(crate) struct Options {
    pub(crate) duration: Duration,
    pub(crate) is_sanitized: bool,
    pub(crate) fault: Option<Fault>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut seconds = DEFAULT_SECONDS;
        let mut is_sanitized = false;
        let mut fault = None;
        while let Some(arg) = args.next() {
            if arg == "--fault" {
                let name = args.next().unwrap_or_default();
                let known =
                    Fault::named(&name).ok_or(format!("unknown fault {name:?}\n\n{USAGE}"))?;
                fault = Some(known);
            } else if arg == "--sanitized" {
                is_sanitized = true;
            } else {
                seconds = arg
                    .parse()
                    .map_err(|_| format!("a number of seconds, not {arg:?}\n\n{USAGE}"))?;
            }
        }
        Ok(Options {
            duration: Duration::from_secs(seconds.into()),
            is_sanitized,
            fault,
        })
    }
}
