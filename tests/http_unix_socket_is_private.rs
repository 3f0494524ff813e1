//! A Unix socket has mode 0600, replaces a stale file and nothing else, and is removed in the end.
#![cfg(all(feature = "http", unix))]

mod http_client;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use debug_pprof::Error;
use debug_pprof::http::Server;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pprof-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn status(path: &Path) -> u16 {
    let mut stream = UnixStream::connect(path).expect("connect");
    // Any host will do: no browser gets here.
    let request = b"GET /debug/pprof/ HTTP/1.1\r\nHost: whatever\r\n\r\n";
    stream.write_all(request).expect("write");
    http_client::read_answer(&mut stream, request).status
}

#[test]
fn it_serves_and_leaves_nothing() {
    let directory = directory("serves");
    let path = directory.join("socket");
    let server = Server::builder()
        .unix_socket(&path)
        .start()
        .expect("a server");
    assert_eq!(server.local_addr(), None);
    assert_eq!(
        fs::metadata(&path).expect("a file").permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(status(&path), 200);
    let second = Server::builder().unix_socket(&path).start();
    assert!(matches!(second, Err(Error::Bind { .. })), "{second:?}");
    assert_eq!(status(&path), 200, "the first is undisturbed");
    server.shutdown();
    assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 0);
    fs::remove_dir(directory).expect("empty");
}

#[test]
fn only_a_stale_socket_is_replaced() {
    let directory = directory("stale");
    let path = directory.join("socket");
    drop(UnixListener::bind(&path).expect("a socket whose owner is gone"));
    let server = Server::builder()
        .unix_socket(&path)
        .start()
        .expect("a server");
    assert_eq!(status(&path), 200);
    // Somebody else's file at our path stays.
    fs::remove_file(&path).expect("our socket");
    fs::write(&path, "precious").expect("a file");
    server.shutdown();
    assert_eq!(fs::read(&path).expect("the file"), b"precious");
    let refused = Server::builder().unix_socket(&path).start();
    assert!(matches!(refused, Err(Error::Bind { .. })), "{refused:?}");
    assert_eq!(fs::read(&path).expect("the file"), b"precious");
    fs::remove_dir_all(directory).expect("removed");
}
