//! Allocates in every way that std, serde_json and tokio have, each in a function of its own and with known types, and
//! writes its heap profile with and without types. Prints each case with the types that it allocates.

mod cases;
mod types;

use std::fs;

use debug_pprof::http::{Request, respond};
use debug_pprof::{ProfiledAllocator, set_sample_rate};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(0);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut write = |target: &str| {
        let file = arguments.next().expect("three files");
        let answer = respond(&Request::new("GET", target, Vec::new()));
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        fs::write(file, answer.body).expect("a file to write");
    };
    let mut kept = Vec::with_capacity(1000);
    for case in cases::ALL {
        set_sample_rate(1);
        let made = (case.run)();
        set_sample_rate(0);
        kept.push(made);
        println!("{}\t{}", case.name, case.types.join("\t"));
    }
    write("/debug/pprof/heap?label=type");
    write("/debug/pprof/heap");
    write("/debug/pprof/heap?label=age,type");
    drop(kept);
}
