//! Each attack that brings down tiny_http 0.12 leaves the endpoint answering and no thread or descriptor behind.
#![cfg(all(feature = "http", target_os = "linux"))]

mod http_client;
mod local_server;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use http_client::{connect, get_when_free};

/// Threads of the profiler and descriptors of the process.
fn held() -> (usize, usize) {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let threads = names.filter(|name| name.starts_with("debug-pprof")).count();
    (
        threads,
        fs::read_dir("/proc/self/fd").expect("/proc").count(),
    )
}

/// Closes with a reset instead of an end.
fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    let value = (&raw const linger).cast();
    // SAFETY: `value` points to `length` bytes of a linger, and the descriptor is open.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            value,
            length,
        )
    };
    assert_eq!(set, 0);
}

fn send(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(addr);
    // The server may close first.
    let _ = stream.write_all(bytes);
    stream
}

#[test]
fn it_answers_after_each_and_holds_nothing() {
    let (_server, addr) =
        local_server::start_with(|builder| builder.head_timeout(Duration::from_millis(300)));
    // One thread, which accepts. It has its name a moment after it was started.
    while held().0 != 1 {
        std::thread::yield_now();
    }
    let baseline = held();
    let whole = "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let attacks: &[(&str, &dyn Fn())] = &[
        ("resets", &|| {
            (0..300).for_each(|_| reset(send(addr, whole.as_bytes())))
        }),
        ("resets of nothing", &|| {
            (0..300).for_each(|_| reset(connect(addr)))
        }),
        ("idle connections", &|| {
            drop((0..200).map(|_| connect(addr)).collect::<Vec<_>>())
        }),
        ("HTTP/2.0", &|| {
            (0..50).for_each(|_| drop(send(addr, b"GET / HTTP/2.0\r\n\r\n")))
        }),
        ("endless header", &|| drop(send(addr, &[b'a'; 4 << 20]))),
        ("pipelining, unread", &|| {
            drop(send(addr, whole.repeat(20_000).as_bytes()))
        }),
        ("huge length", &|| {
            let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000000\r\n\r\n";
            (0..20).for_each(|_| drop(send(addr, head.replace(": a", ": localhost").as_bytes())));
        }),
    ];
    for (what, attack) in attacks {
        attack();
        assert_eq!(get_when_free(addr, "/debug/pprof/").status, 200, "{what}");
        // A leak would stay for ever; this only bounds how long the test waits for the last threads to end.
        let hang = Instant::now() + Duration::from_secs(30);
        while held() != baseline {
            assert!(
                Instant::now() < hang,
                "{what}: {:?}, was {baseline:?}",
                held()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
