//! The reasons for each decision: one enum for Cache-Status, logs, statistics and `explain`.

use crate::message::ConnectionScheme;

/// Why a request went to the origin (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fwd {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    Miss,
    Request,
    Stale,
    Partial,
}

impl Fwd {
    /// Returns the token of RFC 9211 §2.2.
    pub fn as_str(self) -> &'static str {
        match self {
            Fwd::Bypass => "bypass",
            Fwd::Method => "method",
            Fwd::UriMiss => "uri-miss",
            Fwd::VaryMiss => "vary-miss",
            Fwd::Miss => "miss",
            Fwd::Request => "request",
            Fwd::Stale => "stale",
            Fwd::Partial => "partial",
        }
    }
}

/// Declares the reasons, each with the words that Cache-Status, logs and statistics show for it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $words:literal,)+) => {
        /// The reason for a decision.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// Returns the words for people. They are printable ASCII without quotes, so that a string of a structured
            /// field can hold them.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $words,)+
                }
            }

            /// Returns the name for programs, such as `not_stored`. It stays when the words change.
            pub fn name(self) -> String {
                let camel = match self {
                    $(Reason::$name => stringify!($name),)+
                };
                let mut name = String::with_capacity(camel.len() + 4);
                for c in camel.chars() {
                    if c.is_ascii_uppercase() && !name.is_empty() {
                        name.push('_');
                    }
                    name.push(c.to_ascii_lowercase());
                }
                name
            }
        }
    };
}

