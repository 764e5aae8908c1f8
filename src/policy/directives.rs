//! The directives that govern a response in this cache, and the fields that they remove from it.

use http::header::{AUTHORIZATION, COOKIE, DATE, SET_COOKIE, UPGRADE_INSECURE_REQUESTS};

use super::{Options, Reason, Steering, Times};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{
        SET_COOKIE2,
        cache_control::{RequestDirectives, ResponseDirectives, Scope, is_pragma_no_cache},
        control::Control,
        credentials::is_in_field,
        date,
        surrogate::AccelExpires,
    },
    message::{FieldName, Fields, StatusCode, StoredHead},
};

/// The directives of a response for a shared cache: those of CDN-Cache-Control alone if that is valid (RFC 9213 §2.2),
/// or else those of Cache-Control. In the latter case Surrogate-Control or X-Accel-Expires replaces the lifetime and
/// no-cache.
pub(super) struct Governing {
    pub directives: ResponseDirectives,
    /// True if the directives come from CDN-Cache-Control. Then Expires is ignored, too.
    pub targeted: bool,
    /// The lifetime that replaces those of Cache-Control and Expires.
    pub replaced: Option<Replaced>,
    /// True if Surrogate-Control says no-cache.
    surrogate_no_cache: bool,
    /// Why the response must not be stored, whatever its lifetime.
    forbidden: Option<Reason>,
    /// True if the window of stale-while-revalidate is that of a rule.
    pub refreshed_by_rule: bool,
}

/// A lifetime that replaces those of Cache-Control and Expires.
#[derive(Clone, Copy)]
pub(super) enum Replaced {
    Surrogate(Seconds),
    Accel(Seconds),
    AccelAt(Timestamp),
    /// Counted from when the response came in.
    Rule(Seconds),
}

impl Governing {
    pub fn of(response: &Fields, options: &Options) -> Governing {
        Governing::by(&Control::of(response), options)
    }

    /// The same for fields that were read already.
    pub fn by(control: &Control, options: &Options) -> Governing {
        let mut governing = Governing {
            directives: control.directives.clone(),
            targeted: control.targeted,
            replaced: None,
            surrogate_no_cache: false,
            forbidden: None,
            refreshed_by_rule: false,
        };
        governing.follow_accel(control, options);
        governing.follow_surrogate(control, options);
        governing.follow_rules(options);
        governing
    }

    /// Follows X-Accel-Expires and Edge-Control. RFC 9111 knows neither, so with `strict` they can only forbid storing.
    fn follow_accel(&mut self, control: &Control, options: &Options) {
        let lifetime = match control.accel {
            Some(AccelExpires::Off) => {
                self.forbidden = Some(Reason::AccelOff);
                None
            }
            Some(AccelExpires::For(seconds)) => Some(Replaced::Accel(seconds)),
            Some(AccelExpires::At(time)) => Some(Replaced::AccelAt(time)),
            None => None,
        };
        if let Some(lifetime) = lifetime.filter(|_| !self.targeted && !options.strict) {
            self.replace(lifetime);
        }
        if control.edge_no_store {
            self.forbidden = Some(Reason::EdgeNoStore);
        }
    }

    /// Follows Surrogate-Control, which overrides X-Accel-Expires. RFC 9111 does not know it, so with `strict` it gives
    /// no lifetime and only forbids.
    fn follow_surrogate(&mut self, control: &Control, options: &Options) {
        let Some(surrogate) = &control.surrogate else { return };
        if surrogate.no_store {
            self.forbidden = Some(Reason::SurrogateNoStore);
        } else if surrogate.private.is_some() {
            self.forbidden = Some(Reason::SurrogatePrivate);
        }
        if self.targeted {
            return;
        }
        if let Some(seconds) = surrogate.max_age.filter(|_| !options.strict) {
            self.replace(Replaced::Surrogate(seconds));
            let said = &mut self.directives;
            said.stale_while_revalidate = surrogate.stale_while_revalidate.or(said.stale_while_revalidate);
            said.stale_if_error = surrogate.stale_if_error.or(said.stale_if_error);
        }
        if surrogate.no_cache.is_some() {
            self.directives.no_cache = Some(Scope::Response);
            self.surrogate_no_cache = true;
        }
    }

    /// Follows the rules of the operator, who knows the origin. What the response forbids stays, unless a rule ignores it.
    fn follow_rules(&mut self, options: &Options) {
        let Options { steering: steering @ Steering { ignored, .. }, stale_if_error, .. } = options;
        let said = &mut self.directives;
        if ignored.no_store {
            said.no_store = false;
            self.forbidden
                .take_if(|reason| matches!(reason, Reason::AccelOff | Reason::EdgeNoStore | Reason::SurrogateNoStore));
        }
        if ignored.private {
            said.private.take_if(|scope| *scope == Scope::Response);
            self.forbidden.take_if(|reason| *reason == Reason::SurrogatePrivate);
        }
        if ignored.no_cache {
            said.no_cache.take_if(|scope| *scope == Scope::Response);
        }
        if let Some(ttl) = steering.ttl {
            self.replaced = Some(Replaced::Rule(ttl));
        }
        let window = steering.stale_while_revalidate;
        if window.is_some() && (steering.force_stale || said.stale_while_revalidate.is_none()) {
            said.stale_while_revalidate = window;
            self.refreshed_by_rule = true;
        }
        if steering.force_stale {
            said.stale_if_error = Some(*stale_if_error);
        }
    }

