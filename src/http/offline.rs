//! What a client's bytes come to without a socket: for the fuzz target, and for a test with mutated requests.

use super::connection::{content_length, on_the_wire, reason};
use super::gate::Gate;
use super::head::Head;
use super::limits::RouteLimits;
use super::request::Request;
use super::response::Response;
use super::routes;

/// The answer's status, `None` if a server would wait for more bytes.
///
/// # Panics
///
/// If a client could tell the server's reading apart by how the bytes are cut, or an answer's head is not one.
#[cfg_attr(
    not(fuzzing),
    expect(unreachable_pub, reason = "public for the fuzz target only")
)]
pub fn status(bytes: &[u8]) -> Option<u16> {
    let response = match Head::parse(bytes) {
        Ok(None) => return None,
        Ok(Some(head)) => {
            check_cuts(bytes, &head);
            respond(head)?
        }
        Err(refusal) => refusal,
    };
    check_wire(&response);
    Some(response.status)
}

/// As `connection::answer`, with what came instead of what will come.
fn respond(head: Head) -> Option<Response> {
    let length = Gate::default()
        .check(&head, true)
        .and_then(|()| content_length(&head));
    let body = match length {
        Err(refusal) => return Some(refusal),
        Ok(length) => head.rest.get(..length)?.to_vec(),
    };
    let request = Request::new(head.method, head.target, body);
    if !routes::is_mounted(request.path()) {
        return Some(Response::error(404, "404 page not found"));
    }
    // Nobody waits for a delta.
    let limits = RouteLimits::default();
    Some(routes::respond_until(&request, &mut || true, &limits))
}

/// A head that is cut off anywhere is incomplete, and never another head.
fn check_cuts(bytes: &[u8], head: &Head) {
    let length = bytes.len() - head.rest.len();
    for end in 0..length {
        let cut = Head::parse(bytes.get(..end).unwrap_or_default());
        assert!(matches!(cut, Ok(None)), "cut at {end} of {length}: {cut:?}");
    }
}

fn check_wire(response: &Response) {
    assert_ne!(reason(response.status), "", "{}", response.status);
    let wire = on_the_wire(response, false);
    let text = std::str::from_utf8(&wire).expect("text");
    let lines: Vec<_> = text.split("\r\n").collect();
    // The status, ours, three of the connection, and the empty line with what follows it.
    assert_eq!(lines.len(), 1 + response.headers.len() + 3 + 2, "{text:?}");
    let is_plain = |line: &&str| !line.bytes().any(|byte| byte.is_ascii_control());
    assert!(lines.iter().all(is_plain), "{text:?}");
}

#[cfg(test)]
mod tests {
    use crate::mutations;
    use crate::statistics::Random;

    #[test]
    fn ten_thousand_mutated_requests_have_a_status_or_wait_for_more() {
        let mut random = Random::of_this_run();
        let (mut answered, mut waiting) = (0, 0);
        for _ in 0..10_000 {
            match super::status(&mutations::head(&mut random)) {
                Some(_) => answered += 1,
                None => waiting += 1,
            }
        }
        // Not all alike, or the mutations were too wild or too tame.
        assert!(answered > 1000 && waiting > 100, "{answered}, {waiting}");
    }
}
