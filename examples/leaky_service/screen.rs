//! What the user sees. On a terminal the last line is kept up to date; elsewhere only changes of state are printed.

use std::io::{self, IsTerminal, Stdout, Write};
use std::net::SocketAddr;

use crate::leak_cap::LeakCap;

const BAR_CELLS: usize = 32;

/// Start of the line, and erase it.
const REWRITE: &str = "\r\x1b[2K";

pub(crate) struct Screen {
    out: Stdout,
    is_terminal: bool,
    has_said_full: bool,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        Screen {
            out,
            is_terminal,
            has_said_full: false,
        }
    }

    pub(crate) fn welcome(&mut self, service: SocketAddr, profiler: SocketAddr, stuck_tasks: u64) {
        let url = format!("http://{profiler}/debug/pprof");
        let (bold, plain) = if self.is_terminal {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        self.print(&format!(
            "\
{bold}leaky_service{plain}: three leaks, some healthy churn, and a profiler to tell them apart

  service   http://{service}/ with load of its own
  profiler  {url}/

{bold}Who holds the memory?{plain}
  go tool pprof -top {url}/heap
  go tool pprof -http=: {url}/heap

{bold}Who allocates, kept or not?{plain}
  go tool pprof -top {url}/allocs

{bold}What grew in five seconds?{plain}
  go tool pprof -top -seconds 5 {url}/heap

{bold}Is it a leak?{plain}
  curl {url}/leaks?debug=1

"
        ));
        if stuck_tasks > 0 {
            self.print(&format!(
                "\
{bold}Where are {stuck_tasks} tasks stuck?{plain}
  curl {url}/goroutine?debug=1 | head

"
            ));
        }
    }

    pub(crate) fn progress(&mut self, cap: &LeakCap, requests: u64) {
        let (used, limit) = (cap.used() >> 20, cap.limit() >> 20);
        let is_full = cap.used() == cap.limit();
        if self.is_terminal {
            let filled = BAR_CELLS * used / limit.max(1);
            let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR_CELLS - filled));
            self.print(&format!(
                "{REWRITE}  {bar}  {used} of {limit} MiB leaked, {requests} requests "
            ));
        }
        if is_full && !self.has_said_full {
            self.has_said_full = true;
            let line_end = if self.is_terminal { "\n" } else { "" };
            self.print(&format!(
                "{line_end}leak cap reached: {limit} MiB stay, nothing more is leaked, the traffic goes on\n"
            ));
        }
    }

    pub(crate) fn goodbye(&mut self) {
        if self.is_terminal {
            self.print("\n");
        }
    }

    /// A reader that has gone away is no reason to stop the service.
    fn print(&mut self, text: &str) {
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }
}
