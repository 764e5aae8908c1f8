//! The directives that govern a response in this cache, and what they remove from it.

use http::header::{AUTHORIZATION, COOKIE, DATE, SET_COOKIE};

use super::{Options, Reason, Times};
use crate::{
    fields::{
        SET_COOKIE2,
        cache_control::{RequestDirectives, ResponseDirectives, Scope},
        credentials::is_in_field,
        date,
    },
    message::{FieldName, Fields, StatusCode, StoredHead},
};

/// The directives of a response for a shared cache: those of CDN-Cache-Control alone if that is valid (RFC 9213 §2.2),
/// or else those of Cache-Control.
pub(super) struct Governing {
    pub directives: ResponseDirectives,
    /// The directives come from CDN-Cache-Control, so that Expires is ignored, too.
    pub targeted: bool,
}

impl Governing {
    pub fn of(response: &Fields) -> Governing {
        match ResponseDirectives::parse_targeted(response) {
            Some(directives) => Governing { directives, targeted: true },
            None => Governing { directives: ResponseDirectives::parse(response), targeted: false },
        }
    }

    /// Returns the reason that names the field which said so, for one that names Cache-Control.
    pub fn reason(&self, reason: Reason) -> Reason {
        match reason {
            Reason::NoStore if self.targeted => Reason::CdnNoStore,
            Reason::Private if self.targeted => Reason::CdnPrivate,
            Reason::NoCache if self.targeted => Reason::CdnNoCache,
            reason => reason,
        }
    }

    /// Returns true if each use needs validation: no-cache stands without a list of fields.
    pub fn always_validate(&self) -> bool {
        self.directives.no_cache == Some(Scope::Response)
    }

    /// Returns true if a response to a request with Authorization may answer other requests, too (RFC 9111 §3.5).
    pub fn allows_authorized(&self) -> bool {
        let said = &self.directives;
        said.public || said.s_maxage.is_some() || said.must_revalidate
    }

    /// Returns true if the response must never be used stale (RFC 9111 §4.2.4).
    pub fn forbids_stale(&self) -> bool {
        let said = &self.directives;
        said.must_revalidate || said.proxy_revalidate || self.always_validate()
    }

    /// Returns true if the extensions of RFC 5861 do not allow stale use. By the letter, s-maxage forbids it, too
    /// (RFC 9111 §5.2.2.10). But many origins send s-maxage together with these extensions and mean them, so that the
    /// extensions prevail unless `strict`.
    pub fn forbids_stale_extensions(&self, strict: bool) -> bool {
        self.forbids_stale() || (strict && self.directives.s_maxage.is_some())
    }

    /// Returns true if serving stale is forbidden where the origin did not offer it (the client's max-stale, a
    /// disconnected cache).
    pub fn forbids_stale_unasked(&self) -> bool {
        self.forbids_stale() || self.directives.s_maxage.is_some()
    }

    /// Returns true if no-cache or private names this field, which must not be stored then (RFC 9111 §5.2.2.4,
    /// §5.2.2.7).
    pub fn drops(&self, name: &FieldName) -> bool {
        let lists = [&self.directives.no_cache, &self.directives.private];
        lists.into_iter().any(|scope| matches!(scope, Some(Scope::Fields(names)) if names.contains(name)))
    }
}

/// Returns the directives of the request that are followed, and whether others are ignored.
pub(super) fn followed(request: &Fields, options: &Options) -> (RequestDirectives, bool) {
    let asked = RequestDirectives::parse(request);
    if options.strict || options.client_reload {
        return (asked, false);
    }
    let ignored = asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some();
    let followed = RequestDirectives { no_cache: false, max_age: None, min_fresh: None, max_stale: None, ..asked };
    (followed, ignored)
}

/// Returns which credentials of a request tell the origin who asks, if any, as the reason why no lifetime is invented for
/// the answer. With `strict` none count.
pub(super) fn credentials(request: &Fields, options: &Options) -> Option<Reason> {
    if options.strict {
        return None;
    }
    if request.contains(&COOKIE) && !options.ignore_cookies {
        return Some(Reason::CookieWithoutFreshness);
    }
    if request.contains(&AUTHORIZATION) {
        return Some(Reason::AuthorizationWithoutFreshness);
    }
    request.iter().any(|(name, _)| is_in_field(name)).then_some(Reason::KeyWithoutFreshness)
}

/// Returns true if the stored response asks for credentials, and the request brings some.
pub(super) fn is_refusal_to(request: &Fields, stored: &StoredHead) -> bool {
    let is_credential = |name: &FieldName| *name == COOKIE || is_in_field(name);
    stored.head.status == StatusCode::UNAUTHORIZED && request.iter().any(|(name, _)| is_credential(name))
}

/// Removes the fields that must not be stored. Adds the Date that a recipient must add if there is none (RFC 9110
/// §6.6.1).
pub(super) fn retain_storable(fields: &mut Fields, governing: &Governing, times: Times, options: &Options) {
    let cookie = |name: &FieldName| *name == SET_COOKIE || *name == SET_COOKIE2;
    fields.retain(|name, _| !governing.drops(name) && (options.strict || !cookie(name)));
    if !fields.contains(&DATE) {
        fields.append(DATE, date::format(times.received));
    }
}
