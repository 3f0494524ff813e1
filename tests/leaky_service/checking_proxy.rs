//! Between `go tool pprof` and the service: hands every request and answer on, once the validator has taken the answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::http_client;

/// Listens for as long as the process lives.
pub(super) fn start(service: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A profile that breaks a rule ends this thread with the list, and the client without an answer.
            thread::spawn(move || hand_on(client, service));
        }
    });
    addr
}

fn hand_on(mut client: TcpStream, service: SocketAddr) {
    let request = read_request(&client);
    let answer = http_client::exchange(service, &request);
    let mut bytes = answer.status_line.into_bytes();
    for (name, value) in answer.headers {
        bytes.extend(format!("\r\n{name}: {value}").bytes());
    }
    bytes.extend(b"\r\n\r\n");
    bytes.extend(answer.body);
    client
        .write_all(&bytes)
        .expect("the client waits for its answer");
}

/// The head, and as much of a body as it announces.
fn read_request(client: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        request.extend(line.bytes());
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    [request, body].concat()
}
