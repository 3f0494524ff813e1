//! The load: clients that send real requests, at a pace that shows the leaks within two seconds.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const CLIENTS: u64 = 4;

/// 40 rounds a second and client, 16 MiB leaked a second in all. Shorter reaches the cap before anybody has looked.
const PAUSE: Duration = Duration::from_millis(25);

/// One request for a ticker in so many rounds: the third leak is much smaller than the others.
pub(crate) const ROUNDS_PER_TICKER: u64 = 4;

pub(crate) fn start(addr: SocketAddr) -> io::Result<()> {
    let next_id = Arc::new(AtomicU64::new(0));
    for _ in 0..CLIENTS {
        let stream = TcpStream::connect(addr)?;
        let next_id = Arc::clone(&next_id);
        // A client that loses its connection has nobody to tell: the service has said why.
        let client = move || drop(run_client(stream, &next_id));
        thread::Builder::new()
            .name("client".to_owned())
            .spawn(client)?;
    }
    Ok(())
}

fn run_client(stream: TcpStream, next_id: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut body = Vec::new();
    loop {
        // No page is asked for twice, as with a session id in each URL.
        let id = next_id.fetch_add(1, Ordering::Relaxed);
        get(&mut writer, &mut reader, &format!("/page/{id}"), &mut body)?;
        get(
            &mut writer,
            &mut reader,
            &format!("/preview/{id}"),
            &mut body,
        )?;
        if id.is_multiple_of(ROUNDS_PER_TICKER) {
            get(&mut writer, &mut reader, &format!("/watch/{id}"), &mut body)?;
        }
        thread::sleep(PAUSE);
    }
}

fn get(
    writer: &mut impl Write,
    reader: &mut impl BufRead,
    path: &str,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    writer.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line != "\r\n" {
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().unwrap_or(0);
        }
        line.clear();
    }
    body.resize(length, 0);
    reader.read_exact(body)
}
