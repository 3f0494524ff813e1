//! `serve` and `serve_from_env`: the one line that starts a server for the life of the process.

use std::env;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::limits::DEFAULT_ADDR;
use super::server::Server;
use crate::error::Error;
use crate::watch;

/// The environment variable with the address for [`serve_from_env`].
const ADDR_VARIABLE: &str = "DEBUG_PPROF_ADDR";

/// Serves the endpoint at `addr` until the process ends, and returns the bound address. Port 0 picks a free port.
///
/// The server has the defaults of [`Server::builder`]: a token is demanded if `DEBUG_PPROF_TOKEN_FILE` is set, and
/// without one the address must be loopback.
///
/// Cost: as that of [`Server`].
///
/// # Errors
///
/// As [`ServerBuilder::start`](super::ServerBuilder::start).
///
/// ```
/// let addr = debug_pprof::http::serve("127.0.0.1:0")?;
/// println!("go tool pprof http://{addr}/debug/pprof/heap");
/// # Ok::<(), debug_pprof::Error>(())
/// ```
pub fn serve(addr: impl ToSocketAddrs) -> Result<SocketAddr, Error> {
    let server = Server::builder().addr(addr).start()?;
    let bound = server.local_addr().ok_or_else(|| Error::Bind {
        addr: "the address that was bound".to_owned(),
        source: io::ErrorKind::AddrNotAvailable.into(),
    })?;
    server.detach();
    Ok(bound)
}

/// [`serve`] at the address in `DEBUG_PPROF_ADDR`; `None`, and no server, if it is unset or empty.
///
/// # Errors
///
/// [`Error::Config`] if the value is no `host:port`, else as [`serve`].
pub fn serve_from_env() -> Result<Option<SocketAddr>, Error> {
    watch::start_from_environment();
    let Some(value) = env::var_os(ADDR_VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let unusable = |why: &str| {
        let reason = format!(
            "{value:?} is no address to listen on ({why}); use host:port, such as {DEFAULT_ADDR}"
        );
        Error::config(ADDR_VARIABLE, reason)
    };
    let text = value.to_str().ok_or_else(|| unusable("not UTF-8"))?;
    // `:6060` is Go's way of writing "all addresses", which resolvers may take for the local host.
    if text.starts_with(':') {
        return Err(unusable("the host is missing"));
    }
    let addrs: Vec<_> = text
        .to_socket_addrs()
        .map_err(|error| unusable(&error.to_string()))?
        .collect();
    serve(addrs.as_slice()).map(Some)
}
