//! What is not a whole dump of this crate's is not served: `heap?previous=1` names the file, the cause and the remedy, the
//! process goes on, and a fork child neither dumps as its parent nor takes its place.
#![cfg(feature = "http")]

mod child_process;
mod dump_dir;
mod fork_child;
mod statistics;
mod validator;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use debug_pprof::http::{Request, Response, respond};
use debug_pprof::{BlackBox, ProfiledAllocator};
use dump_dir::{DumpDir, dumps, names};
use fork_child::End;
use statistics::Random;
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TEST: &str = "each_is_refused_with_the_reason";

fn start(dir: &Path) {
    let started = BlackBox::builder()
        .dir(dir)
        .share_of_limit(None)
        .pressure(None)
        .start();
    started.expect("it starts");
}

fn ask(query: &str) -> Response {
    respond(&Request::get(format!("/debug/pprof/heap?{query}").as_str()))
}

#[track_caller]
fn refused(status: u16, words: &[&str]) {
    let answer = ask("previous=1");
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn each_is_refused_with_the_reason() {
    if child_process::case().is_some() {
        start(&dump_dir::told());
        BlackBox::dump().expect("a dump");
        return;
    }
    refused(404, &["DEBUG_PPROF_DUMP_DIR"]);
    let dir = DumpDir::new("foreign");
    let mut command = Command::new(env::current_exe().expect("this program"));
    dir.told(child_process::command_of(&mut command, TEST, "dump"));
    let status = child_process::end(child_process::run(&mut command));
    assert!(status.success());
    start(dir.path());

    let dump = BlackBox::previous().expect("of the child");
    let whole = fs::read(&dump).expect("readable");
    let answer = ask("previous=1");
    assert_eq!(answer.status, 200);
    assert_valid(&answer.body, Expect::new(Kind::Heap).period(1));
    assert_eq!(ask("previous=1&symbolize=0").body, whole);
    for (query, words) in [
        ("previous=yes", "use previous=1"),
        ("previous=../x", "use previous=1"),
        ("previous=1&debug=1", "leave out debug"),
        ("previous=1&seconds=5", "leave out seconds"),
    ] {
        let answer = ask(query);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            answer.status == 400 && said.contains(words),
            "{query}: {said}"
        );
    }

    let name = dump.to_str().expect("text");
    for (bytes, words) in [
        (Vec::new(), "gzip"),
        (b"PK\x03\x04 a zip file".to_vec(), "gzip"),
        (whole[..whole.len() / 2].to_vec(), "gzip"),
        (whole[..whole.len() - 1].to_vec(), "gzip"),
        (vec![0x1f; 12 << 20], "more than any dump"),
    ] {
        fs::write(&dump, bytes).expect("ours");
        refused(500, &[name, words, "remove it"]);
    }
    // Changed in a few places it is refused, or it is a profile still; nothing else.
    let mut random = Random::seeded(7);
    for _ in 0..child_process::times(60, 5_000) {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        fs::write(&dump, bytes).expect("ours");
        assert!([200, 500].contains(&ask("previous=1").status));
    }
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, &whole).expect("ours");
    fs::remove_file(&dump).expect("ours");
    symlink(&elsewhere, &dump).expect("ours");
    refused(500, &[name, "symbolic link", "remove it"]);
    fs::remove_file(&dump).expect("ours");
    let path = std::ffi::CString::new(name).expect("no NUL");
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    refused(500, &[name, "no regular file", "remove it"]);
    fs::remove_file(&dump).expect("ours");
    refused(404, &[name, "has been removed"]);
    assert_eq!(ask("").status, 200, "and the service goes on");

    // A fork child has no black box of its parent's.
    let before = names(dir.path());
    let child = fork_child::ask(60, || BlackBox::dump().is_err());
    assert_eq!(child.end(), End::Yes);
    assert_eq!(names(dir.path()), before);
    let mine = dumps(dir.path()).len();
    let path = dir.path().to_owned();
    let child = fork_child::ask(60, move || {
        start(&path);
        BlackBox::dump().is_ok()
    });
    assert_eq!(child.end(), End::Yes);
    assert_eq!(dumps(dir.path()).len(), mine + 1, "one of its own");
    BlackBox::dump().expect("and the parent goes on");
}