reasons! {
    // Where a lifetime comes from.
    CdnCacheControl => "CDN-Cache-Control",
    SurrogateControl => "Surrogate-Control",
    AccelExpires => "X-Accel-Expires",
    SMaxage => "s-maxage",
    MaxAge => "max-age",
    Expires => "Expires",
    /// A tenth of the age since Last-Modified.
    LastModified => "a tenth of the time since Last-Modified",
    DefaultTtl => "default lifetime (see --default-ttl)",
    NegativeTtl => "lifetime of redirects and of what is missing (see --negative-ttl)",
    /// In place of what the response says.
    TtlByRule => "ttl of a rule",
    MinTtlByRule => "min-ttl of a rule",
    MaxTtlByRule => "max-ttl of a rule",
    NoFreshness => "no lifetime in the response",

    // Why a stored response is used.
    Fresh => "fresh",
    FreshDirectivesIgnored => "fresh; the request's directives are ignored (see --client-reload)",
    JustAsked => "fresh; the origin was asked less than a second ago",
    /// The client wished that the origin is asked, or a validation was due.
    FreshUnasked => "fresh; the origin fails",
    StaleWhileRevalidate => "stale-while-revalidate",
    /// The response says nothing of it.
    RefreshedByRule => "stale-while-revalidate of a rule",
    MaxStale => "max-stale in the request",
    StaleIfError => "stale-if-error",
    /// Because of `--stale-if-error`.
    StaleByDefault => "stale, since the origin fails (see --stale-if-error)",

    Validated => "validated",

    // Why a stored response is not used as it is.
    NotStored => "not in the cache yet",
    VaryMiss => "not in the cache for these values of the fields in Vary",
    Stale => "stale",
    NoCache => "Cache-Control: no-cache",
    CdnNoCache => "CDN-Cache-Control: no-cache",
    SurrogateNoCache => "Surrogate-Control: no-cache",
    Invalidated => "invalidated",
    Purged => "purged",
    ClockWentBack => "stored in the future: the clock went back",
    RequestNoCache => "no-cache in the request",
    RequestMaxAge => "max-age in the request",
    RequestMinFresh => "min-fresh in the request",
    PartMissing => "only a part is in the cache",
    StoredUnauthorized => "the stored 401 is not for a request with credentials",
    OnlyIfCached => "only-if-cached in the request",
    /// If-Match or If-Unmodified-Since.
    Precondition => "If-Match or If-Unmodified-Since in the request",
    UnsafeMethod => "this method is not cached: it may change something",
    MethodNotCached => "this method is not cached",
    HeadRequest => "a HEAD brings no content to store; a GET does",

    BypassByRule => "bypass of a rule",
    RangeUnit => "a range in a unit other than bytes is answered by the origin",
    RequestContent => "the request has content, which is not in the key",
    ContentTooLong => "the request's content is too long for the key (64 KiB)",

    // Why a response is not stored.
    NoStoreByRule => "no-store of a rule",
    OriginError => "an error does not replace the stored response",
    RequestNoStore => "no-store in the request",
    NoStore => "Cache-Control: no-store",
    Private => "Cache-Control: private",
    CdnNoStore => "CDN-Cache-Control: no-store",
    CdnPrivate => "CDN-Cache-Control: private",
    SurrogateNoStore => "Surrogate-Control: no-store",
    SurrogatePrivate => "Surrogate-Control: private",
    EdgeNoStore => "Edge-Control: no-store",
    AccelOff => "X-Accel-Expires: 0",
    Authorization => "Authorization in the request, without public, s-maxage or must-revalidate in the response",
    AuthenticatedByNtlm => "the connection is authenticated (NTLM)",
    AuthenticatedByNegotiate => "the connection is authenticated (Negotiate)",
    AuthenticatedByKerberos => "the connection is authenticated (Kerberos)",
    SetCookie => "Set-Cookie, and neither s-maxage nor public with a lifetime",
    CookieWithoutFreshness => "Cookie in the request, and no lifetime in the response (see --ignore-cookies)",
    AuthorizationWithoutFreshness => "Authorization in the request, and no lifetime in the response",
    KeyWithoutFreshness => "a key, token or user in the request, and no lifetime in the response",
    Stream => "a stream without a lifetime",
    Playlist => "a playlist without a lifetime",
    PragmaNoCache => "Pragma: no-cache in the response, and no lifetime",
    RedirectToItself => "a redirect to the URL that was asked for",
    StatusNeverStored => "this status is never cached",
    OneRequestsError => "this status is cached only with --strict",
    NotUnderstood => "must-understand, and the status is unknown",
    StatusWithoutFreshness => "this status is cached only with a lifetime",
    PartUnknown => "206 without one valid Content-Range",
    PartLength => "Content-Length and Content-Range disagree",
    PostNotForGet => "POST is cached only for a 200 with a lifetime and its own URL in Content-Location",
    VaryStar => "Vary: *",
    VaryByClient => "Vary names a field that tells the client's address",
    VaryTooLong => "Vary names more than 8 fields",
    NeverReusable => "no lifetime and no validator",
    LifetimeUsedUp => "its lifetime was over when it arrived (Age, Date, or a slow origin)",

    // Why the store does not take a response.
    TooLarge => "larger than --max-object",
    NoRoom => "the cache has no room",
    DiskTooSlow => "the cache's disk is too slow",
    StoreNotAvailable => "the cache is not available",

    // Why the origin's answer is of no use.
    UnaskedNotModified => "the origin answered 304 to a request without conditions",

    // Why the origin was not asked at all.
    /// The client side refused the request. Its answer says more.
    Refused => "refused",
    TargetInvalid => "the request target is invalid",
    HostInvalid => "the Host field is invalid",
    HostNotServed => "Host not allowed (see --allow-host)",
    PathNotServed => "no site has this path",
    ForeignTarget => "a URL of another host: Larder is no forward proxy",
    TooManyForClient => "too many requests at once from this address (see --max-connections-per-address)",
    ConnectionNominates => "Connection names a field that must stay",
    ConnectRefused => "CONNECT refused",
    WebSocketRefused => "WebSocket refused",
    ExpectationUnknown => "an expectation other than 100-continue",
    AboutLarder => "OPTIONS * asks about Larder itself",
    LastHop => "Max-Forwards: 0",
    Loop => "the request came through this Larder before",

    // Why the origin gave no answer.
    NameNotResolved => "the origin's name could not be resolved",
    AddressNotAllowed => "the origin's address is not allowed",
    ConnectionRefused => "the origin refused the connection",
    OriginUnreachable => "the origin could not be reached",
    TlsFailed => "no secure connection to the origin could be made",
    CertificateNotTrusted => "the origin's certificate is not trusted",
    ConnectTimeout => "the origin took too long to accept a connection",
    NoConnectionFree => "all connections to the origin are in use",
    HalfClosedCrowd => "too many clients that have ended their side of the connection wait for the origin",
    NoThread => "the system has no thread to look up the origin's name",
    FirstByteTimeout => "the origin took too long to answer",
    BodyTimeout => "the origin stopped in the middle of its response",
    UploadTimeout => "the origin stopped reading the request",
    ClosedWithoutAnswer => "the origin closed the connection without an answer",
    ClosedWithinAnswer => "the origin closed the connection in the middle of its response",
    NotHttp => "the origin's response is not valid HTTP",
    ContentBroken => "the request's body could not be read to its end",

    // Why a stored response does not stand in for a failure.
    NotAnError => "the origin answered",
    StaleForbidden => "the response forbids stale use",
    StaleNotAllowed => "no stale-if-error",
    StaleTooLong => "stale for longer than stale-if-error",
}

