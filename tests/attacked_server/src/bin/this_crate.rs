//! The endpoint on this crate's server, with time-outs that a test can wait for.

use std::time::Duration;

use debug_pprof::ProfiledAllocator;
use debug_pprof::http::Server;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

fn main() {
    attacked_server::run(|| {
        let server = Server::builder()
            .addr("127.0.0.1:0")
            .head_timeout(Duration::from_secs(1))
            .write_timeout(Duration::from_secs(1))
            .start()
            .expect("a server");
        let addr = server.local_addr().expect("TCP");
        server.detach();
        addr
    });
}
