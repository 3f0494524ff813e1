//! A fork child can have a server of its own, a daemon too; it neither ends its parent's, by dropping it, nor waits for its
//! threads; and the parent's address is free as soon as the parent has shut its server down, or all who have its socket
//! have ended.
#![cfg(feature = "http")]

mod fork_child;
mod http_client;
mod local_server;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::FromRawFd;
use std::thread;
use std::time::Duration;

use debug_pprof::http::Server;
use debug_pprof::{ProfiledAllocator, serve};
use fork_child::{End, ask};
use http_client::{get, try_get};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(65_536);

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 120;

const HEAP: &str = "/debug/pprof/heap";

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the reading end, owned here only.
    let reader = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: the writing end, likewise.
    (reader, unsafe { File::from_raw_fd(ends[1]) })
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a pipe");
    line.trim().to_owned()
}

/// Serves, asks itself, and gets a valid profile.
fn serves_itself() -> bool {
    serve("127.0.0.1:0").is_ok_and(|own| get(own, HEAP).status == 200)
}

fn children_of_a_server() {
    let (server, addr) = local_server::start();
    assert_eq!(get(addr, HEAP).status, 200);
    let mut server = Some(server);
    for _ in 0..3 {
        let mut question = || {
            let taken = serve(addr).is_err_and(|error| error.to_string().contains("in use"));
            // No thread to join, and the socket is the parent's.
            drop(server.take());
            taken && serves_itself()
        };
        assert_eq!(ask(WATCHDOG_SECONDS, &mut question).end(), End::Yes);
        assert_eq!(get(addr, HEAP).status, 200, "the parent's server");
    }
    let detaches = || {
        server.take().into_iter().for_each(Server::detach);
        serves_itself()
    };
    assert_eq!(ask(WATCHDOG_SECONDS, detaches).end(), End::Yes);
    assert_eq!(get(addr, HEAP).status, 200, "the parent's server");
}

/// A child that has the socket does not keep an address in use that its parent has shut down.
fn shut_down_beside_a_child() {
    let (server, addr) = local_server::start();
    let (mut reader, writer) = pipe();
    let child = ask(WATCHDOG_SECONDS, move || {
        // Until the parent closes its end.
        reader.read_to_end(&mut Vec::new()).is_ok()
    });
    server.shutdown();
    let again = TcpListener::bind(addr);
    assert!(again.is_ok(), "{again:?}");
    // The child has a copy of the writing end, so it is told by its end.
    // SAFETY: our child, which has not been waited for.
    unsafe { libc::kill(child.id(), libc::SIGALRM) };
    drop(writer);
    assert_eq!(child.end(), End::Hung, "ended by the signal of its alarm");
}

/// The address of a process that has ended is in use as long as its child lives, and no longer.
fn an_address_outlives_its_process() {
    let (reader, mut writer) = pipe();
    let parent = ask(WATCHDOG_SECONDS, || {
        let addr = serve("127.0.0.1:0").expect("a server");
        let child = ask(WATCHDOG_SECONDS, || {
            thread::sleep(Duration::from_secs(WATCHDOG_SECONDS.into()));
            true
        });
        writeln!(writer, "{addr} {}", child.id()).is_ok()
    });
    assert_eq!(parent.end(), End::Yes);
    let said = line(&mut BufReader::new(reader));
    let (addr, child) = said.split_once(' ').expect("an address and a child");
    let addr: SocketAddr = addr.parse().expect("an address");
    let taken = serve(addr).expect_err("the child has the socket");
    assert!(taken.to_string().contains("in use"), "{taken}");
    // SAFETY: a grandchild, which sleeps.
    unsafe { libc::kill(child.parse().expect("a process"), libc::SIGKILL) };
    // Until the kernel has closed all that it had.
    while serve(addr).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
}

/// What `daemon(3)` does, and a server then.
fn daemon() {
    let (reader, mut writer) = pipe();
    let (mut stop, stopper) = pipe();
    let mut stopper = Some(stopper);
    let parent = ask(WATCHDOG_SECONDS, || {
        // The test's is the only one.
        drop(stopper.take());
        // SAFETY: no preconditions.
        let session = unsafe { libc::setsid() };
        let daemon = ask(WATCHDOG_SECONDS, || {
            let addr = serve("127.0.0.1:0").expect("a server");
            writeln!(writer, "{addr}").expect("a pipe");
            // Until the test closes its end.
            stop.read_to_end(&mut Vec::new()).is_ok()
        });
        session > 0 && daemon.id() > 0
    });
    assert_eq!(parent.end(), End::Yes);
    let mut reader = BufReader::new(reader);
    let addr: SocketAddr = line(&mut reader).parse().expect("an address");
    for _ in 0..3 {
        assert_eq!(get(addr, HEAP).status, 200);
    }
    drop(stopper);
    while try_get(addr, HEAP, "").is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn http_fork_children_can_serve() {
    children_of_a_server();
    shut_down_beside_a_child();
    an_address_outlives_its_process();
    daemon();
}
