//! The answers that Larder makes itself: refusals and errors.

use bytes::Bytes;

use super::verdict::{Answer, Verdict, append};
use crate::{
    client::{self, ReplyBody},
    message::{FieldName, Fields, StatusCode},
    policy::Reason,
};

/// The reason why Larder answers itself, without the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Target(&'static str),
    Host(&'static str),
    /// `--allow-host` does not name the host.
    NotServed,
    /// No site has the path.
    NoSite,
    /// The target is a URL of this host, which is not a name of Larder.
    Foreign(String),
    /// A trusted proxy forwards too much for one client.
    TooManyForClient,
    /// Connection names a field that the client must not remove.
    Nominated(FieldName),
    Content,
    Connect,
    Upgrade,
    /// The request is `OPTIONS *`, which asks about Larder itself.
    Asterisk,
    Expectation,
    Loop,
    /// Max-Forwards is zero.
    LastHop,
    OnlyIfCached(Reason),
}

impl Refusal {
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Target(_) => Reason::TargetInvalid,
            Refusal::Host(_) => Reason::HostInvalid,
            Refusal::NotServed => Reason::HostNotServed,
            Refusal::NoSite => Reason::PathNotServed,
            Refusal::Foreign(_) => Reason::ForeignTarget,
            Refusal::TooManyForClient => Reason::TooManyForClient,
            Refusal::Nominated(_) => Reason::ConnectionNominates,
            Refusal::Content => Reason::ContentBroken,
            Refusal::Connect => Reason::ConnectRefused,
            Refusal::Upgrade => Reason::WebSocketRefused,
            Refusal::Asterisk => Reason::AboutLarder,
            Refusal::Expectation => Reason::ExpectationUnknown,
            Refusal::Loop => Reason::Loop,
            Refusal::LastHop => Reason::LastHop,
            Refusal::OnlyIfCached(reason) => *reason,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Target(_) | Refusal::Host(_) | Refusal::Nominated(_) | Refusal::Content => StatusCode::BAD_REQUEST,
            Refusal::NotServed | Refusal::Foreign(_) => StatusCode::MISDIRECTED_REQUEST,
            Refusal::NoSite => StatusCode::NOT_FOUND,
            Refusal::TooManyForClient => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Connect | Refusal::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Refusal::Asterisk => StatusCode::NO_CONTENT,
            Refusal::LastHop => StatusCode::OK,
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
            Refusal::Loop => StatusCode::LOOP_DETECTED,
            Refusal::OnlyIfCached(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the error type of RFC 9209 §2.3. Returns `None` if the answer is not an error.
    fn proxy_status(&self) -> Option<&'static str> {
        match self {
            Refusal::Target(_) | Refusal::Host(_) | Refusal::Nominated(_) | Refusal::Content | Refusal::Expectation => {
                Some("http_request_error")
            }
            Refusal::NotServed
            | Refusal::NoSite
            | Refusal::Foreign(_)
            | Refusal::TooManyForClient
            | Refusal::Connect
            | Refusal::Upgrade => Some("http_request_denied"),
            Refusal::Loop => Some("proxy_loop_detected"),
            Refusal::OnlyIfCached(_) => Some("proxy_internal_response"),
            Refusal::Asterisk | Refusal::LastHop => None,
        }
    }

    pub fn detail(&self) -> String {
        match self {
            Refusal::Target(why) => format!("The request target is not one that is served here: {why}."),
            Refusal::Host(why) => format!("The request names no host that is served here: {why}."),
            Refusal::NotServed => "The request names no host that is served here.".to_owned(),
            Refusal::NoSite => "No site that is served here has this path.".to_owned(),
            Refusal::Foreign(_) => {
                "Larder is no forward proxy: it serves one site, and the request names another host.".to_owned()
            }
            Refusal::TooManyForClient => "Too many requests are under way from this address.".to_owned(),
            Refusal::Nominated(name) => format!("Connection must not name the field {name}."),
            Refusal::Content => "The request's content did not come to its end.".to_owned(),
            Refusal::Connect => "Larder does not open tunnels: send the request itself.".to_owned(),
            Refusal::Upgrade => "Larder does not pass WebSocket on: connect to the origin directly.".to_owned(),
            Refusal::Asterisk | Refusal::LastHop => String::new(),
            Refusal::Expectation => "The only expectation that is understood is 100-continue.".to_owned(),
            Refusal::Loop => {
                "The request has come through this proxy before: the origin it is configured with leads back to it."
                    .to_owned()
            }
            Refusal::OnlyIfCached(_) => {
                "Only a stored response was asked for (only-if-cached), and none may be used.".to_owned()
            }
        }
    }
}

/// Makes the answer for a refused request.
pub fn refused(refusal: &Refusal) -> Answer {
    let status = refusal.status();
    let mut fields = Fields::with_capacity(7);
    let body = match refusal {
        Refusal::Asterisk | Refusal::LastHop => {
            append(&mut fields, "allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");
            ReplyBody::Empty((status == StatusCode::OK).then_some(0))
        }
        _ => problem(&mut fields, status, &refusal.detail(), refusal.proxy_status()),
    };
    Answer::new(status, fields, body, None, Verdict::refused(refusal.reason()))
}

/// Makes a problem document (RFC 9457), and appends its fields. `error` is the type for Proxy-Status (RFC 9209 §2.3).
/// The document contains no text of the request.
pub fn problem(fields: &mut Fields, status: StatusCode, detail: &str, error: Option<&str>) -> ReplyBody {
    append(fields, "content-type", "application/problem+json");
    append(fields, "cache-control", "no-store");
    if let Some(error) = error {
        append(fields, "proxy-status", &format!("larder; error={error}"));
    }
    ReplyBody::Bytes(Bytes::from(client::problem(status, detail)))
}
