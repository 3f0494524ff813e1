//! The service: one thread per connection, keep-alive, three routes.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::cache::{self, Cache};
use crate::leak_cap::LeakCap;
use crate::previews::{self, PICTURE_BYTES, Previews};
use crate::requests::{self, PAGE_BYTES};
use crate::tickers::{self, HISTORY_BYTES, Tickers};

pub(crate) struct Service {
    cap: LeakCap,
    cache: Cache,
    previews: Previews,
    tickers: Tickers,
    requests: AtomicU64,
}

impl Service {
    pub(crate) fn new(cap: LeakCap) -> Service {
        Service {
            cap,
            cache: Cache::default(),
            previews: Previews::default(),
            tickers: Tickers::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn cap(&self) -> &LeakCap {
        &self.cap
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The answer to `GET path`; `None` is a 404.
    fn answer(&self, path: &str) -> Option<String> {
        let (route, id) = path.strip_prefix('/')?.split_once('/')?;
        let id = id.parse().ok()?;
        match route {
            "page" => {
                let page = requests::render(id);
                if self.cap.take(id, PAGE_BYTES) {
                    cache::remember(&self.cache, id, &page);
                }
                Some(page)
            }
            "preview" => {
                if self.cap.take(id, PICTURE_BYTES) {
                    previews::keep_slice(&self.previews, id);
                }
                Some(format!("preview {id}\n"))
            }
            "watch" => {
                if self.cap.take(id, HISTORY_BYTES) {
                    tickers::start(&self.tickers);
                }
                Some(format!("watching {id}\n"))
            }
            _ => None,
        }
    }

    /// Serves one connection until the client leaves.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(path) = read_request(&mut reader)? {
            let (status, body) = match self.answer(&path) {
                Some(body) => ("200 OK", body),
                None => (
                    "404 Not Found",
                    "try /page/1, /preview/1 or /watch/1\n".to_owned(),
                ),
            };
            let length = body.len();
            write!(
                writer,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n"
            )?;
            writer.write_all(body.as_bytes())?;
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The path of the next request; `None` when the client has left.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut header = String::new();
    while reader.read_line(&mut header)? > 0 && header != "\r\n" {
        header.clear();
    }
    Ok(first.split(' ').nth(1).map(str::to_owned))
}

/// Listens on a free port of this machine.
pub(crate) fn start(service: &Arc<Service>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    service.tickers.drive()?;
    let service = Arc::clone(service);
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&service, &listener))?;
    Ok(addr)
}

fn accept(service: &Arc<Service>, listener: &TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors, most likely: let some connections end.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let service = Arc::clone(service);
        // A client that goes away in mid-request is its own affair, and so is one that gets no thread.
        let _ = thread::Builder::new()
            .name("request".to_owned())
            .spawn(move || service.serve(stream));
    }
}
