//! Which directives govern a response in this cache.

use http::header::{DATE, SET_COOKIE};

use super::{Options, Times};
use crate::{
    fields::{
        SET_COOKIE2,
        cache_control::{RequestDirectives, ResponseDirectives, Scope},
        date,
    },
    message::{FieldName, Fields},
};

/// What a response says to a shared cache: CDN-Cache-Control alone where it is valid (RFC 9213 §2.2), or else
/// Cache-Control.
pub(super) struct Governing {
    pub directives: ResponseDirectives,
    /// They come from CDN-Cache-Control: Expires does not count either.
    pub targeted: bool,
}

impl Governing {
    pub fn of(response: &Fields) -> Governing {
        match ResponseDirectives::parse_targeted(response) {
            Some(directives) => Governing { directives, targeted: true },
            None => Governing { directives: ResponseDirectives::parse(response), targeted: false },
        }
    }

    /// no-cache without a field list: each use needs validation.
    pub fn always_validate(&self) -> bool {
        self.directives.no_cache == Some(Scope::Response)
    }

    /// May answer requests without the Authorization that this answers (RFC 9111 §3.5).
    pub fn allows_authorized(&self) -> bool {
        let said = &self.directives;
        said.public || said.s_maxage.is_some() || said.must_revalidate
    }

    /// Must not be used stale, whatever else is said (RFC 9111 §4.2.4).
    pub fn forbids_stale(&self) -> bool {
        let said = &self.directives;
        said.must_revalidate || said.proxy_revalidate || self.always_validate()
    }

    /// s-maxage forbids stale use too (RFC 9111 §5.2.2.10), but many origins send it together with RFC 5861's
    /// extensions and mean these: unless `strict`, they prevail.
    pub fn forbids_stale_extensions(&self, strict: bool) -> bool {
        self.forbids_stale() || (strict && self.directives.s_maxage.is_some())
    }

    /// Stale use that only the client, or nobody, asked for.
    pub fn forbids_stale_unasked(&self) -> bool {
        self.forbids_stale() || self.directives.s_maxage.is_some()
    }

    /// The fields that no-cache and private take out of what is stored (RFC 9111 §5.2.2.4, §5.2.2.7).
    pub fn drops(&self, name: &FieldName) -> bool {
        let lists = [&self.directives.no_cache, &self.directives.private];
        lists.into_iter().any(|scope| matches!(scope, Some(Scope::Fields(names)) if names.contains(name)))
    }
}

/// Those directives of the request that are followed; the others are gone. The second value: some were not followed.
pub(super) fn followed(request: &Fields, options: &Options) -> (RequestDirectives, bool) {
    let asked = RequestDirectives::parse(request);
    if options.strict || options.client_reload {
        return (asked, false);
    }
    let ignored = asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some();
    let followed = RequestDirectives { no_cache: false, max_age: None, min_fresh: None, max_stale: None, ..asked };
    (followed, ignored)
}

/// Removes the fields that must not be stored, and adds the Date that a recipient owes (RFC 9110 §6.6.1).
pub(super) fn retain_storable(fields: &mut Fields, governing: &Governing, times: Times, options: &Options) {
    let cookie = |name: &FieldName| *name == SET_COOKIE || *name == SET_COOKIE2;
    fields.retain(|name, _| !governing.drops(name) && (options.strict || !cookie(name)));
    if !fields.contains(&DATE) {
        fields.append(DATE, date::format(times.received));
    }
}
