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
    SMaxage => "s-maxage",
    MaxAge => "max-age",
    Expires => "Expires",
    /// A tenth of the age since Last-Modified.
    LastModified => "heuristic from Last-Modified",
    DefaultTtl => "default lifetime (see --default-ttl)",
    NoFreshness => "no freshness in the response",

    // Why a stored response is used.
    Fresh => "fresh",
    FreshDirectivesIgnored => "fresh; request directives ignored (see --client-reload)",
    StaleWhileRevalidate => "stale-while-revalidate",
    MaxStale => "stale, max-stale in the request",
    StaleIfError => "stale-if-error",
    Disconnected => "stale, the origin cannot be reached",

    Validated => "validated",

    // Why a stored response is not used as it is.
    NotStored => "not in the cache yet",
    VaryMiss => "stored for other values of the fields in Vary",
    Stale => "stale",
    NoCache => "no-cache",
    Invalidated => "invalidated",
    ClockWentBack => "stored in the future: the clock went back",
    RequestNoCache => "no-cache in the request",
    RequestMaxAge => "max-age in the request",
    RequestMinFresh => "min-fresh in the request",
    PartMissing => "only a part is stored",
    StoredUnauthorized => "the stored 401 is not for a request with credentials",
    OnlyIfCached => "only-if-cached in the request",
    /// If-Match or If-Unmodified-Since.
    Precondition => "a precondition that only the origin can evaluate",
    UnsafeMethod => "an unsafe method goes to the origin",
    MethodNotCached => "answers to this method are not stored",

    RequestContent => "content in a request of this method",
    ContentTooLong => "content of more than 64 KiB is not part of a key",

    // Why a response is not stored.
    OriginError => "an error does not displace a stored response",
    RequestNoStore => "no-store in the request",
    NoStore => "no-store",
    Private => "private",
    Authorization => "Authorization in the request without public, s-maxage or must-revalidate",
    AuthenticatedByNtlm => "the connection is authenticated (NTLM)",
    AuthenticatedByNegotiate => "the connection is authenticated (Negotiate)",
    AuthenticatedByKerberos => "the connection is authenticated (Kerberos)",
    SetCookie => "Set-Cookie without public or s-maxage and a lifetime",
    CookieWithoutFreshness => "Cookie in the request and no explicit freshness (see --ignore-cookies)",
    AuthorizationWithoutFreshness => "Authorization in the request and no explicit freshness",
    KeyWithoutFreshness => "a key, token or user in the request's fields, and no lifetime in the response",
    Stream => "a stream without a lifetime of its own",
    StatusNeverStored => "status is never stored",
    OneRequestsError => "this status is about one request: it is not cached without --strict",
    NotUnderstood => "must-understand with an unknown status",
    StatusWithoutFreshness => "status is not stored without explicit freshness",
    PartUnknown => "partial content without a single Content-Range",
    PartLength => "Content-Length and Content-Range disagree",
    PostNotForGet => "POST is stored only from a 200 with Content-Location of the target and explicit freshness",
    VaryStar => "Vary: *",
    VaryByClient => "Vary names a field that tells the client's address",
    VaryTooLong => "Vary names too many fields",
    NeverReusable => "never reusable: no lifetime and no validator",
    LifetimeUsedUp => "its lifetime was used up on the way (Age, Date)",

    // Why the store does not take a response.
    TooLarge => "larger than --max-object",
    NoRoom => "the cache has no room",
    StoreNotAvailable => "the cache is not available",

    // Why the origin's answer is of no use.
    UnaskedNotModified => "the origin answered 304 to a request without conditions",

    // Why the origin was not asked at all.
    Refused => "refused",

    // Why the origin gave no answer.
    NameNotResolved => "the origin's name could not be resolved",
    AddressNotAllowed => "the origin's address is not allowed",
    ConnectionRefused => "the origin refused the connection",
    OriginUnreachable => "the origin could not be reached",
    TlsFailed => "no secure connection to the origin could be made",
    CertificateNotTrusted => "the origin's certificate is not trusted",
    ConnectTimeout => "the origin took too long to accept a connection",
    NoConnectionFree => "all connections to the origin are in use",
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
    StaleForbidden => "must not be used stale",
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

    #[test]
    fn a_reason_has_a_name_for_programs() {
        assert_eq!(Reason::NotStored.name(), "not_stored");
        assert_eq!(Reason::SMaxage.name(), "s_maxage");
        assert_eq!(Reason::Stale.name(), "stale");
    }
}
