//! `/debug/pprof` inside a service that runs axum: no second port, and no executor thread that waits.
//!
//! ```text
//! cargo run --release --example embed_axum
//! go tool pprof -top http://127.0.0.1:3000/debug/pprof/heap
//! ```
//!
//! Host, origin and token are not checked here: that is for the service's own middleware.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};
use debug_pprof::http;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// Answers that may be in the making at one time; each holds a thread of tokio's blocking pool, for as long as
/// `?seconds=` says.
const AT_ONCE: usize = 8;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let app = Router::new()
        .route("/", get(|| async { "the service itself\n" }))
        .route("/debug/pprof", any(pprof))
        .route("/debug/pprof/", any(pprof))
        .route("/debug/pprof/{*name}", any(pprof))
        .with_state(Arc::new(Semaphore::new(AT_ONCE)));
    let listener = tokio::net::TcpListener::bind(&addr).await?;
    let addr = listener.local_addr()?;
    println!("service   http://{addr}/");
    println!("profiler  go tool pprof -top http://{addr}/debug/pprof/heap");
    axum::serve(listener, app).await
}

/// Takes the request apart into plain values, lets `http::respond` answer it on a thread that may block, and puts the
/// answer together again.
async fn pprof(State(slots): State<Arc<Semaphore>>, request: Request) -> Response {
    let Ok(slot) = slots.try_acquire_owned() else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many profiles at once; try again\n",
        );
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, http::MAX_BODY_BYTES).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n");
    };
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let request = http::Request::new(parts.method.as_str(), target, body);
    let answer = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        http::respond(&request)
    });
    match answer.await {
        Ok(answer) => into_axum(answer),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the profile could not be made\n",
        ),
    }
}

fn into_axum(answer: http::Response) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = Body::from(Bytes::from(answer.body));
    response
        .body(body)
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "a bad header\n"))
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
