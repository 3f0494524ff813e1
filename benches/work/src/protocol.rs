//! How a driver tells a side what to do: lines on standard input, a line of answer to each.
//!
//! ```text
//! list             one line, the kinds' names and groups: "Mean:pair 16 B;Mean:pair 64 B;…"
//! do 3 100000      100 000 operations of kind 3; answers the nanoseconds that they took
//! ```
//!
//! Or on the command line, for programs that watch a process from its start to its end: `side 'pair 16 B' 100000`, and
//! `side resident 100000`, which prints the two numbers of [`churn_with_survivors`].

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Instant;

use crate::{KINDS, Kind, churn_with_survivors, used_heap};

/// Does what the command line or standard input says, until that ends.
///
/// # Panics
/// On orders that are not in the protocol.
pub fn answer() {
    // As in any service, and on all sides: glibc's malloc takes its lock from a process's second thread on, for good, which
    // is 16 ns for blocks that its thread cache does not hold.
    thread::spawn(|| ()).join().expect("no panic");
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [name, count, one_in] = arguments.as_slice()
        && name == "resident"
    {
        let count = count.parse().expect("a number of operations");
        let one_in = one_in
            .parse()
            .expect("how many operations have one survivor");
        let resident = churn_with_survivors(count, one_in);
        println!("{} {}", resident.all, resident.anonymous);
        return;
    }
    if let [name, count] = arguments.as_slice() {
        let count = count.parse().expect("a number of operations");
        let is_meant = |kind: &&Kind| kind.name == name;
        let kind = KINDS.iter().find(is_meant).expect("the name of a kind");
        (kind.start)()(count);
        return;
    }
    used_heap::make();
    let mut started = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line of text");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["list"] => list(),
            ["do", kind, count] => {
                let kind: usize = kind.parse().expect("the number of a kind");
                let count = count.parse().expect("a number of operations");
                let work = started.entry(kind).or_insert_with(|| (KINDS[kind].start)());
                let start = Instant::now();
                work(count);
                start.elapsed().as_nanos().to_string()
            }
            _ => panic!("not in the protocol: {line}"),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}").expect("the driver reads");
        out.flush().expect("the driver reads");
    }
}

fn list() -> String {
    let kinds = KINDS.map(|kind| format!("{:?}:{}", kind.group, kind.name));
    kinds.join(";")
}
