//! What the servers have in common: few descriptors, a large answer, and a parent that tells them what to do.
//!
//! ```text
//! stdout: the address to connect to; the address of a function with a long name
//! stdin:  `hoard` opens files until there is no descriptor left, `release` closes them; the end ends the process
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;

/// Standard input, output and error, a listener with its second handle, and 19 more.
const DESCRIPTORS: libc::rlim_t = 24;

/// Serves with `start`, which returns its address, until standard input ends.
///
/// # Panics
///
/// If anything is wrong: with `panic = "abort"`, that is the end.
pub fn run(start: impl FnOnce() -> SocketAddr) {
    let limit = libc::rlimit {
        rlim_cur: DESCRIPTORS,
        rlim_max: DESCRIPTORS,
    };
    // SAFETY: `limit` is a valid rlimit and is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    // Something to have in a profile.
    let _live: Vec<Vec<u8>> = (0..64).map(|size| vec![1; (size + 1) << 12]).collect();
    say(&start().to_string());
    say(&(<Long<Long<Long<Long<()>>>> as Named>::here as *const () as usize).to_string());
    let mut hoard: Vec<File> = Vec::new();
    for line in io::stdin().lock().lines() {
        match line.expect("a line").as_str() {
            "hoard" => {
                while let Ok(file) = File::open("/dev/null") {
                    hoard.push(file);
                }
            }
            "release" => hoard.clear(),
            other => panic!("what is {other:?}?"),
        }
        say("done");
    }
}

type Long<T> = BTreeMap<T, BTreeMap<T, T>>;

trait Named {
    fn here();
}

// Its name spells out the type.
impl Named for Long<Long<Long<Long<()>>>> {
    fn here() {}
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}
