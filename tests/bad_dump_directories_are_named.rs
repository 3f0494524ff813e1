//! A directory that cannot be used, or can no longer be used, costs the dump and not the service: the error names the
//! directory, the cause and the remedy.

mod child_process;
mod dump_dir;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, hint, thread};

use debug_pprof::{BlackBox, Error, ProfiledAllocator};
use dump_dir::{DumpDir, dumps, names};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TEST: &str = "each_is_named_and_the_service_goes_on";

fn start(dir: &Path) -> Result<(), Error> {
    BlackBox::builder()
        .dir(dir)
        .share_of_limit(None)
        .pressure(None)
        .start()
}

#[track_caller]
fn refused(result: Result<(), Error>, dir: &Path, words: &[&str]) {
    let said = result.expect_err("refused").to_string();
    assert!(said.contains(&*dir.to_string_lossy()), "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// Nobody, if this process may become that: root may write everywhere.
fn become_nobody(dir: &Path) -> bool {
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        std::os::unix::fs::chown(dir, Some(65_534), None).expect("root may");
        // SAFETY: no preconditions; nothing else runs in this child.
        unsafe { libc::setuid(65_534) == 0 }
    } else {
        true
    }
}

fn child(case: &str) {
    let dir = dump_dir::told();
    match case {
        "no parent" => refused(
            start(&dir.join("a/b")),
            &dir.join("a/b"),
            &["No such file", "make it"],
        ),
        "a file" => {
            fs::write(dir.join("file"), "x").expect("writable");
            refused(
                start(&dir.join("file")),
                &dir.join("file"),
                &["Not a directory", "make it"],
            );
        }
        "everybody's" => {
            fs::set_permissions(&dir, Permissions::from_mode(0o777)).expect("ours");
            refused(start(&dir), &dir, &["mode 0777", "chmod o-w"]);
            assert_eq!(names(&dir), [""; 0]);
            // With the sticky bit nobody can remove or rename what is another's.
            fs::set_permissions(&dir, Permissions::from_mode(0o1777)).expect("ours");
            start(&dir).expect("it starts");
        }
        "unwritable" => {
            fs::set_permissions(&dir, Permissions::from_mode(0o500)).expect("ours");
            if become_nobody(&dir) {
                refused(
                    start(&dir),
                    &dir,
                    &["Permission denied", "make it writable"],
                );
            }
        }
        "file size" => {
            let held: Vec<Vec<u8>> = (1..20_000)
                .map(|size| vec![0; hint::black_box(size % 5000)])
                .collect();
            start(&dir).expect("it starts");
            let limit = libc::rlimit {
                rlim_cur: 4096,
                rlim_max: 4096,
            };
            // SAFETY: a valid limit.
            unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            let dumped = BlackBox::dump().map(drop);
            refused(dumped, &dir, &["File too large", "ulimit -f"]);
            assert_eq!(dumps(&dir), [""; 0].map(std::path::PathBuf::from));
            assert!(
                !names(&dir).iter().any(|name| name.ends_with(".tmp")),
                "{:?}",
                names(&dir)
            );
            hint::black_box(held);
        }
        "descriptors" => {
            start(&dir).expect("it starts");
            let mut open = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                open.push(file);
            }
            refused(
                BlackBox::dump().map(drop),
                &dir,
                &["Too many open files", "ulimit -n"],
            );
            drop(open);
            BlackBox::dump().expect("with descriptors again");
        }
        "removed" => {
            start(&dir).expect("it starts");
            fs::remove_dir_all(&dir).expect("ours");
            // Made again: its parent is there.
            let dump = BlackBox::dump().expect("a dump");
            assert!(
                dump.is_file() && names(&dir).len() == 2,
                "{:?}",
                names(&dir)
            );
            let moved = dir.with_extension("moved");
            fs::rename(&dir, &moved).expect("ours");
            fs::write(&dir, "x").expect("ours");
            // What is open is what it was: nothing is written elsewhere.
            let dump = BlackBox::dump();
            assert!(fs::read(&dir).expect("a file") == b"x");
            assert_eq!(dumps(&moved).len(), 2, "{dump:?}");
            fs::remove_file(&dir).expect("ours");
            fs::remove_dir_all(&moved).expect("ours");
            fs::write(&dir, "x").expect("ours");
            refused(
                BlackBox::dump().map(drop),
                &dir,
                &["Not a directory", "make it"],
            );
            fs::remove_file(&dir).expect("ours");
            BlackBox::dump().expect("made once more");
        }
        "full" => {
            start(&dir).expect("it starts");
            let first = BlackBox::dump().expect("room for one");
            // All of it.
            let mut size = 1 << 20;
            let mut filler = fs::File::create(dir.join("filler")).expect("ours");
            while size > 0 {
                if std::io::Write::write_all(&mut filler, &vec![1; size]).is_err() {
                    size /= 2;
                }
            }
            let held: Vec<Vec<u8>> = (1..3_000)
                .map(|size| vec![0; hint::black_box(size)])
                .collect();
            refused(
                BlackBox::dump().map(drop),
                &dir,
                &["No space left", "max_bytes"],
            );
            assert_eq!(dumps(&dir), [first], "what is there stays");
            drop(filler);
            fs::remove_file(dir.join("filler")).expect("ours");
            BlackBox::dump().expect("with room again");
            hint::black_box(held);
        }
        "nobody reads stderr" => {
            // SAFETY: resets what Rust's start sets, as programs do that write to pipes.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            start(&dir).expect("it starts");
            BlackBox::dump().expect("a dump");
        }
        "taken signal" => {
            extern "C" fn taken(_: libc::c_int) {}
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGUSR2, taken as extern "C" fn(libc::c_int) as usize) };
            let builder = || BlackBox::builder().dir(&dir).share_of_limit(None);
            for (signal, words) in [
                (libc::SIGUSR2, "has a handler for signal 12 already"),
                (libc::SIGKILL, "SIGUSR1, SIGUSR2"),
                (libc::SIGSEGV, "SIGUSR1, SIGUSR2"),
                (0, "no signal"),
                (-1, "no signal"),
                (4711, "no signal"),
            ] {
                let said = builder()
                    .signal(signal)
                    .start()
                    .expect_err("refused")
                    .to_string();
                assert!(said.contains(words), "{said}");
            }
            assert_eq!(names(&dir), [""; 0], "no sign of life is left");
            builder().signal(libc::SIGUSR1).start().expect("a free one");
            let said = builder().start().expect_err("refused").to_string();
            assert!(said.contains("it runs already"), "{said}");
        }
        other => panic!("{other}"),
    }
    // And goes on.
    thread::sleep(Duration::from_millis(20));
}

