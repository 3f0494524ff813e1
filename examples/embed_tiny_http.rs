//! `/debug/pprof` inside a service that already runs tiny_http 0.12 (see the README for why it is not the default).
//!
//! ```text
//! cargo run --release --features tiny_http --example embed_tiny_http
//! go tool pprof -top http://127.0.0.1:3000/debug/pprof/heap
//! ```

use std::error::Error;
use std::thread;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let addr = std::env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let server = tiny_http::Server::http(&addr)?;
    let addr = server.server_addr();
    println!("service   http://{addr}/");
    println!("profiler  go tool pprof -top http://{addr}/debug/pprof/heap");
    for request in server.incoming_requests() {
        if request.url().starts_with("/debug/pprof") {
            // A thread of its own: `?seconds=30` takes 30 seconds. A client that has gone is nobody's error.
            thread::Builder::new().spawn(move || debug_pprof::http::tiny_http::respond(request))?;
        } else {
            // As above.
            let _ = request.respond(tiny_http::Response::from_string("the service itself\n"));
        }
    }
    Ok(())
}
