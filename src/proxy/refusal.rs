//! Answers that are Larder's own: refusals and errors, in words.

use bytes::Bytes;

use super::verdict::{Answer, Verdict, append};
use crate::{
    client::{self, ReplyBody},
    message::{FieldName, Fields, StatusCode},
    policy::Reason,
};

/// Why Larder answers by itself, and not with a response of the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Target(&'static str),
    Host(&'static str),
    /// `--allow-host` does not name the host.
    NotServed,
    /// Connection names a field that the client must not remove.
    Nominated(FieldName),
    Content,
    Connect,
    Upgrade,
    /// `OPTIONS *`: about Larder itself.
    Asterisk,
    Expectation,
    Loop,
    /// Max-Forwards is zero.
    LastHop,
    OnlyIfCached(Reason),
}

impl Refusal {
    fn reason(&self) -> Reason {
        match self {
            Refusal::Target(_) => Reason::TargetInvalid,
            Refusal::Host(_) => Reason::HostInvalid,
            Refusal::NotServed => Reason::HostNotServed,
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

    fn status(&self) -> StatusCode {
        match self {
            Refusal::Target(_) | Refusal::Host(_) | Refusal::NotServed | Refusal::Nominated(_) | Refusal::Content => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Connect | Refusal::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Refusal::Asterisk => StatusCode::NO_CONTENT,
            Refusal::LastHop => StatusCode::OK,
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
            Refusal::Loop => StatusCode::LOOP_DETECTED,
            Refusal::OnlyIfCached(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The type of RFC 9209 §2.3; `None`: the answer is no error.
    fn proxy_status(&self) -> Option<&'static str> {
        match self {
            Refusal::Target(_) | Refusal::Host(_) | Refusal::Nominated(_) | Refusal::Content | Refusal::Expectation => {
                Some("http_request_error")
            }
            Refusal::NotServed | Refusal::Connect | Refusal::Upgrade => Some("http_request_denied"),
            Refusal::Loop => Some("proxy_loop_detected"),
            Refusal::OnlyIfCached(_) => Some("proxy_internal_response"),
            Refusal::Asterisk | Refusal::LastHop => None,
        }
    }

    fn detail(&self) -> String {
        match self {
            Refusal::Target(why) => format!("The request target is not one that is served here: {why}."),
            Refusal::Host(why) => format!("The request names no host that is served here: {why}."),
            Refusal::NotServed => "The request names no host that is served here.".to_owned(),
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

/// Answers in place of the origin.
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

/// A problem document (RFC 9457) and its fields. `error`: the type of Proxy-Status (RFC 9209 §2.3). It holds nothing of the
/// request.
pub fn problem(fields: &mut Fields, status: StatusCode, detail: &str, error: Option<&str>) -> ReplyBody {
    append(fields, "content-type", "application/problem+json");
    append(fields, "cache-control", "no-store");
    if let Some(error) = error {
        append(fields, "proxy-status", &format!("larder; error={error}"));
    }
    ReplyBody::Bytes(Bytes::from(client::problem(status, detail)))
}
