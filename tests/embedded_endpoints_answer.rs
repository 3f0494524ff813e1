//! Inside a service that runs axum or tiny_http, the endpoint answers as it does on a port of its own, and neither it
//! nor the service stands still while deltas wait.
#![cfg(feature = "http")]

mod example_binary;
mod http_client;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use example_binary::{Build, Process, executable};
use http_client::{Answer, CLOSE, ask, exchange, read_answer, send};

struct Service {
    _process: Process,
    addr: SocketAddr,
}

impl Service {
    /// With everything sampled, so that its profiles are not empty.
    fn start(example: &str, features: &[&str]) -> Service {
        let mut command = Command::new(executable(example, Build::Debug, features));
        command
            .env("ADDR", "127.0.0.1:0")
            .env("DEBUG_PPROF_RATE", "1");
        let process = Process::start(&mut command);
        let addr = process.wait_for_addr("profiler  go tool pprof -top http://");
        Service {
            _process: process,
            addr,
        }
    }

    fn get(&self, target: &str) -> Answer {
        ask(self.addr, "GET", target, CLOSE)
    }

    /// 200 with a profile in a file of this name.
    fn assert_profile(&self, target: &str, file: &str) {
        let answer = self.get(target);
        let disposition = format!("attachment; filename=\"{file}\"");
        assert_eq!(
            (answer.status, answer.header("Content-Disposition")),
            (200, Some(disposition.as_str())),
            "{target}"
        );
    }

    fn assert_answers(&self) {
        for (target, status, text) in [
            ("/", 200, "the service itself\n"),
            ("/debug/pprof/", 200, "<a href='heap?debug=1'>heap</a>"),
            ("/debug/pprof/heap?debug=1", 200, "heap profile: "),
            ("/debug/pprof/heap?seconds=x", 400, "seconds"),
            ("/debug/pprof/nope", 404, "Unknown profile\n"),
        ] {
            let answer = self.get(target);
            assert_eq!(answer.status, status, "{target}");
            assert!(
                answer.text().contains(text),
                "{target}: {:?}",
                answer.text()
            );
        }
        let redirect = self.get("/debug/pprof");
        assert_eq!(redirect.status, 307);
        let location = redirect.header("Location").expect("where to go");
        assert_eq!(location, "/debug/pprof/");
        assert_eq!(self.get(location).status, 200);

        self.assert_profile("/debug/pprof/heap", "heap");
        self.assert_profile("/debug/pprof/heap?symbolize=0", "heap");
        self.assert_profile("/debug/pprof/allocs?seconds=1", "allocs-delta");

        let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n";
        let answer = exchange(self.addr, format!("{head}{CLOSE}\r\n0x1").as_bytes());
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with("num_symbols: 1\n"));
    }

    /// By the order in which answers come.
    fn assert_answers_while_deltas_wait(&self) {
        let (events, order) = mpsc::channel();
        for _ in 0..4 {
            let target = "/debug/pprof/heap?seconds=5";
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{CLOSE}\r\n");
            let mut waiting = send(self.addr, request.as_bytes());
            let events = events.clone();
            thread::spawn(move || {
                let answer = read_answer(&mut waiting, request.as_bytes());
                events.send((target, answer.status)).expect("the test");
            });
        }
        for target in ["/", "/debug/pprof/heap"] {
            let answer = self.get(target);
            events.send((target, answer.status)).expect("the test");
        }
        drop(events);
        let order: Vec<_> = order.iter().collect();
        assert_eq!(order[..2], [("/", 200), ("/debug/pprof/heap", 200)]);
        assert_eq!(order[2..], [("/debug/pprof/heap?seconds=5", 200); 4]);
    }
}

#[test]
fn inside_axum() {
    let service = Service::start("embed_axum", &[]);
    service.assert_answers();
    service.assert_answers_while_deltas_wait();
}

#[cfg(feature = "tiny_http")]
#[test]
fn inside_tiny_http() {
    let service = Service::start("embed_tiny_http", &["tiny_http"]);
    service.assert_answers();
    service.assert_answers_while_deltas_wait();
}
