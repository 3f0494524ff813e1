//! `Stream`: one client's connection, over TCP or a Unix socket, with every step under an absolute deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::deadline::Deadline;

/// How long, and for how many bytes, a closed connection waits for the client to close as well.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// How many reads of 1 KiB one look for the client's end makes at most.
const MAX_READS_AHEAD: usize = 64;

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same method on whichever socket it is.
macro_rules! either {
    ($stream:expr, $socket:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($socket) => $call,
            Stream::Unix($socket) => $call,
        }
    };
}

impl Stream {
    /// Makes an accepted socket ours: blocking (some systems hand down the listener's mode), and without the 40 ms
    /// that a small last packet otherwise waits for.
    pub(super) fn prepare(&self) -> io::Result<()> {
        if let Stream::Tcp(socket) = self {
            socket.set_nodelay(true)?;
        }
        self.set_nonblocking(false)
    }

    /// Whether the peer has a file system instead of a network address, so that no browser can reach us.
    pub(super) fn is_local_file(&self) -> bool {
        !matches!(self, Stream::Tcp(_))
    }

    /// Reads what is there, at least one byte; 0 at the end. `TimedOut` when the deadline has passed.
    pub(super) fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            let left = deadline.left().ok_or(ErrorKind::TimedOut)?;
            either!(self, socket => socket.set_read_timeout(Some(left)))?;
            match either!(self, socket => (&*socket).read(buffer)) {
                Err(error) if is_retry(&error) => {}
                done => return done,
            }
        }
    }

    /// Writes all of `bytes`, however little the client takes at a time. `TimedOut` when the deadline has passed.
    pub(super) fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.left().ok_or(ErrorKind::TimedOut)?;
            either!(self, socket => socket.set_write_timeout(Some(left)))?;
            match either!(self, socket => (&*socket).write(bytes)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if is_retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes as much of `bytes` as goes without waiting, and ends our side. What the client has sent so far is thrown
    /// away first: closed while it lies unread, the socket is reset, and the client loses the answer.
    pub(super) fn write_now(&self, bytes: &[u8]) {
        if self.set_nonblocking(true).is_ok() && !self.is_at_end() {
            // It is a courtesy to a client that is refused anyway.
            let _ = either!(self, socket => (&*socket).write(bytes));
            self.shut(Shutdown::Write);
        }
    }

    /// Whether the client has closed its side or is unreachable. What it has sent meanwhile is thrown away, because
    /// the end stands behind it.
    pub(super) fn is_gone(&self) -> bool {
        if self.set_nonblocking(true).is_err() {
            return true;
        }
        let gone = self.is_at_end();
        self.set_nonblocking(false).is_err() || gone
    }

    /// Throws away what has come over a socket that does not block; true at its end.
    fn is_at_end(&self) -> bool {
        // A client that never stops sending is there, and must not keep us here.
        for _ in 0..MAX_READS_AHEAD {
            match either!(self, socket => (&*socket).read(&mut [0; 1024])) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => return true,
            }
        }
        false
    }

    /// Ends our side, and waits a moment for the client to end its own. A socket that is closed while bytes from
    /// the client lie unread is reset, and the client may lose the answer.
    pub(super) fn linger(&self) {
        self.shut(Shutdown::Write);
        let deadline = Deadline::after(LINGER);
        let mut budget = LINGER_BYTES;
        while let Ok(length @ 1..) = self.read(&mut [0; 4096], deadline) {
            budget = budget.saturating_sub(length);
            if budget == 0 {
                return;
            }
        }
    }

    /// Ends one side or both, also for a thread that is waiting on this socket.
    pub(super) fn shut(&self, side: Shutdown) {
        // It fails if the client was faster, and then there is nothing to end.
        let _ = either!(self, socket => socket.shutdown(side));
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(self, socket => socket.set_nonblocking(nonblocking))
    }
}

/// An interrupted call is made again; so is one that timed out, and then finds its deadline passed.
fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::Stream;
    use crate::http::deadline::Deadline;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        (Stream::Tcp(listener.accept().expect("accept").0), client)
    }

    #[test]
    fn a_write_ends_at_its_deadline_whether_the_client_reads_nothing_or_a_little() {
        let bytes = vec![0; 64 << 20];
        let (stream, client) = pair();
        let end = stream.write_all(&bytes, Deadline::after(Duration::from_millis(200)));
        assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        drop(client);

        let (stream, mut client) = pair();
        let reader = thread::spawn(move || {
            while client.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let end = stream.write_all(&bytes, Deadline::after(Duration::from_millis(200)));
        assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        stream.shut(std::net::Shutdown::Both);
        drop(stream);
        // It still has what the socket's buffers hold; that is its own affair.
        drop(reader);
    }

    #[test]
    fn a_client_that_sends_on_is_there_until_it_closes() {
        let (stream, mut client) = pair();
        assert!(!stream.is_gone());
        std::io::Write::write_all(&mut client, &[b'x'; 10_000]).expect("write");
        assert!(!stream.is_gone());
        drop(client);
        while !stream.is_gone() {
            thread::yield_now();
        }
    }
}
