//! A service under a memory limit leaves a heap profile when it is killed; `go tool pprof` names the leak in it, and the
//! restarted service says what happened and serves it.
//!
//! The service is `examples/leaky_service`, in a control group of its own with `memory.max` where the machine has version 2
//! and lets this process make one: then it is the kernel's out-of-memory killer that ends it. Elsewhere its address space is
//! limited (`RLIMIT_AS`), and SIGKILL ends it.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod dump_dir;
mod example_binary;
mod go_pprof;
mod http_client;

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use dump_dir::{DumpDir, dumps, names};
use example_binary::Build;
use http_client::validator::{Expect, Kind, assert_valid};

const LEAKS: [&str; 2] = [
    "leaky_service::cache::remember",
    "leaky_service::previews::keep_slice",
];

/// Generous: nothing is measured by it.
const WATCHDOG: Duration = Duration::from_secs(60);

struct Service {
    child: Child,
    lines: Receiver<String>,
    /// Heard so far: lines of its two streams come in any order.
    heard: RefCell<Vec<String>>,
}

impl Service {
    fn start(command: &mut Command) -> Service {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let (sender, lines) = channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // The test has heard enough; the pipe must not fill.
                    let _ = sender.send(line);
                }
            });
        }
        Service {
            child,
            lines,
            heard: RefCell::new(Vec::new()),
        }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let mut heard = self.heard.borrow_mut();
        loop {
            if let Some(line) = heard.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            match self.lines.recv_timeout(WATCHDOG) {
                Ok(line) => heard.push(line),
                Err(_) => panic!("it never said {text:?}: {heard:#?}"),
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(executable: &Path, dumps: &DumpDir, leak_mb: u32) -> Command {
    let mut command = Command::new(executable);
    command
        .args(["--seconds", "120", "--leak-mb", &leak_mb.to_string()])
        .env("DEBUG_PPROF_ADDR", "127.0.0.1:0")
        .env("DEBUG_PPROF_RATE", "65536")
        .env("DEBUG_PPROF_DUMP_DIR", dumps.path())
        .env("RUST_BACKTRACE", "0")
        // glibc takes 64 MiB of address space for each thread that allocates, before any of it is used.
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("DEBUG_PPROF_TOKEN_FILE");
    command
}

/// A control group of version 2 with a limit, removed with its processes gone.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> Option<Group> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let above = Path::new("/sys/fs/cgroup").join(own);
        // Of version 1 there is a directory too, which is no control group.
        let controllers = fs::read_to_string(above.join("cgroup.subtree_control")).ok()?;
        controllers.contains("memory").then_some(())?;
        let group = above.join(format!("debug-pprof-test-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let group = Group(group);
        let limit = fs::write(group.0.join("memory.max"), limit.to_string());
        limit.is_ok().then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Runs until the kernel ends it, or until it has dumped under its limit and this test does.
fn killed(executable: &Path, dumps: &DumpDir) {
    const LIMIT: u64 = 128 << 20;
    let mut command = command(executable, dumps, 2000);
    let group = Group::new(LIMIT);
    let procs = group.as_ref().map(|group| group.0.join("cgroup.procs"));
    let procs =
        procs.and_then(|procs| std::ffi::CString::new(procs.as_os_str().as_encoded_bytes()).ok());
    let in_group = procs.is_some();
    let before_exec = move || limit_here(procs.as_deref(), LIMIT);
    // SAFETY: it makes system calls only, on what was made before.
    unsafe { command.pre_exec(before_exec) };
    let mut service = Service::start(&mut command);
    let line = service.wait_for("heap profile written to ");
    println!("{line}");
    if in_group {
        let status = service.child.wait().expect("our child");
        assert_eq!(
            status.signal(),
            Some(libc::SIGKILL),
            "by the kernel: {status}"
        );
    } else {
        // The first dump may be early: address space is taken before it is used. One that names the leak is waited for.
        let start = std::time::Instant::now();
        while !names_a_leak(dumps) {
            assert!(start.elapsed() < WATCHDOG, "{:?}", names(dumps.path()));
            if !matches!(service.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        service.child.kill().expect("our child");
        service.child.wait().expect("our child");
    }
}

/// Moves this process, a child before its `exec`, into the group that has the limit, or limits its address space.
fn limit_here(procs: Option<&CStr>, bytes: u64) -> io::Result<()> {
    let is_done = if let Some(procs) = procs {
        // SAFETY: a C string.
        let file = unsafe { libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
        // SAFETY: one byte to read; a bad descriptor is an error.
        unsafe { libc::write(file, c"0".as_ptr().cast(), 1) == 1 }
    } else {
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: bytes,
        };
        // SAFETY: a valid limit.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) == 0 }
    };
    if is_done {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Whether the newest dump is of a process that has leaked some.
fn names_a_leak(dir: &DumpDir) -> bool {
    let newest = dumps(dir.path()).pop();
    let name = newest.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let mib = name.and_then(|name| name.split('-').nth(5)?.strip_suffix("MiB")?.parse().ok());
    mib.unwrap_or(0) >= 30_u64
}

#[test]
fn a_killed_service_leaves_a_profile_that_the_next_one_serves() {
    let executable = example_binary::executable("leaky_service", Build::Debug, &[]);
    let dir = DumpDir::new("kill");
    killed(&executable, &dir);

    // A whole file, that names the leak with nothing but the binary.
    let dump = dumps(dir.path()).pop().expect("a dump");
    let body = fs::read(&dump).expect("readable");
    let expect = Expect::new(Kind::Heap)
        .raw()
        .binary("leaky_service")
        .period(65_536);
    assert_valid(&body, expect);
    // Side by side: the tool takes seconds to read the debug information of a debug build.
    std::thread::scope(|scope| {
        scope.spawn(|| the_tool_names_the_leaks(&executable, &dump));
        the_next_one_serves_it(&executable, &dir, &dump);
    });

    // One that ends cleanly leaves nothing to report.
    let running = |names: &[String]| {
        names
            .iter()
            .filter(|name| name.starts_with("running"))
            .count()
    };
    assert_eq!(
        running(&names(dir.path())),
        1,
        "of the one that was killed just now"
    );
    let mut clean = command(&executable, &dir, 4);
    clean.args(["--seconds", "1"]);
    let mut clean = Service::start(&mut clean);
    clean.wait_for("did not end cleanly");
    assert!(clean.child.wait().expect("our child").success());
    assert_eq!(running(&names(dir.path())), 0, "{:?}", names(dir.path()));
}

fn the_tool_names_the_leaks(executable: &Path, dump: &Path) {
    let (binary, file) = (executable.to_str().unwrap(), dump.to_str().unwrap());
    // Functions that were inlined, and those of the standard library, have lines of their own: the leaks are in `cum`.
    let top = go_pprof::pprof(&["-top", "-cum", binary, file]);
    println!("{top}");
    for leak in LEAKS {
        let name = leak.rsplit("::").next().expect("a name");
        assert!(top.lines().any(|line| line.ends_with(name)), "{top}");
    }
}

/// The next run says so, and serves it with names.
fn the_next_one_serves_it(executable: &Path, dir: &DumpDir, dump: &Path) {
    let (binary, file) = (executable.to_str().unwrap(), dump.to_str().unwrap());
    let next = Service::start(&mut command(executable, dir, 4));
    let said = next.wait_for("did not end cleanly");
    println!("{said}");
    assert!(
        said.contains(&format!("go tool pprof {binary} {file}")),
        "{said}"
    );
    let line = next.wait_for("profiler  http");
    let host = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let addr = host.and_then(|host| host.parse().ok()).expect("an address");
    let answer = http_client::get(addr, "/debug/pprof/heap?previous=1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let named = Expect::new(Kind::Heap)
        .binary("leaky_service")
        .period(65_536);
    let profile = assert_valid(&answer.body, named);
    for leak in LEAKS {
        assert!(profile.through(leak, "inuse_space") > 4 << 20, "{leak}");
    }
    let raw = http_client::get(addr, "/debug/pprof/heap?previous=1&symbolize=0");
    assert_eq!(raw.body, fs::read(dump).expect("readable"), "as it is");
}
