//! The routes: from a request to the answer, without a socket.

use std::env;

use super::catalog::{CATALOG, Content};
use super::cpu;
use super::index;
use super::limits::RouteLimits;
use super::metrics;
use super::profiles::{self, Asked};
use super::query::Query;
use super::request::Request;
use super::response::Response;
use super::stacks::{self, StackSource};
use super::symbol;
use super::ui;
use super::watched;
use crate::custom;
use crate::profile::{self, Pieces};

/// Where Go serves the endpoint.
const MOUNT: &str = "/debug/pprof";

/// Answers a request as Go's `net/http/pprof` does: the whole endpoint, for one's own router.
///
/// The path may be the full one under any prefix (`/debug/pprof/heap`, `/admin/debug/pprof/heap`), or what a
/// framework's nesting leaves of it (`/heap`). Nothing else is checked: who may ask is up to the router. (`Server`
/// checks the host, the origin and a token.)
///
/// Cost: blocks the calling thread, for some 10 to 200 ms of work for a heap profile, and for N seconds with
/// `?seconds=N` (3600 at most). Async services call it where blocking is allowed, such as tokio's
/// `spawn_blocking`.
///
/// ```
/// use debug_pprof::http::{Request, respond};
///
/// let response = respond(&Request::get("/debug/pprof/goroutine?debug=1"));
/// assert_eq!(response.status, 200);
/// assert!(response.body.starts_with(b"goroutine profile: total "));
/// ```
pub fn respond(request: &Request) -> Response {
    respond_until(request, &mut || false, &RouteLimits::default()).in_one_piece()
}

/// [`respond`] with a question that is asked a few times a second while a delta waits: is the client gone?
pub(super) fn respond_until(
    request: &Request,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Response {
    let response = profile::without_sampling(|| route(request, gone, limits));
    if request.is_head() {
        response.without_body()
    } else {
        response
    }
}

/// Where Prometheus looks unless it is told otherwise.
const METRICS: &str = "/metrics";

/// Whether `path` is ours on a server that has nothing else: `/metrics`, and `/debug/pprof` and what is under it.
pub(super) fn is_mounted(path: &str) -> bool {
    let below = path.strip_prefix(MOUNT);
    path == METRICS || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn route(request: &Request, gone: &mut dyn FnMut() -> bool, limits: &RouteLimits) -> Response {
    let name = name(request.path());
    if let Some(refusal) = wrong_method(request, name) {
        return refusal;
    }
    match name {
        None => redirect(request),
        Some("metrics") => metrics::answer(request),
        Some("") => index::answer(Query::new(request.raw_query()), request.is_head(), limits),
        // Its links are relative, so it has one address.
        Some("ui") => redirect_to("ui/"),
        Some("ui/") => ui::answer(request.is_head()),
        // Go takes the rest of the path, slashes included, for the name, so `/heap/` is unknown. Names are
        // compared as they are: no escape is decoded, so none can smuggle a name past a proxy's rules.
        Some(name) => match CATALOG.iter().find(|entry| entry.name == name) {
            Some(entry) => answer(name, &entry.content, request, gone, limits),
            None => match custom::find(name) {
                Some(registered) => {
                    let content = Content::Stacks(StackSource::Custom(registered));
                    answer(name, &content, request, gone, limits)
                }
                None => Response::refusal(404, "Unknown profile"),
            },
        },
    }
}

fn answer(
    name: &str,
    content: &Content,
    request: &Request,
    gone: &mut dyn FnMut() -> bool,
    limits: &RouteLimits,
) -> Response {
    let asked = Asked {
        query: Query::new(request.raw_query()),
        head_only: request.is_head(),
    };
    let answered = match *content {
        Content::Memory(default) => profiles::answer(name, default, &asked, gone, limits),
        Content::Stacks(source) => stacks::answer(name, source, &asked, gone, limits),
        Content::Cpu => cpu::answer(name, &asked, gone, limits),
        Content::Watched(what) => watched::answer(name, what, &asked),
        Content::Cmdline => Ok(cmdline(limits)),
        Content::Symbol => Ok(symbols(request)),
        Content::Absent(reason) => Err(Response::refusal(501, reason)),
    };
    answered.unwrap_or_else(|refusal| refusal)
}

/// What follows the mount, which may be under a prefix or cut off by the caller's router already; `None` for the
/// mount itself without the slash that relative links need.
fn name(path: &str) -> Option<&str> {
    match path.split_once("/debug/pprof/") {
        Some((_, name)) => Some(name),
        None if path.ends_with(MOUNT) => None,
        None if path.ends_with(METRICS) => Some("metrics"),
        None => Some(path.strip_prefix('/').unwrap_or(path)),
    }
}

/// Go's 405. `POST /symbol`, which is how `go tool pprof` asks, has been one too since Go 1.22; not here.
fn wrong_method(request: &Request, name: Option<&str>) -> Option<Response> {
    let is_symbol = name == Some("symbol");
    match request.method.as_str() {
        "GET" | "HEAD" => None,
        "POST" if is_symbol => None,
        _ => {
            let allowed = if is_symbol {
                "GET, HEAD, POST"
            } else {
                "GET, HEAD"
            };
            let refusal = Response::error(405, "Method Not Allowed");
            Some(refusal.with_header("Allow", allowed))
        }
    }
}

/// Adds the slash, as Go's mux does, and keeps the query. Under a prefix the new location is relative: that is
/// right behind a proxy that cuts the prefix off, and `//other.host/debug/pprof` leads nowhere else.
fn redirect(request: &Request) -> Response {
    let mut location = match request.path() {
        MOUNT => String::from("/debug/pprof/"),
        _ => String::from("pprof/"),
    };
    let query = request.raw_query();
    if !query.is_empty() && query.bytes().all(|byte| byte.is_ascii_graphic()) {
        location.push('?');
        location.push_str(query);
    }
    redirect_to(&location)
}

fn redirect_to(location: &str) -> Response {
    let href = location
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;");
    let page = format!("<a href=\"{href}\">Temporary Redirect</a>.\n\n");
    Response::new(307)
        .with_header("Content-Type", "text/html; charset=utf-8")
        .with_header("Location", location)
        .with_body(page)
}

/// The arguments, joined by NUL, with nothing at the end.
fn cmdline(limits: &RouteLimits) -> Response {
    if limits.hide_cmdline {
        return Response::refusal(
            404,
            "the command line is hidden (ServerBuilder::hide_cmdline)",
        );
    }
    let arguments: Vec<_> = env::args_os()
        .map(|argument| argument.into_encoded_bytes())
        .collect();
    Response::text(Pieces::of(&arguments.join(&0)))
}

fn symbols(request: &Request) -> Response {
    let list = match request.method.as_str() {
        "HEAD" => &[],
        "POST" => request.body.as_slice(),
        _ => request.raw_query().as_bytes(),
    };
    Response::text(symbol::names(list))
}
