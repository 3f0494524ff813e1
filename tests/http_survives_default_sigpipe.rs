//! In a host where a broken pipe is deadly, as in a C program, a client that leaves before its answer ends nothing: not
//! over TCP, and not through a Unix socket.
//!
//! The same clients end a server that writes as C does; that is how the test knows that it asks the question.
#![cfg(all(feature = "http", target_os = "linux"))]

mod http_client;

use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use debug_pprof::http::Server;
use http_client::get_when_free;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

const REQUEST: &[u8] = b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CLIENTS: usize = 200;

/// What the process that this file starts is to do.
const CHILD: &str = "PPROF_TEST_CHILD";

fn in_a_child(what: &str) -> ExitStatus {
    let mut child = Command::new(env::current_exe().expect("this program"));
    child
        .args(["--exact", "clients_that_leave_end_nothing", "--nocapture"])
        .env(CHILD, what);
    child.status().expect("a child")
}

#[test]
fn clients_that_leave_end_nothing() {
    match env::var(CHILD).as_deref() {
        Err(_) => {
            assert!(in_a_child("endpoint").success());
            for what in ["C over TCP", "C through a Unix socket"] {
                let status = in_a_child(what);
                assert_eq!(status.signal(), Some(libc::SIGPIPE), "{what}: {status}");
            }
        }
        Ok(what) => {
            // SAFETY: no handler is involved, and no other thread waits for the signal.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let path = env::temp_dir().join(format!("pprof-sigpipe-{}", std::process::id()));
            match what {
                "endpoint" => endpoint(&path),
                "C over TCP" => c_over_tcp(),
                _ => c_through_a_unix_socket(&path),
            }
        }
    }
}

fn endpoint(path: &Path) {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    (0..CLIENTS).for_each(|_| leave_tcp(addr));
    assert_eq!(get_when_free(addr, "/debug/pprof/heap").status, 200);
    let server = Server::builder().unix_socket(path).start().expect("one");
    (0..CLIENTS).for_each(|_| leave_unix(path));
    // The last of them may hold all places still.
    while !is_answered(path) {
        thread::yield_now();
    }
    server.shutdown();
}

/// Asks, says that nothing more will come, and leaves with the answer unread or on its way.
fn leave_tcp(addr: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(addr).expect("connect");
    let _ = stream.write_all(REQUEST);
    let _ = stream.shutdown(Shutdown::Both);
}

fn is_answered(path: &Path) -> bool {
    let mut stream = UnixStream::connect(path).expect("connect");
    let mut answer = String::new();
    let asked = stream.write_all(REQUEST);
    asked
        .and_then(|()| stream.read_to_string(&mut answer))
        .is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

fn leave_unix(path: &Path) {
    let mut stream = UnixStream::connect(path).expect("connect");
    let _ = stream.write_all(REQUEST);
}

fn c_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = listener.local_addr().expect("bound");
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(CLIENTS).flatten() {
            write_as_c(&stream);
        }
    });
    (0..CLIENTS).for_each(|_| leave_tcp(addr));
    server.join().expect("no panic");
}

fn c_through_a_unix_socket(path: &Path) {
    let listener = UnixListener::bind(path).expect("bind");
    let gone = PathBuf::from(path);
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(CLIENTS).flatten() {
            // The process ends here.
            let _ = std::fs::remove_file(&gone);
            write_as_c(&stream);
        }
    });
    leave_unix(path);
    server.join().expect("no panic");
}

/// Reads a request and writes an answer in two parts, with `write` and no flags.
fn write_as_c(stream: &impl AsRawFd) {
    let mut request = [0_u8; 1024];
    let buffer = request.as_mut_ptr().cast();
    // SAFETY: `buffer` has room for so many bytes.
    unsafe { libc::read(stream.as_raw_fd(), buffer, request.len()) };
    for _ in 0..2 {
        // What the client makes of the first part takes a moment to come back.
        thread::sleep(std::time::Duration::from_millis(5));
        let bytes = [b'x'; 4096];
        // SAFETY: `bytes` is valid for reads of its length.
        unsafe { libc::write(stream.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    }
}
