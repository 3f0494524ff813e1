//! A dump of the black box has the labels of its samples, as it is on disk and as it is served with names.
#![cfg(feature = "http")]

mod child_process;
mod dump_dir;
mod labelled;
mod measured;
mod statistics;
mod validator;

use std::collections::BTreeMap;
use std::process::Command;
use std::{env, fs};

use debug_pprof::http::{Request, respond};
use debug_pprof::labels::scope;
use debug_pprof::{BlackBox, ProfiledAllocator};
use dump_dir::DumpDir;
use measured::Block;
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TEST: &str = "labels_survive_in_dumps";
const SIZE: usize = 50_021;

fn start(dir: &std::path::Path) {
    let started = BlackBox::builder()
        .dir(dir)
        .share_of_limit(None)
        .pressure(None)
        .start();
    started.expect("it starts");
}

#[test]
fn labels_survive_in_dumps() {
    if child_process::case().is_some() {
        start(&dump_dir::told());
        let hold = |nth: usize| {
            let (tenant, route) = (format!("t{}", nth % 3), format!("/r{}", nth % 2));
            scope(&[("tenant", &tenant), ("route", &route)], || {
                Block::new(SIZE, 1)
            })
        };
        let held: Vec<_> = (0..60).map(hold).collect();
        BlackBox::dump().expect("a dump");
        drop(held);
        return;
    }
    let dir = DumpDir::new("labels");
    let mut command = Command::new(env::current_exe().expect("this program"));
    dir.told(child_process::command_of(&mut command, TEST, "dump"));
    let status = child_process::end(child_process::run(&mut command));
    assert!(status.success());
    start(dir.path());

    let mut expected = BTreeMap::new();
    for tenant in 0..3 {
        for route in 0..2 {
            let labels = format!("route=/r{route},tenant=t{tenant}");
            expected.insert(labels, 10 * SIZE as i64);
        }
    }
    let raw = fs::read(BlackBox::previous().expect("of the child")).expect("readable");
    let raw = assert_valid(&raw, Expect::new(Kind::Heap).raw().period(1));
    assert_eq!(labelled::written(&raw.proto, SIZE), expected);
    let named = respond(&Request::get("/debug/pprof/heap?previous=1"));
    let named = assert_valid(&named.body, Expect::new(Kind::Heap).period(1));
    assert_eq!(labelled::written(&named.proto, SIZE), expected);
}
