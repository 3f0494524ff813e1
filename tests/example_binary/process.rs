//! A running example: started, read, and killed when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example can be started");
        let lines = read_lines(child.stdout.take().expect("its output is piped"));
        Process { child, lines }
    }

    /// Waits for a line with this text.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut said = Vec::new();
        for line in &self.lines {
            if line.contains(text) {
                return line;
            }
            said.push(line);
        }
        panic!("it ended before it said {text:?}; it said {said:#?}, and see above for its errors");
    }

    /// The address in the URL on the line with this text.
    pub(crate) fn wait_for_addr(&self, text: &str) -> SocketAddr {
        let line = self.wait_for(text);
        let host = line
            .split("http://")
            .nth(1)
            .and_then(|url| url.split('/').next());
        host.and_then(|host| host.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end on a thread, so that the child never blocks on a full pipe.
fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more: keep reading.
            let _ = sender.send(line);
        }
    });
    lines
}