impl From<ConnectionScheme> for Reason {
    fn from(scheme: ConnectionScheme) -> Reason {
        match scheme {
            ConnectionScheme::Ntlm => Reason::AuthenticatedByNtlm,
            ConnectionScheme::Negotiate => Reason::AuthenticatedByNegotiate,
            ConnectionScheme::Kerberos => Reason::AuthenticatedByKerberos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_of_its_own_that_fit_into_a_structured_string() {
        let (mut seen, mut seen_names) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        for reason in Reason::ALL {
            let words = reason.as_str();
            assert!(seen.insert(words), "{words} twice");
            assert!(words.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{words}");
            let name = reason.name();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && seen_names.insert(name));
        }
    }

    /// Returns the texts in backticks at the beginning of the rows and list items of a page.
    fn listed(page: &str) -> Vec<&str> {
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `").or(line.strip_prefix("- `")));
        rows.filter_map(|row| Some(row.split_once('`')?.0)).collect()
    }

    #[test]
    fn the_page_of_reasons_lists_each_of_them_once_and_nothing_else() {
        let page = listed(include_str!("../../docs/reasons.md"));
        for reason in Reason::ALL {
            let rows = page.iter().filter(|words| **words == reason.as_str()).count();
            assert_eq!(rows, 1, "docs/reasons.md: {}", reason.as_str());
        }
        assert_eq!(page.len(), Reason::ALL.len());
    }

    #[test]
    fn the_readme_explains_why_a_request_was_forwarded() {
        let readme = include_str!("../../README.md");
        for fwd in [Fwd::Bypass, Fwd::Method, Fwd::UriMiss, Fwd::VaryMiss, Fwd::Request, Fwd::Stale, Fwd::Partial] {
            assert!(readme.contains(&format!("`fwd={}`", fwd.as_str())), "{}", fwd.as_str());
        }
    }

    #[test]
    fn each_reason_in_the_readme_begins_like_one_that_there_is() {
        let (_, section) = include_str!("../../README.md").split_once("### Find out why").unwrap();
        let (section, _) = section.split_once("\n### ").unwrap();
        let rows = listed(section);
        for words in &rows {
            let is_one = |reason: &&Reason| reason.as_str().starts_with(words.trim_end_matches(" ..."));
            assert!(Reason::ALL.iter().any(|reason| is_one(&reason)), "README.md: {words}");
        }
        // these surprise people
        for reason in [
            Reason::CookieWithoutFreshness,
            Reason::AuthorizationWithoutFreshness,
            Reason::KeyWithoutFreshness,
            Reason::SetCookie,
            Reason::HeadRequest,
            Reason::Stream,
            Reason::LifetimeUsedUp,
            Reason::RedirectToItself,
            Reason::OneRequestsError,
            Reason::StatusWithoutFreshness,
            Reason::NeverReusable,
            Reason::TooLarge,
        ] {
            let has_row = rows.iter().any(|words| reason.as_str().starts_with(words.trim_end_matches(" ...")));
            assert!(has_row, "README.md has no row for: {}", reason.as_str());
        }
    }

    #[test]
    fn a_reason_has_a_name_for_programs() {
        assert_eq!(Reason::NotStored.name(), "not_stored");
        assert_eq!(Reason::SMaxage.name(), "s_maxage");
        assert_eq!(Reason::Stale.name(), "stale");
    }
}
