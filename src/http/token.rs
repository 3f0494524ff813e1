//! `Token`: the secret that a client shows, where it comes from, and how it is compared.

use std::env;
use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::base64;
use crate::error::Error;

/// The environment variable that names the token's file.
const TOKEN_FILE_VARIABLE: &str = "DEBUG_PPROF_TOKEN_FILE";

/// Longest token file, in bytes. Anything longer is the wrong file.
const MAX_TOKEN_BYTES: u64 = 4096;

/// A token; its `Debug` does not show it.
#[derive(Clone)]
pub(super) struct Token(Vec<u8>);

/// Where a builder's token comes from.
#[derive(Debug)]
pub(super) enum TokenSource {
    /// `DEBUG_PPROF_TOKEN_FILE`, if it is set.
    Environment,
    Text(Token),
    File(PathBuf),
}

impl TokenSource {
    /// The token, if there is to be one. Whatever is wrong with it is an error: a server that was meant to have a
    /// token never starts without.
    pub(super) fn load(self) -> Result<Option<Token>, Error> {
        match self {
            TokenSource::Text(token) => token.checked("bearer_token").map(Some),
            TokenSource::File(path) => read(&path, "token_file").map(Some),
            TokenSource::Environment => match env::var_os(TOKEN_FILE_VARIABLE) {
                None => Ok(None),
                Some(path) => read(Path::new(&path), TOKEN_FILE_VARIABLE).map(Some),
            },
        }
    }
}

impl Token {
    pub(super) fn new(text: String) -> Token {
        Token(text.into_bytes())
    }

    fn checked(self, setting: &str) -> Result<Token, Error> {
        let problem = if self.0.is_empty() {
            "the token is empty; write a long random one"
        } else if !self.0.iter().all(u8::is_ascii_graphic) {
            "the token must be visible ASCII without spaces, to fit into an HTTP header"
        } else {
            return Ok(self);
        };
        Err(Error::config(setting, problem))
    }

    /// Whether the value of an `Authorization` header shows this token: `Bearer TOKEN`, or `Basic` with the token
    /// as the password of any user, because that is what `go tool pprof http://user:TOKEN@host` can send.
    pub(super) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let mut parts = authorization.splitn(2, |&byte| byte == b' ');
        let scheme = parts.next().unwrap_or_default();
        let credentials = parts.next().unwrap_or_default().trim_ascii();
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            return self.equals(credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"Basic") {
            return false;
        }
        let pair = base64::decode(credentials).unwrap_or_default();
        let mut parts = pair.splitn(2, |&byte| byte == b':');
        let _user = parts.next();
        parts.next().is_some_and(|password| self.equals(password))
    }

    /// Compares in a time that depends on the length of `shown` only, so that the time tells nothing of how far a
    /// guess was right.
    fn equals(&self, shown: &[u8]) -> bool {
        let expected = self.0.iter().cycle();
        let difference = expected
            .zip(shown)
            .fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
        black_box(difference) == 0 && shown.len() == self.0.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The content of a token file, without white space around it (editors and `echo` add a newline).
fn read(path: &Path, setting: &str) -> Result<Token, Error> {
    let mut text = Vec::new();
    let file =
        File::open(path).and_then(|file| file.take(MAX_TOKEN_BYTES + 1).read_to_end(&mut text));
    match file {
        Err(error) => {
            let reason = format!("cannot read the token from {}: {error}", path.display());
            Err(Error::config(setting, reason))
        }
        Ok(length) if length as u64 > MAX_TOKEN_BYTES => {
            let reason = format!("{} is longer than a token can be", path.display());
            Err(Error::config(setting, reason))
        }
        Ok(_) => Token(text.trim_ascii().to_vec()).checked(setting),
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn bearer_and_basic_show_a_token() {
        let token = Token::new("s3cret:x".to_owned());
        for (authorization, expected) in [
            ("Bearer s3cret:x", true),
            ("bearer s3cret:x", true),
            ("Bearer  s3cret:x ", true),
            ("Bearer s3cret:", false),
            ("Bearer s3cret:xs3cret:x", false),
            ("Bearer", false),
            ("Bearer ", false),
            ("", false),
            ("s3cret:x", false),
            // any:s3cret:x, :s3cret:x, s3cret:x (the user's name is no password), any
            ("Basic YW55OnMzY3JldDp4", true),
            ("basic OnMzY3JldDp4", true),
            ("Basic czNjcmV0Ong=", false),
            ("Basic YW55", false),
            ("Basic ???", false),
            ("Digest s3cret:x", false),
        ] {
            assert_eq!(
                token.is_shown_by(authorization.as_bytes()),
                expected,
                "{authorization}"
            );
        }
    }

    #[test]
    fn debug_does_not_show_the_token() {
        assert_eq!(
            format!("{:?}", Token::new("s3cret".to_owned())),
            "Token(..)"
        );
    }
}
