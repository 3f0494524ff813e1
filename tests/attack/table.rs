//! The attacks. Those that tiny_http 0.12 does not survive come first.

use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::Attack;
use super::clients::{
    ask, drip, get, get_with, open, post, pour, reset, send, send_all, sip, stall, status,
};
use super::process::Process;

/// Connections that are more than the server has places for.
const MORE_THAN_PLACES: usize = 24;

macro_rules! attacks {
    ($($name:literal => $run:expr,)*) => {
        &[$(Attack { name: $name, run: $run }),*]
    };
}

/// What was measured to abort a process with tiny_http in it, or to take its threads, descriptors or listener for good.
pub(crate) const DEADLY: &[Attack] = attacks! {
    "a length of 10^15 and no body" => |server| length(server, "1000000000000000"),
    "the largest length" => |server| length(server, "18446744073709551615"),
    "a length of 4 * 10^9, then silence" => |server| {
        let request = |method: &str| {
            let headers = "Host: localhost\r\nContent-Length: 4000000000\r\n\r\n";
            format!("{method} /debug/pprof/symbol HTTP/1.1\r\n{headers}").into_bytes()
        };
        let mut clients = send_all(server.addr, 4, &request("POST"));
        clients.extend(send_all(server.addr, 4, &request("GET")));
        clients
    },
    "HTTP/2.0, closed by the client" => |server| {
        for _ in 0..50 {
            drop(send(server.addr, b"GET /debug/pprof/ HTTP/2.0\r\n\r\n"));
        }
        Vec::new()
    },
    "300 idle connections" => |server| (0..300).filter_map(|_| open(server.addr)).collect(),
    "an endless header" => |server| {
        let begin = b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\nX: ";
        pour(server.addr, begin, &[b'a'; 1 << 16], 64 << 20).into_iter().collect()
    },
    "no descriptors left" => |server| {
        server.tell("hoard");
        // The kernel makes the connections; nobody can accept them.
        let clients = send_all(server.addr, 4, &get("heap"));
        thread::sleep(Duration::from_millis(300));
        server.tell("release");
        clients
    },
    "resets before the server accepts" => |server| {
        for _ in 0..300 {
            open(server.addr).into_iter().for_each(reset);
            send(server.addr, &get("")).into_iter().for_each(reset);
        }
        Vec::new()
    },
    "readers that never read" => |server| {
        stall(server.addr, MORE_THAN_PLACES, &large(server))
    },
    "200 000 pipelined requests, unread" => |server| {
        let request = b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
        pour(server.addr, request, &request.repeat(1000), 200_000 * request.len())
            .into_iter()
            .collect()
    },
    "a header that ends in LF" => |server| {
        let request = get_with("", "X: a\nY: b\r\n");
        assert_eq!(status(server.addr, &request), 400);
        Vec::new()
    },
};

/// Clients that take their time.
pub(crate) const SLOW: &[Attack] = attacks! {
    "heads that never end" => |server| {
        let mut clients: Vec<_> = (0..MORE_THAN_PLACES).filter_map(|_| open(server.addr)).collect();
        let head = get_with("heap", &"X: slow\r\n".repeat(100));
        drip(&mut clients, &head, Duration::from_millis(10));
        clients
    },
    "bodies that never end" => |server| {
        let mut clients = send_all(
            server.addr,
            MORE_THAN_PLACES,
            &post("symbol", "Content-Length: 500000\r\n", "0x1"),
        );
        drip(&mut clients, &[b'+'; 200], Duration::from_millis(10));
        clients
    },
    "bodies that wait for 100" => |server| {
        let request = post("symbol", "Expect: 100-continue\r\nContent-Length: 9\r\n", "");
        send_all(server.addr, MORE_THAN_PLACES, &request)
    },
    "chunks without end" => |server| {
        let begin = post("symbol", "Transfer-Encoding: chunked\r\n", "");
        pour(server.addr, &begin, "1000\r\n".repeat(100).as_bytes(), 8 << 20)
            .into_iter()
            .collect()
    },
    "readers that sip" => |server| {
        let mut clients = stall(server.addr, 4, &large(server));
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| sip(client));
            }
        });
        clients
    },
    "half-closed clients" => |server| {
        let clients = send_all(server.addr, MORE_THAN_PLACES, &get("heap"));
        for client in &clients {
            let _ = client.shutdown(Shutdown::Write);
        }
        clients
    },
};

