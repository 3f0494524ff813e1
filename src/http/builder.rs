//! `ServerBuilder`: the settings of a server, and their checks.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::connection::Policy;
use super::gate::Gate;
use super::host::Host;
use super::limits::{
    DEFAULT_ADDR, DEFAULT_HEAD_TIMEOUT, DEFAULT_MAX_CONNECTIONS, DEFAULT_WRITE_TIMEOUT, RouteLimits,
};
use super::listener::Listener;
use super::server::Server;
use super::slots::Slots;
use super::token::{Token, TokenSource};
use super::unix_socket;
use crate::error::Error;
use crate::profile;
use crate::watch::{self, WatchOptions};

/// The settings of a [`Server`]. Made by [`Server::builder`]; wrong values are reported by
/// [`start`](ServerBuilder::start).
///
/// ```no_run
/// use debug_pprof::http::Server;
///
/// let server = Server::builder()
///     .addr("0.0.0.0:6060")
///     .token_file("/run/secrets/pprof-token")
///     .allow_host("billing.internal")
///     .start()?;
/// # Ok::<(), debug_pprof::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct ServerBuilder {
    place: Place,
    token: TokenSource,
    allow_unauthenticated: bool,
    allowed_hosts: Vec<String>,
    limits: RouteLimits,
    max_connections: usize,
    head_timeout: Duration,
    write_timeout: Duration,
    watch: Option<WatchOptions>,
}

/// Where to listen.
#[derive(Debug)]
enum Place {
    /// The addresses that a name stands for, tried in order.
    Tcp(io::Result<Vec<SocketAddr>>),
    Unix(PathBuf),
}

impl ServerBuilder {
    pub(super) fn new() -> ServerBuilder {
        ServerBuilder {
            place: Place::Tcp(resolve(DEFAULT_ADDR)),
            token: TokenSource::Environment,
            allow_unauthenticated: false,
            allowed_hosts: Vec::new(),
            limits: RouteLimits::default(),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            head_timeout: DEFAULT_HEAD_TIMEOUT,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            watch: None,
        }
    }

    /// Listens on a TCP address; port 0 picks a free port. A name that stands for several addresses is bound on the
    /// first of them that works. Default: [`DEFAULT_ADDR`]. Replaces an earlier `addr` or `unix_socket`.
    pub fn addr(mut self, addr: impl ToSocketAddrs) -> ServerBuilder {
        self.place = Place::Tcp(resolve(addr));
        self
    }

