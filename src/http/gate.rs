//! `Gate`: who may ask. A request passes it before anything else looks at it.

use super::head::{Head, malformed};
use super::host::Host;
use super::response::Response;
use super::token::Token;

/// What a request must show.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Host names that are fine besides addresses and `localhost`.
    pub(super) allowed_hosts: Vec<Host>,
    pub(super) token: Option<Token>,
}

impl Gate {
    /// The refusal, if there is one. `from_browser` says whether a browser could have sent this at all; through a
    /// Unix socket it could not, and there people write any host they like.
    pub(super) fn check(&self, head: &Head, from_browser: bool) -> Result<(), Response> {
        if from_browser {
            // A page that reaches us under a name of its own does not know the token, so where one is demanded any
            // name will do: scrapers come by service names.
            if self.token.is_none() {
                self.check_host(head)?;
            }
            check_site(head)?;
        }
        self.check_token(head)
    }

    /// Against DNS rebinding, see [`Host::cannot_be_rebound`].
    fn check_host(&self, head: &Head) -> Result<(), Response> {
        let header = head.value("Host")?;
        let authority = match head.authority.as_deref().or(header) {
            Some(authority) => authority,
            None if head.minor_version == 0 => return Ok(()),
            None => return Err(malformed("the header Host is missing")),
        };
        let host = Host::parse(authority);
        if host.is_some_and(|host| host.cannot_be_rebound() || self.allowed_hosts.contains(&host)) {
            return Ok(());
        }
        let shown = authority.escape_debug();
        let message = format!(
            "the host \"{shown}\" is not allowed here, so that no web page can reach this server under a name of \
             its own; use an IP address or localhost, allow the name with ServerBuilder::allow_host, or demand a token"
        );
        Err(Response::refusal(421, &message))
    }

    fn check_token(&self, head: &Head) -> Result<(), Response> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let shown = head.value("Authorization")?;
        if shown.is_some_and(|shown| token.is_shown_by(shown.as_bytes())) {
            return Ok(());
        }
        let message = "a token is needed: send Authorization: Bearer TOKEN, or the token as a password, as in \
                       go tool pprof http://any:TOKEN@HOST/debug/pprof/heap";
        let challenge = "Basic realm=\"debug-pprof\", charset=\"UTF-8\"";
        Err(Response::refusal(401, message).with_header("WWW-Authenticate", challenge))
    }
}

/// Against pages elsewhere that make a browser ask here. They cannot read the answer, but they can make us work.
fn check_site(head: &Head) -> Result<(), Response> {
    let is_cross_site = head
        .value("Sec-Fetch-Site")?
        .is_some_and(|site| site.eq_ignore_ascii_case("cross-site"));
    let is_foreign = match head.value("Origin")? {
        None => false,
        Some(origin) => {
            let ours = head.value("Host")?.filter(|host| !host.is_empty());
            let asking = origin
                .split_once("://")
                .map(|(_scheme, authority)| authority);
            !matches!((asking, ours), (Some(asking), Some(ours)) if asking.eq_ignore_ascii_case(ours))
        }
    };
    if is_cross_site || is_foreign {
        let message = "requests from pages of another site are refused; type the address into the browser, or ask \
                       without a browser";
        return Err(Response::refusal(403, message));
    }
    Ok(())
}