fn run(case: &str, dir: &DumpDir) {
    let mut command = Command::new(env::current_exe().expect("this program"));
    dir.told(child_process::command_of(&mut command, TEST, case));
    let mut child = dump_dir::start(&mut command);
    if case == "nobody reads stderr" {
        drop(child.stderr.take());
        let status = child_process::end(child);
        assert!(status.success(), "{case}: {status}");
        return;
    }
    let said = dump_dir::said(&mut child);
    let status = child_process::end(child);
    assert!(status.success(), "{case}: {status}\n{said}");
}

/// A file system of 64 KiB at `dir`; false where this process may not mount one.
fn mount_small(dir: &Path) -> bool {
    let path = std::ffi::CString::new(dir.as_os_str().as_encoded_bytes()).expect("no NUL");
    // SAFETY: C strings, which the kernel does not keep.
    unsafe {
        libc::mount(
            c"tmpfs".as_ptr(),
            path.as_ptr(),
            c"tmpfs".as_ptr(),
            0,
            c"size=64k,mode=700".as_ptr().cast(),
        ) == 0
    }
}

#[test]
fn each_is_named_and_the_service_goes_on() {
    if let Some(case) = child_process::case() {
        return child(&case);
    }
    for case in [
        "no parent",
        "a file",
        "everybody's",
        "unwritable",
        "file size",
        "descriptors",
        "removed",
        "nobody reads stderr",
        "taken signal",
    ] {
        run(case, &DumpDir::made("bad"));
    }
    let small = DumpDir::made("small");
    if mount_small(small.path()) {
        let path =
            std::ffi::CString::new(small.path().as_os_str().as_encoded_bytes()).expect("no NUL");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run("full", &small)));
        // SAFETY: a C string; what this test has mounted.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        result.expect("the full file system");
    } else {
        println!("no full file system: this process may not mount one");
    }
}