    /// Listens on a Unix socket at `path`, with mode 0600, instead of TCP. A socket that nobody listens on is
    /// replaced; the file is removed when the server ends. The directory must be writable. The `Host` header does
    /// not matter then: no browser gets there.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> ServerBuilder {
        self.place = Place::Unix(path.into());
        self
    }

    /// Demands this token of each request, as `Authorization: Bearer TOKEN` or as the password of HTTP Basic
    /// (`go tool pprof http://any:TOKEN@host/debug/pprof/heap`). Visible ASCII without spaces. Default: the
    /// content of the file that `DEBUG_PPROF_TOKEN_FILE` names, or no token.
    pub fn bearer_token(mut self, token: impl Into<String>) -> ServerBuilder {
        self.token = TokenSource::Text(Token::new(token.into()));
        self
    }

    /// [`bearer_token`](ServerBuilder::bearer_token) from a file, read once by `start`, without white space
    /// around it.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> ServerBuilder {
        self.token = TokenSource::File(path.into());
        self
    }

    /// Consents to an address that other machines can reach, without a token. Profiles reveal function names,
    /// paths and arguments, and each costs some CPU time: behind this there should be a firewall.
    pub fn allow_unauthenticated(mut self) -> ServerBuilder {
        self.allow_unauthenticated = true;
        self
    }

    /// Accepts requests for the host `name` (without port), besides IP addresses and `localhost`. May be called
    /// several times.
    pub fn allow_host(mut self, name: impl Into<String>) -> ServerBuilder {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Leaves `/cmdline` out, for programs with secrets among their arguments.
    pub fn hide_cmdline(mut self) -> ServerBuilder {
        self.limits.hide_cmdline = true;
        self
    }

    /// Connections served at once, at least 1; the next ones get a 503. Half of them, but at least one, may wait
    /// for a delta. Default: [`DEFAULT_MAX_CONNECTIONS`].
    pub fn max_connections(mut self, connections: usize) -> ServerBuilder {
        self.max_connections = connections;
        self
    }

    /// Longest `?seconds=N`, in seconds; 0 refuses every delta. Default:
    /// [`DEFAULT_MAX_SECONDS`](super::DEFAULT_MAX_SECONDS).
    pub fn max_seconds(mut self, seconds: u64) -> ServerBuilder {
        self.limits.max_seconds = seconds;
        self
    }

    /// Time for a client to send its whole request. Default: [`DEFAULT_HEAD_TIMEOUT`].
    pub fn head_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.head_timeout = timeout;
        self
    }

    /// Time for a client to take the whole answer, from its first byte on. Default: [`DEFAULT_WRITE_TIMEOUT`].
    pub fn write_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.write_timeout = timeout;
        self
    }

    /// How the process is watched while the server runs, for all servers of the process: the last one says. Default:
    /// what [`watch`](crate::watch()) was given, or [`WatchOptions::DEFAULT`].
    pub fn watch(mut self, options: WatchOptions) -> ServerBuilder {
        self.watch = Some(options);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a value that makes no sense and for a token that cannot be read, [`Error::Exposed`]
    /// for an address that is not loopback without token or consent, [`Error::Bind`] if the address cannot be had,
    /// and [`Error::Thread`] if there are no threads or descriptors left.
    pub fn start(self) -> Result<Server, Error> {
        profile::without_sampling(|| self.start_unsampled())
    }

    fn start_unsampled(mut self) -> Result<Server, Error> {
        profile::report_bad_environment();
        let allowed_hosts = hosts(&self.allowed_hosts)?;
        not_zero("max_connections", self.max_connections == 0)?;
        not_zero("head_timeout", self.head_timeout.is_zero())?;
        not_zero("write_timeout", self.write_timeout.is_zero())?;
        let token = self.token.load()?;
        let may_be_exposed = token.is_some() || self.allow_unauthenticated;
        let listener = self.place.listen(may_be_exposed)?;
        if let Some(options) = self.watch {
            watch::set(options)?;
        }
        self.limits.deltas = Some(Slots::new((self.max_connections / 2).max(1)));
        let policy = Policy {
            gate: Gate {
                allowed_hosts,
                token,
            },
            limits: self.limits,
            head_timeout: self.head_timeout,
            write_timeout: self.write_timeout,
            max_connections: self.max_connections,
            stopping: AtomicBool::new(false),
        };
        Server::start(listener, policy)
    }
}

impl Place {
    fn listen(self, may_be_exposed: bool) -> Result<Listener, Error> {
        match self {
            Place::Tcp(addrs) => {
                let addrs = addrs.map_err(|error| {
                    let reason = format!("{error}; use host:port, such as {DEFAULT_ADDR}");
                    Error::config("addr", reason)
                })?;
                let exposed = |addr: &&SocketAddr| !addr.ip().to_canonical().is_loopback();
                if let Some(addr) = addrs.iter().find(exposed).filter(|_| !may_be_exposed) {
                    return Err(Error::Exposed {
                        addr: addr.to_string(),
                    });
                }
                let bound = TcpListener::bind(addrs.as_slice());
                bound.map(Listener::Tcp).map_err(|source| {
                    let addrs: Vec<_> = addrs.iter().map(SocketAddr::to_string).collect();
                    Error::Bind {
                        addr: addrs.join(", "),
                        source,
                    }
                })
            }
            Place::Unix(path) => match unix_socket::bind(&path) {
                Ok((listener, file)) => Ok(Listener::Unix(listener, file)),
                Err(source) => Err(Error::Bind {
                    addr: path.display().to_string(),
                    source,
                }),
            },
        }
    }
}

fn resolve(addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let addrs: Vec<_> = addr.to_socket_addrs()?.collect();
    if addrs.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(addrs)
}

fn hosts(names: &[String]) -> Result<Vec<Host>, Error> {
    let parse = |name: &String| {
        let reason = || format!("{name:?} is not a host name; use one such as billing.internal");
        Host::parse(name).ok_or_else(|| Error::config("allow_host", reason()))
    };
    names.iter().map(parse).collect()
}

fn not_zero(setting: &str, is_zero: bool) -> Result<(), Error> {
    if is_zero {
        return Err(Error::config(
            setting,
            "0 would refuse every request; use more",
        ));
    }
    Ok(())
}
