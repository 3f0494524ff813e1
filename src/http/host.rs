//! `Host`: the name in a `Host` header, and whether a page from elsewhere could have put it there.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The host part of an authority, `name[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// `127.0.0.1` or `[::1]`.
    Literal,
    /// Anything else, in lower case and without a final dot.
    Name(String),
}

impl Host {
    /// `None` if the text is no authority.
    pub(super) fn parse(authority: &str) -> Option<Host> {
        if let Some(bracketed) = authority.strip_prefix('[') {
            let (literal, rest) = bracketed.split_once(']')?;
            let is_valid = literal.parse::<Ipv6Addr>().is_ok() && is_port(rest);
            return is_valid.then_some(Host::Literal);
        }
        let colon = authority.find(':').unwrap_or(authority.len());
        let (name, port) = authority.split_at_checked(colon)?;
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name_byte) || !is_port(port) {
            return None;
        }
        if name.parse::<Ipv4Addr>().is_ok() {
            return Some(Host::Literal);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        Some(Host::Name(name.to_ascii_lowercase()))
    }

    /// Whether no foreign name server decides where this host leads. A page of `evil.example` can make its own
    /// name resolve to 127.0.0.1 and then read from it ("DNS rebinding"); it cannot do that with an address, nor
    /// with `localhost`, which browsers and resolvers keep for themselves.
    pub(super) fn cannot_be_rebound(&self) -> bool {
        match self {
            Host::Literal => true,
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// What may follow a host: nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':');
    text.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn addresses_and_localhost_cannot_be_rebound() {
        for (authority, expected) in [
            ("127.0.0.1", Some(true)),
            ("127.0.0.1:6060", Some(true)),
            ("10.1.2.3:6060", Some(true)),
            ("[::1]", Some(true)),
            ("[::1]:6060", Some(true)),
            ("localhost", Some(true)),
            ("LocalHost.:6060", Some(true)),
            ("a.b.localhost:6060", Some(true)),
            ("localhost:", Some(true)),
            ("evil.example", Some(false)),
            ("evil.example:6060", Some(false)),
            ("notlocalhost", Some(false)),
            ("localhost.evil.example", Some(false)),
            ("127.0.0.1.evil.example", Some(false)),
            ("127.0.0.1.", Some(false)),
            ("127.1", Some(false)),
            ("0x7f000001", Some(false)),
            ("", None),
            (":6060", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]6060", None),
            ("[evil.example]", None),
            ("user@localhost", None),
            ("localhost/", None),
            ("localhost:60:60", None),
            ("localhost:http", None),
            ("evil.example localhost", None),
            ("b\u{fc}cher.example", None),
        ] {
            let verdict = Host::parse(authority).map(|host| host.cannot_be_rebound());
            assert_eq!(verdict, expected, "{authority:?}");
        }
    }
}
