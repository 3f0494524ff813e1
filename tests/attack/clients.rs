//! Connections that do what no well-behaved client does. What fails here fails because the server was faster.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::thread;
use std::time::{Duration, Instant};

use crate::http_client::{Answer, try_read_answer};

/// What a client waits for at most, so that the attacker does not hang on a server that does.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET` of a name under `/debug/pprof/`, for servers that close after an answer and for others.
pub(crate) fn get(name: &str) -> Vec<u8> {
    get_with(name, "")
}

/// With more header lines, each ending in CR LF.
pub(crate) fn get_with(name: &str, headers: &str) -> Vec<u8> {
    let host = "Host: localhost\r\nConnection: close\r\n";
    format!("GET /debug/pprof/{name} HTTP/1.1\r\n{host}{headers}\r\n").into_bytes()
}

pub(crate) fn post(name: &str, headers: &str, body: &str) -> Vec<u8> {
    let host = "Host: localhost\r\nConnection: close\r\n";
    format!("POST /debug/pprof/{name} HTTP/1.1\r\n{host}{headers}\r\n{body}").into_bytes()
}

/// `None` if the server's queue is full.
pub(crate) fn open(addr: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok()?;
    limit(&stream, PATIENCE).ok()?;
    Some(stream)
}

fn limit(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

/// A connection over which as much of `bytes` was sent as the server took.
pub(crate) fn send(addr: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = open(addr)?;
    let _ = stream.write_all(bytes);
    Some(stream)
}

/// `count` connections over which `bytes` were sent.
pub(crate) fn send_all(addr: SocketAddr, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    (0..count).filter_map(|_| send(addr, bytes)).collect()
}

/// `count` clients that have asked for a `large` answer, and take next to nothing of it.
pub(crate) fn stall(addr: SocketAddr, count: usize, large: &[u8]) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..count).filter_map(|_| narrow(addr)).collect();
    for client in &mut clients {
        let _ = client.write_all(large);
    }
    clients
}

/// The answer to `request`, which is sent whatever the server does meanwhile.
pub(crate) fn ask(addr: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    ask_until(addr, request, Instant::now() + PATIENCE)
}

/// An error after `end`.
pub(crate) fn ask_until(addr: SocketAddr, request: &[u8], end: Instant) -> io::Result<Answer> {
    let left = end.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&addr, left)?;
    limit(&stream, left)?;
    let _ = stream.write_all(request);
    try_read_answer(&mut stream, request)
}

/// The status of the answer to `request`. A server that others keep busy is asked again.
pub(crate) fn status(addr: SocketAddr, request: &[u8]) -> u16 {
    let end = Instant::now() + super::HANG;
    loop {
        match ask_until(addr, request, end) {
            Ok(answer) if answer.status != 503 => return answer.status,
            _ if Instant::now() >= end => return 0,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Closes with a reset instead of an end.
pub(crate) fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set(&stream, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// A connection that lets the two kernels hold little of an answer: small segments and a small window keep the server's
/// buffer small as well. `None` if the server's queue is full.
pub(crate) fn narrow(addr: SocketAddr) -> Option<TcpStream> {
    // SAFETY: no preconditions.
    let descriptor =
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(descriptor >= 0, "a socket");
    // SAFETY: just made, and nobody else's.
    let stream = unsafe { TcpStream::from_raw_fd(descriptor) };
    set(&stream, libc::IPPROTO_TCP, libc::TCP_MAXSEG, &536_i32);
    set(&stream, libc::SOL_SOCKET, libc::SO_RCVBUF, &1_i32);
    limit(&stream, PATIENCE).ok()?;
    let to = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: `to` is an address of `length` bytes.
    let connected = unsafe { libc::connect(descriptor, (&raw const to).cast(), length) };
    (connected == 0).then_some(stream)
}

fn set<T>(stream: &TcpStream, level: i32, option: i32, value: &T) {
    let length = size_of::<T>() as libc::socklen_t;
    let value = (&raw const *value).cast();
    // SAFETY: `value` points to `length` bytes, and the descriptor is open.
    let set = unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, value, length) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Sends `bytes` to each client a byte at a time, until they have all been turned away or the bytes are used up.
pub(crate) fn drip(clients: &mut Vec<TcpStream>, bytes: &[u8], pause: Duration) {
    for byte in bytes {
        clients.retain_mut(|client| client.write_all(&[*byte]).is_ok());
        if clients.is_empty() {
            return;
        }
        thread::sleep(pause);
    }
}

/// Takes an answer at some KiB per second, for as long as it comes and no longer than a few seconds.
pub(crate) fn sip(client: &mut TcpStream) -> usize {
    let mut taken = 0;
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        match client.read(&mut [0; 1024]) {
            Ok(length @ 1..) => taken += length,
            _ => break,
        }
        thread::sleep(Duration::from_millis(50));
    }
    taken
}

/// Sends `bytes` again and again until the server has had enough, or `limit` bytes were sent.
pub(crate) fn pour(
    addr: SocketAddr,
    begin: &[u8],
    bytes: &[u8],
    limit: usize,
) -> Option<TcpStream> {
    let mut stream = send(addr, begin)?;
    let mut sent = 0;
    while sent < limit && stream.write_all(bytes).is_ok() {
        sent += bytes.len();
    }
    Some(stream)
}
