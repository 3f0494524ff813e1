//! The endpoint on tiny_http 0.12, as its documentation serves: the negative control.

use std::thread;

use debug_pprof::ProfiledAllocator;
use debug_pprof::http::tiny_http::respond;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

fn main() {
    attacked_server::run(|| {
        let server = tiny_http::Server::http("127.0.0.1:0").expect("a server");
        let addr = server.server_addr().to_ip().expect("TCP");
        thread::spawn(move || {
            for request in server.incoming_requests() {
                // A client that went away.
                let _ = respond(request);
            }
        });
        addr
    });
}
