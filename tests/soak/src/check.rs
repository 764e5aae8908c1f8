//! Whether an answer that ended in order may be what it is.

use crate::{
    client::{Asked, Got},
    resource::{CANARY, Identity, Own},
    world::{Count, World},
};

/// What a clock in whole seconds, and an answer's way, add to an age: milliseconds.
const SLACK: u64 = 2_500;

/// Milliseconds before which nobody is told that they are late: Larder's deadlines here, less two of its ticks, which are an
/// eighth each.
const LATE: u64 = 1_500;

/// What an answer was good for.
#[derive(Default)]
pub struct Judged {
    /// The entity tag to ask with another time.
    pub tag: Option<String>,
    /// The version that an unsafe request left behind.
    pub left: u64,
}

pub fn answer(world: &World, asked: &Asked, got: &Got) -> Judged {
    match judge(world, asked, got) {
        Ok(judged) => judged,
        Err(why) => {
            let fields: Vec<String> = got.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let sent = format!(
                "sent to {} at {}, floor {}, version {}, cleared {}",
                world.sides[asked.side].name, asked.at, asked.floor, asked.version, asked.cleared
            );
            let body = got.body[..got.body.len().min(200)].escape_ascii();
            world.problem(format!("{}: {why}; {sent}; {} {fields:?} {body}", asked.name(), got.status));
            Judged::default()
        }
    }
}

fn judge(world: &World, asked: &Asked, got: &Got) -> Result<Judged, String> {
    if got.field("X-Cache") == Some("HIT") {
        world.count(Count::Hits);
    }
    let Some(text) = got.field("X-Soak") else {
        return not_from_the_origin(world, asked, got).map(|()| Judged::default());
    };
    let identity = Identity::parse(text).ok_or_else(|| format!("no identity: {text}"))?;
    whose(asked, got, &identity)?;
    match got.field("X-Never-Whole") {
        Some(_) if asked.method == "HEAD" || matches!(got.status, 204 | 304) => {}
        Some(_) => return Err("whole, and the connection with the origin did not end in order".to_owned()),
        None => {}
    }
    bytes(world, asked, got, &identity)?;
    how_old(world, asked, got, &identity)?;
    if asked.content > 0 && !asked.is_unsafe() {
        world.count(Count::WithContent);
    }
    if asked.is_unsafe() {
        world.count(Count::Unsafe);
        let succeeded = matches!(got.status, 200 | 204);
        if succeeded {
            world.sides[asked.side].raise(asked.resource, identity.version);
        }
        return Ok(Judged { tag: None, left: if succeeded { identity.version } else { 0 } });
    }
    let tag = got.field("ETag").ok_or("no ETag")?;
    if tag != identity.tag() {
        return Err("another's ETag".to_owned());
    }
    Ok(Judged { tag: (!is_own(asked) && got.status == 200).then(|| tag.to_owned()), left: 0 })
}

/// What answers it is made for it alone.
fn is_own(asked: &Asked) -> bool {
    asked.resource.kind().own == Own::Request || asked.is_unsafe() || asked.method == "OPTIONS" || asked.content > 0
}

/// Larder's own errors, and what a 304 leaves out.
fn not_from_the_origin(world: &World, asked: &Asked, got: &Got) -> Result<(), String> {
    let larders = got.field("Content-Type") == Some("application/problem+json");
    match got.status {
        304 => {
            world.count(Count::NotModified);
            let (tag, mine) = (got.field("ETag").ok_or("no ETag")?, asked.tag.as_deref().ok_or("nobody asked for it")?);
            if tag != mine {
                return Err("another tag than mine".to_owned());
            }
            let version: u64 =
                tag.trim_matches('"').split('-').next().and_then(|v| v.parse().ok()).ok_or("no version")?;
            if version < asked.floor || asked.resource.kind().own == Own::Validated && version < asked.version {
                return Err(format!("version {version} is too old"));
            }
        }
        416 if asked.range.is_some() => {}
        500..600 if larders => world.count(Count::Refused),
        // a client that was slow itself
        408 if larders && world.now().saturating_sub(asked.at) >= LATE => world.count(Count::TimedOut),
        _ => return Err("it is neither the origin's nor Larder's".to_owned()),
    }
    Ok(())
}

