//! Finds names that mean credentials: parameters, whose values the log masks, and request fields, by which an origin
//! knows who asks.

use crate::message::FieldName;

/// The words that mean a credential in both kinds of names.
const WORDS: [&str; 9] = ["token", "key", "secret", "password", "passwd", "auth", "signature", "credential", "session"];

/// A parameter whose name holds one of these words (in any case) holds a credential.
pub const OF_PARAMETERS: [&str; 11] = with(WORDS, ["sig", "code"]);

/// The words that count in the name of a request field.
const OF_FIELDS: [&str; 13] = with(WORDS, ["user", "identity", "jwt", "cert"]);

const fn with<const A: usize, const B: usize, const SUM: usize>(
    some: [&'static str; A],
    more: [&'static str; B],
) -> [&'static str; SUM] {
    let (mut all, mut n) = ([""; SUM], 0);
    while n < SUM {
        all[n] = if n < A { some[n] } else { more[n - A] };
        n += 1;
    }
    all
}

/// For each byte, the words of fields that begin with it: the n-th bit stands for the n-th word.
const BEGINNINGS: [u16; 256] = {
    let (mut beginnings, mut n) = ([0; 256], 0);
    while n < OF_FIELDS.len() {
        beginnings[OF_FIELDS[n].as_bytes()[0] as usize] |= 1 << n;
        n += 1;
    }
    beginnings
};

/// Fields whose names hold one of the words although they do not tell who asks.
const HARMLESS: [&str; 6] =
    ["authority", "idempotency-key", "npm-auth-type", "sec-fetch-user", "sec-websocket-key", "x-idempotency-key"];

/// Returns true if a request field of this name tells the origin who asks. An unknown name counts if it holds one of
/// the words: a page that is cached too seldom harms less than the page of another. Cookie does not count.
pub fn is_in_field(name: &FieldName) -> bool {
    let name = name.as_str();
    if !holds_word(name) {
        return false;
    }
    // these fields describe the program and the formats that it can read
    let about_the_client = ["accept-", "access-control-", "sec-ch-"].iter().any(|prefix| name.starts_with(prefix));
    let without_agent = name.replacen("user-agent", "", 1);
    !about_the_client && !HARMLESS.contains(&name) && holds_word(&without_agent)
}

/// Returns true if the name of a field holds one of the words. Takes one pass, because each hit whose lifetime is
/// invented looks at all fields of its request.
fn holds_word(name: &str) -> bool {
    let name = name.as_bytes();
    (0..name.len()).any(|at| {
        let mut words = BEGINNINGS[name[at] as usize];
        while words != 0 {
            if name[at..].starts_with(OF_FIELDS[words.trailing_zeros() as usize].as_bytes()) {
                return true;
            }
            words &= words - 1;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_whose_name_speaks_of_a_credential_tells_who_asks() {
        for name in [
            "authorization",
            "proxy-authorization",
            "x-api-key",
            "api-key",
            "apikey",
            "x-goog-api-key",
            "ocp-apim-subscription-key",
            "x-functions-key",
            "x-auth-token",
            "x-access-token",
            "private-token",
            "job-token",
            "x-vault-token",
            "x-gitlab-token",
            "x-csrf-token",
            "x-xsrf-token",
            "x-amz-security-token",
            "sec-private-state-token",
            "x-client-secret",
            "x-plex-token",
            "x-password",
            "x-passwd",
            "signature",
            "signature-input",
            "x-hub-signature-256",
            "x-session-id",
            "x-amz-credential",
            "x-authenticated-email",
            "remote-user",
            "x-remote-user",
            "x-forwarded-user",
            "x-user",
            "x-user-id",
            "x-username",
            "x-webauth-user",
            "tailscale-user-login",
            "x-user-agent-token",
            "client-cert",
            "x-ssl-client-cert",
            "cf-access-jwt-assertion",
            "x-amzn-oidc-identity",
        ] {
            assert!(is_in_field(&FieldName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn what_browsers_and_proxies_send_with_every_request_tells_nobody_who_asks() {
        for name in [
            "accept",
            "accept-charset",
            "accept-encoding",
            "accept-language",
            "accept-signature",
            "access-control-request-headers",
            "access-control-request-method",
            "authority",
            "baggage",
            "cache-control",
            "cdn-loop",
            "cf-ray",
            "connection",
            "content-type",
            "device-memory",
            "dnt",
            "early-data",
            "forwarded",
            "from",
            "host",
            "idempotency-key",
            "npm-auth-type",
            "x-idempotency-key",
            "if-modified-since",
            "if-none-match",
            "origin",
            "pragma",
            "priority",
            "purpose",
            "range",
            "referer",
            "rtt",
            "save-data",
            "sec-ch-ua",
            "sec-ch-ua-full-version-list",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "sec-fetch-user",
            "sec-gpc",
            "sec-purpose",
            "sec-websocket-key",
            "service-worker",
            "te",
            "traceparent",
            "tracestate",
            "upgrade-insecure-requests",
            "user-agent",
            "via",
            "x-amzn-trace-id",
            "x-correlation-id",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-request-id",
            "x-requested-with",
            "x-user-agent",
            "x-device-user-agent",
        ] {
            assert!(!is_in_field(&FieldName::from_static(name)), "{name}");
        }
    }
}
