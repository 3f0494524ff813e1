//! `RouteLimits`: how much one endpoint gives away, and the defaults of everything that can be set.

use std::sync::Arc;
use std::time::Duration;

use super::slots::Slots;

/// Where [`Server`](super::Server) listens unless told otherwise: the port of Go's documentation, on loopback.
pub const DEFAULT_ADDR: &str = "127.0.0.1:6060";

/// Connections served at once, each on a thread of its own; the next ones get a 503.
///
/// A scraper of the Parca or Alloy kind holds five. Halved, two such scrapers meet the limit; doubled, an attacker
/// can have twice the threads (2 MiB of address space and some 30 KiB of memory each).
pub const DEFAULT_MAX_CONNECTIONS: usize = 16;

/// Longest `?seconds=N`, in seconds. Go has no limit; an hour holds a snapshot for an hour.
pub const DEFAULT_MAX_SECONDS: u64 = 3600;

/// Time for a client to send its whole request, from accept to the last byte.
///
/// It bounds how long a client that sends nothing holds one of the connections. Three seconds leave room for two
/// lost packets.
pub const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for a client to take the whole answer, once it is ready. A 1 MiB profile passes at 35 KiB/s.
pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest request line plus headers, in bytes; more is answered 431. As nginx and most others.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Longest body of a `POST /symbol`, in bytes; more is answered 413. Room for 34 000 addresses, more than a
/// profile of the default size has.
pub const MAX_BODY_BYTES: usize = 512 * 1024;

/// What the routes give away at most.
#[derive(Debug, Clone)]
pub(super) struct RouteLimits {
    /// Longest `?seconds=N`.
    pub(super) max_seconds: u64,
    /// Whether `/cmdline` is left out: arguments can hold passwords.
    pub(super) hide_cmdline: bool,
    /// Deltas that may wait at the same time; `None` for no limit, where the caller brings the thread.
    pub(super) deltas: Option<Arc<Slots>>,
}

impl Default for RouteLimits {
    fn default() -> RouteLimits {
        RouteLimits {
            max_seconds: DEFAULT_MAX_SECONDS,
            hide_cmdline: false,
            deltas: None,
        }
    }
}