/// Clients that leave at a bad moment, or ask for what no client should.
pub(crate) const RUDE: &[Attack] = attacks! {
    "readers that leave in the middle" => |server| {
        for _ in 0..MORE_THAN_PLACES {
            let mut client = send(server.addr, &get("heap?debug=1"));
            client.iter_mut().for_each(|client| {
                let _ = std::io::Read::read(client, &mut [0; 100]);
            });
            client.into_iter().for_each(reset);
        }
        Vec::new()
    },
    "seconds at their extremes" => |server| {
        let digits = "9".repeat(7000);
        for seconds in ["0", "-1", "1000000000", "9223372036854775808", "1e9", "NaN", &digits] {
            for name in ["heap", "mutex"] {
                let request = get(&format!("{name}?seconds={seconds}"));
                assert_eq!(status(server.addr, &request), 400, "{seconds}");
            }
        }
        let empty = get("heap?seconds=&seconds=3600");
        assert_eq!(status(server.addr, &empty), 200, "the first one counts, and it is empty");
        Vec::new()
    },
    "an hour's deltas whose clients leave" => |server| {
        for _ in 0..MORE_THAN_PLACES {
            drop(send(server.addr, &get("heap?seconds=3600")));
        }
        for _ in 0..MORE_THAN_PLACES {
            send(server.addr, &get("allocs?seconds=3600")).into_iter().for_each(reset);
        }
        Vec::new()
    },
    "an hour's deltas whose clients stay" => |server| {
        send_all(server.addr, MORE_THAN_PLACES, &get("heap?seconds=3600"))
    },
    "deltas with garbage behind them" => |server| {
        let request = [get("heap?seconds=3600"), vec![b'x'; 1 << 20]].concat();
        send_all(server.addr, MORE_THAN_PLACES, &request)
    },
    "a name that leads here" => |server| {
        let request = b"GET /debug/pprof/heap HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        (0..50).for_each(|_| assert_eq!(status(server.addr, request), 421));
        Vec::new()
    },
    "pages of another site" => |server| {
        for headers in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.example\r\n"] {
            assert_eq!(status(server.addr, &get_with("heap", headers)), 403);
        }
        Vec::new()
    },
    "no HTTP at all" => |server| {
        for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], &[0; 9000], &[0xff; 9000], b"\n\n\n", b"\r"] {
            drop(send(server.addr, bytes));
        }
        send_all(server.addr, 4, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    },
    "names for 34 000 addresses at once" => |server| {
        let one = format!("{:#x}+", server.long_name);
        let body = one.repeat(500_000 / one.len());
        let request = post("symbol", &format!("Content-Length: {}\r\n", body.len()), &body);
        for _ in 0..4 {
            assert_eq!(status(server.addr, &request), 200);
        }
        send_all(server.addr, MORE_THAN_PLACES, &request)
    },
    "all that a scraper asks, by many at once" => |server| {
        thread::scope(|scope| {
            for _ in 0..MORE_THAN_PLACES {
                scope.spawn(|| {
                    for name in ["allocs", "block", "mutex", "goroutine", "heap?debug=1", "cmdline"] {
                        let _ = ask(server.addr, &get(name));
                    }
                });
            }
        });
        Vec::new()
    },
};

/// One after the other, because the first is enough for some.
fn length(server: &Process, length: &str) -> Vec<TcpStream> {
    let headers = format!("Content-Length: {length}\r\n");
    for request in [post("symbol", &headers, ""), get_with("heap", &headers)] {
        // Whatever the answer is.
        let _ = ask(server.addr, &request);
        drop(send(server.addr, &request));
    }
    Vec::new()
}

/// A request with an answer of 800 KB, thirty times what the kernels hold for a [`narrow`](super::clients::narrow)
/// client.
pub(super) fn large(server: &Process) -> Vec<u8> {
    const ADDRESSES: usize = 8000;
    let step = server.code.len() / ADDRESSES;
    let addresses = server.code.clone().step_by(step.max(1));
    let addresses: Vec<_> = addresses.map(|address| format!("{address:#x}")).collect();
    let body = addresses.join("+");
    post(
        "symbol",
        &format!("Content-Length: {}\r\n", body.len()),
        &body,
    )
}