fn whose(asked: &Asked, got: &Got, identity: &Identity) -> Result<(), String> {
    let own = asked.resource.kind().own;
    if identity.path != asked.resource.path() {
        return Err("another URL's answer".to_owned());
    }
    let mine = is_own(asked) || got.status >= 400;
    if got.status != 416 && identity.request != if mine { asked.number } else { 0 } {
        return Err("another request's answer".to_owned());
    }
    let user = match asked.resource.kind().letter {
        'p' | 'a' => asked.user,
        // the connection may have been authenticated by an earlier request of the client's
        'k' if asked.negotiates() || identity.user != 0 => asked.user,
        _ => 0,
    };
    if identity.user != user {
        return Err("another user's answer".to_owned());
    }
    if own == Own::Varies && identity.variant != asked.variant {
        return Err("another variant".to_owned());
    }
    if let Some(cookie) = got.field("Set-Cookie")
        && cookie != format!("id={CANARY}-{}; Path=/", asked.number)
    {
        return Err("another request's cookie".to_owned());
    }
    Ok(())
}

fn bytes(world: &World, asked: &Asked, got: &Got, identity: &Identity) -> Result<(), String> {
    let whole = identity.body();
    let length = |expected: usize| match got.field("Content-Length") {
        Some(length) if length != expected.to_string() => Err(format!("Content-Length should be {expected}")),
        _ => Ok(()),
    };
    match got.status {
        200 if asked.method == "HEAD" => length(whole.len())?,
        204 if asked.method == "DELETE" => {}
        304 | 416 => world.count(Count::NotModified),
        206 => {
            world.count(Count::Parts);
            let range = got.field("Content-Range").and_then(|range| range.strip_prefix("bytes "));
            let part = range.and_then(|range| {
                let (range, complete) = range.split_once('/')?;
                let (first, last) = range.split_once('-')?;
                (complete == whole.len().to_string()).then_some(())?;
                whole.get(first.parse().ok()?..=last.parse().ok()?)
            });
            let part = part.ok_or("no such part")?;
            if asked.range.is_none() {
                return Err("a part, and none was asked for".to_owned());
            }
            if asked.method != "HEAD" && part != got.body {
                return Err(differs(part, &got.body));
            }
        }
        200 | 413 | 400..600 if asked.method != "HEAD" && got.body != whole => return Err(differs(&whole, &got.body)),
        200 => world.count(Count::Whole),
        400..600 => world.count(Count::OriginErrors),
        status => return Err(format!("the origin never answers {status}")),
    }
    Ok(())
}

fn differs(expected: &[u8], got: &[u8]) -> String {
    let at = expected.iter().zip(got).position(|(a, b)| a != b);
    format!("wrong bytes: {} where {} are right, the first difference at {at:?}", got.len(), expected.len())
}

fn how_old(world: &World, asked: &Asked, got: &Got, identity: &Identity) -> Result<(), String> {
    let kind = asked.resource.kind();
    let (serial, made) = got.field("X-Made").and_then(|made| made.split_once(' ')).ok_or("no X-Made")?;
    let (serial, made): (u64, u64) = (serial.parse().map_err(|_| "serial")?, made.parse().map_err(|_| "time")?);
    if got.status == 413 {
        return Ok(());
    }
    if identity.version > world.version(asked.resource) {
        return Err("a version that never was".to_owned());
    }
    if identity.version < asked.floor {
        return Err("older than what an unsafe request left".to_owned());
    }
    if kind.own == Own::Validated && identity.version < asked.version {
        return Err("older than what the origin had when it was asked: not validated".to_owned());
    }
    if serial < asked.cleared {
        return Err("from before the cache was cleared".to_owned());
    }
    if asked.at.saturating_sub(made) > kind.lifetime.unwrap_or(0) + SLACK {
        return Err(format!("stale: made at {made}"));
    }
    Ok(())
}
