//! `Listener`: the listening socket, over TCP or a Unix socket, and the way to end its wait.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::stream::Stream;
use super::unix_socket::SocketFile;

/// A socket that accepts.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// The file is removed with the listener.
    Unix(UnixListener, SocketFile),
}

/// Ends the wait in [`Listener::accept`], from another thread.
#[derive(Debug)]
pub(super) enum Waker {
    /// A second descriptor of the listening socket. Had from the start, because there may be none left when it is
    /// needed. Linux ends the `accept` of a socket that is shut down; a sandbox that does not is woken by a connection.
    Tcp(TcpStream, Option<SocketAddr>),
    Unix(UnixStream, std::path::PathBuf),
}

impl Listener {
    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(socket, _)| Stream::Tcp(socket)),
            Listener::Unix(listener, _) => {
                listener.accept().map(|(socket, _)| Stream::Unix(socket))
            }
        }
    }

    /// The bound address; `None` for a Unix socket.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }

    pub(super) fn waker(&self) -> io::Result<Waker> {
        use std::os::fd::OwnedFd;
        // A descriptor is a descriptor: as a "stream" it can be shut down.
        Ok(match self {
            Listener::Tcp(listener) => {
                let second = OwnedFd::from(listener.try_clone()?);
                Waker::Tcp(TcpStream::from(second), self.local_addr())
            }
            Listener::Unix(listener, file) => {
                let second = OwnedFd::from(listener.try_clone()?);
                Waker::Unix(UnixStream::from(second), file.path().to_owned())
            }
        })
    }
}

impl Waker {
    /// Ends the wait; false if that could not be done.
    pub(super) fn wake(&self) -> bool {
        match self {
            Waker::Tcp(second, addr) => {
                second.shutdown(std::net::Shutdown::Both).is_ok() || knock(*addr)
            }
            Waker::Unix(second, path) => {
                let shut = second.shutdown(std::net::Shutdown::Both).is_ok();
                shut || UnixStream::connect(path).is_ok()
            }
        }
    }
}

/// Connects to our own address, for sandboxes where a shutdown does not end an `accept` (they refuse it).
fn knock(addr: Option<SocketAddr>) -> bool {
    let Some(mut addr) = addr else { return false };
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok()
}
