//! HTTP clients that ask for every route in a loop, and look at what they get.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

/// The form of an answer's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    /// A profile: gzip, which carries its own check.
    Profile,
    Text,
}

pub(crate) struct Route {
    request_line: &'static str,
    status: &'static str,
    body: Body,
}

const fn route(request_line: &'static str, status: &'static str, body: Body) -> Route {
    Route {
        request_line,
        status,
        body,
    }
}

/// What is answered at once.
pub(crate) const ROUTES: &[Route] = &[
    route("GET /debug/pprof/", "200", Body::Text),
    route("GET /debug/pprof/heap", "200", Body::Profile),
    route("GET /debug/pprof/heap?gc=1", "200", Body::Profile),
    route("GET /debug/pprof/heap?debug=1", "200", Body::Text),
    route("GET /debug/pprof/heap?symbolize=0", "200", Body::Profile),
    route("GET /debug/pprof/allocs", "200", Body::Profile),
    route("GET /debug/pprof/allocs?debug=1", "200", Body::Text),
    route("GET /debug/pprof/allocs?symbolize=0", "200", Body::Profile),
    route("GET /debug/pprof/symbol?0x1+0x2", "200", Body::Text),
    route("POST /debug/pprof/symbol", "200", Body::Text),
    route("GET /debug/pprof/cmdline", "200", Body::Text),
    route("GET /debug/pprof/block", "200", Body::Profile),
    route("GET /debug/pprof/mutex", "200", Body::Profile),
    route("GET /debug/pprof/mutex?debug=1", "200", Body::Text),
    route("GET /debug/pprof/goroutine", "200", Body::Profile),
    route("GET /debug/pprof/goroutine?debug=2", "200", Body::Text),
    route("GET /debug/pprof/threadcreate", "200", Body::Profile),
    route("GET /debug/pprof/profile?hz=0", "400", Body::Text),
    route("GET /debug/pprof/no-such-profile", "404", Body::Text),
];

/// An answer that no server gives, for the fault `answer`.
pub(crate) const IMPOSSIBLE: &[Route] =
    &[route("GET /debug/pprof/no-such-profile", "200", Body::Text)];

/// What is answered after a second.
const DELTAS: &[Route] = &[
    route("GET /debug/pprof/heap?seconds=1", "200", Body::Profile),
    route("GET /debug/pprof/allocs?seconds=1", "200", Body::Profile),
    route("GET /debug/pprof/block?seconds=1", "200", Body::Profile),
];

/// Between two requests of a client: scrapes are to be many, and not to be all that the machine does.
const PAUSE: Duration = Duration::from_millis(10);

/// A server that hangs is found out by this; nothing else depends on it.
const HANG: Duration = Duration::from_secs(120);

/// More than any answer here, so that a client allocates once. What grows with an answer would have a size of its own
/// each time, and so an entry of its own in the profile.
const BUFFER_BYTES: usize = 16 << 20;

#[derive(Default)]
pub(crate) struct Scrapes {
    pub(crate) answers: u64,
    /// The slowest of the routes that are answered at once.
    pub(crate) worst: Duration,
    pub(crate) worst_route: &'static str,
}

impl Scrapes {
    pub(crate) fn add(&mut self, other: &Scrapes) {
        self.answers += other.answers;
        if other.worst > self.worst {
            self.worst = other.worst;
            self.worst_route = other.worst_route;
        }
    }
}

/// Asks for `routes`, which are answered at once, until it is told to stop.
pub(crate) fn scrape(
    addr: SocketAddr,
    routes: &'static [Route],
    stop: &AtomicBool,
) -> Result<Scrapes, String> {
    let mut scrapes = Scrapes::default();
    run(addr, stop, routes, |route, time| {
        scrapes.add(&Scrapes {
            answers: 1,
            worst: time,
            worst_route: route.request_line,
        });
    })?;
    Ok(scrapes)
}

/// Asks for deltas, which take their second.
pub(crate) fn scrape_deltas(addr: SocketAddr, stop: &AtomicBool) -> Result<Scrapes, String> {
    let mut scrapes = Scrapes::default();
    run(addr, stop, DELTAS, |_, _| scrapes.answers += 1)?;
    Ok(scrapes)
}

fn run(
    addr: SocketAddr,
    stop: &AtomicBool,
    routes: &'static [Route],
    mut answered: impl FnMut(&'static Route, Duration),
) -> Result<(), String> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    for route in routes.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let started = Instant::now();
        ask(addr, route, &mut buffer)?;
        answered(route, started.elapsed());
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Asks once. An error says in what the answer is not what it should be.
fn ask(addr: SocketAddr, route: &Route, buffer: &mut Vec<u8>) -> Result<(), String> {
    let name = route.request_line;
    exchange(addr, name, buffer).map_err(|error| format!("{name}: {error}"))?;
    let wrong = |what: &str| format!("{name}: {what}");
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = buffer
        .split_at_checked(end.ok_or_else(|| wrong("no head"))? + 4)
        .ok_or_else(|| wrong("no body"))?;
    let head = str::from_utf8(head).map_err(|_| wrong("the head is not text"))?;
    if head.split(' ').nth(1) != Some(route.status) {
        let status = head.lines().next().unwrap_or_default();
        return Err(wrong(&format!("{status:?} instead of {}", route.status)));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    if length.and_then(|length| length.parse().ok()) != Some(body.len()) {
        return Err(wrong("the body has another length than announced"));
    }
    if route.body == Body::Profile {
        let unpacked = io::copy(&mut GzDecoder::new(body), &mut io::sink());
        let bytes = unpacked.map_err(|error| wrong(&format!("not gzip: {error}")))?;
        if bytes == 0 {
            return Err(wrong("an empty profile"));
        }
    }
    Ok(())
}

fn exchange(addr: SocketAddr, request_line: &str, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    write!(
        stream,
        "{request_line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    )?;
    answer.clear();
    stream.read_to_end(answer)?;
    Ok(())
}