    /// Replaces the lifetime, and removes a no-cache that names no fields.
    fn replace(&mut self, lifetime: Replaced) {
        self.replaced = Some(lifetime);
        self.directives.no_cache.take_if(|scope| *scope == Scope::Response);
    }

    /// Returns why the origin forbids a shared cache to store the response, if it does.
    pub fn forbids_storing(&self) -> Option<Reason> {
        self.forbid_storing().next()
    }

    /// Returns every reason why the origin forbids a shared cache to store the response. must-understand overrides
    /// no-store (RFC 9111 §5.2.2.3).
    pub fn forbid_storing(&self) -> impl Iterator<Item = Reason> {
        let said = &self.directives;
        let no_store = (said.no_store && !said.must_understand).then(|| self.reason(Reason::NoStore));
        let private = (said.private == Some(Scope::Response)).then(|| self.reason(Reason::Private));
        [self.forbidden, no_store, private].into_iter().flatten()
    }

    /// Returns the reason that names the field which said so, for one that names Cache-Control.
    pub fn reason(&self, reason: Reason) -> Reason {
        match reason {
            Reason::NoStore if self.targeted => Reason::CdnNoStore,
            Reason::Private if self.targeted => Reason::CdnPrivate,
            Reason::NoCache if self.targeted => Reason::CdnNoCache,
            Reason::NoCache if self.surrogate_no_cache => Reason::SurrogateNoCache,
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

    /// Returns true if serving stale is forbidden where the origin did not offer it (the client's max-stale,
    /// `--stale-if-error`).
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

/// The directives of a request, as far as Larder follows them.
pub(super) struct Followed {
    /// The directives that are followed.
    pub directives: RequestDirectives,
    /// True if the request has other directives, which are ignored.
    pub ignored: bool,
    /// The directive by which the client wishes to reload, if it is among the ignored ones. It is followed only if the
    /// lifetime is invented.
    pub reload: Option<Reason>,
}

/// Returns the directives of a request that are followed.
pub(super) fn followed(request: &Fields, options: &Options) -> Followed {
    let asked = RequestDirectives::parse(request);
    if options.strict || options.client_reload {
        return Followed { directives: asked, ignored: false, reload: None };
    }
    Followed {
        // max-stale sends nothing to the origin
        ignored: asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some(),
        reload: reload(request, &asked),
        directives: RequestDirectives { no_cache: false, max_age: None, min_fresh: None, ..asked },
    }
}

/// Returns the directive by which the client wishes to reload, if it does. Browsers (their hard reload), Maven and wget
/// send no-cache in both fields, git in Pragma alone. Programs such as apt and pip send max-age=0. Two requests express
/// no such wish: a browser's plain reload, which sends max-age=0 as well, and a lone Cache-Control: no-cache, which
/// some programs send each time.
fn reload(request: &Fields, asked: &RequestDirectives) -> Option<Reason> {
    if asked.no_cache && is_pragma_no_cache(request) {
        return Some(Reason::RequestNoCache);
    }
    let is_of_browsers =
        |name: &FieldName| *name == UPGRADE_INSECURE_REQUESTS || name.as_str().starts_with("sec-fetch-");
    let by_program = asked.max_age == Some(Seconds(0)) && !request.iter().any(|(name, _)| is_of_browsers(name));
    by_program.then_some(Reason::RequestMaxAge)
}

/// Returns the reason why no lifetime is invented for the answer, if the request has credentials that tell the origin
/// who asks. With `strict` no credentials count.
pub(super) fn credentials(request: &Fields, options: &Options) -> Option<Reason> {
    if options.strict {
        return None;
    }
    let steering = &options.steering;
    if request.contains(&COOKIE) && !options.ignore_cookies && !steering.keys_cookies {
        return Some(Reason::CookieWithoutFreshness);
    }
    if is_authorized(request, options) {
        return Some(Reason::AuthorizationWithoutFreshness);
    }
    let counts = |name: &FieldName| !steering.keys(name) && !steering.ignored.authorization;
    let tells = |name: &FieldName| is_in_field(name) && counts(name);
    request.iter().any(|(name, _)| tells(name)).then_some(Reason::KeyWithoutFreshness)
}

/// Returns true if the request has Authorization, and no rule takes it into the key or ignores it.
pub(super) fn is_authorized(request: &Fields, options: &Options) -> bool {
    let steering = &options.steering;
    request.contains(&AUTHORIZATION) && !steering.ignored.authorization && !steering.keys(&AUTHORIZATION)
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
