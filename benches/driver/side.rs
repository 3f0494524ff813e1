//! A side of a comparison: a child process that does a round of work when it is asked (`benches/work/src/protocol.rs`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Side {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Side {
    /// Starts `program` with `environment` added to this process's.
    pub(crate) fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped above"));
        Self {
            child,
            orders,
            answers,
        }
    }

    /// The kinds of work: group and name.
    pub(crate) fn kinds(&mut self) -> Vec<(String, String)> {
        let list = self.ask("list");
        list.split(';')
            .filter_map(|kind| kind.split_once(':'))
            .map(|(group, name)| (group.to_owned(), name.to_owned()))
            .collect()
    }

    /// Nanoseconds for `count` operations of kind `kind`.
    pub(crate) fn nanoseconds(&mut self, kind: usize, count: u64) -> f64 {
        let answer = self.ask(&format!("do {kind} {count}"));
        answer.parse().expect("a number of nanoseconds")
    }

    fn ask(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("taken by `drop` only");
        writeln!(orders, "{order}").expect("the side is alive");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("a line of text");
        answer.trim_end().to_owned()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The end of its input is the end of the side.
        self.orders = None;
        let _ = self.child.wait();
    }
}
