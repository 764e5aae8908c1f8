//! Whether an answer that ended in order may be what it is.

use crate::{
    client::{Asked, Got},
    world::{Count, Identity, Own, World},
};

/// What a clock in whole seconds, and an answer's way, add to an age: milliseconds.
const SLACK: u64 = 2_500;

/// For people: which request this was.
pub fn name(asked: &Asked) -> String {
    let path = asked.resource.path();
    format!(
        "{path} (request {}, user {}, X-Kind {:?}, range {:?}, tag {:?})",
        asked.number, asked.user, asked.variant, asked.range, asked.tag
    )
}

/// Judges it; gives the entity tag to ask with another time.
pub fn answer(world: &World, asked: &Asked, got: &Got) -> Option<String> {
    match judge(world, asked, got) {
        Ok(tag) => tag,
        Err(why) => {
            let fields: Vec<String> = got.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let sent = format!(
                "sent at {}, floor {}, version {}, cleared {}",
                asked.at, asked.floor, asked.version, asked.cleared
            );
            world.problem(format!("{} {}: {why}; {sent}; {} {fields:?}", asked.method, name(asked), got.status));
            None
        }
    }
}

fn judge(world: &World, asked: &Asked, got: &Got) -> Result<Option<String>, String> {
    if got.field("X-Cache") == Some("HIT") {
        world.count(Count::Hits);
    }
    let Some(text) = got.field("X-Soak") else { return not_from_the_origin(world, asked, got) };
    let identity = Identity::parse(text).ok_or_else(|| format!("no identity: {text}"))?;
    whose(asked, got, &identity)?;
    bytes(world, asked, got, &identity)?;
    how_old(world, asked, got, &identity)?;
    if !matches!(asked.method, "GET" | "HEAD") {
        world.count(Count::Unsafe);
        if got.status == 200 {
            world.raise(asked.resource, identity.version);
        }
        return Ok(None);
    }
    let tag = got.field("ETag").ok_or("no ETag")?;
    if tag != identity.tag() {
        return Err("another's ETag".to_owned());
    }
    Ok((asked.resource.kind().own != Own::Request && got.status == 200).then(|| tag.to_owned()))
}

/// Larder's own errors, and what a 304 leaves out.
fn not_from_the_origin(world: &World, asked: &Asked, got: &Got) -> Result<Option<String>, String> {
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
            Ok(None)
        }
        416 if asked.range.is_some() => Ok(None),
        500..600 if got.field("Content-Type") == Some("application/problem+json") => {
            world.count(Count::Refused);
            Ok(None)
        }
        _ => Err("it is neither the origin's nor Larder's".to_owned()),
    }
}

fn whose(asked: &Asked, got: &Got, identity: &Identity) -> Result<(), String> {
    let own = asked.resource.kind().own;
    let safe = matches!(asked.method, "GET" | "HEAD");
    if identity.path != asked.resource.path() {
        return Err("another URL's answer".to_owned());
    }
    if (own == Own::Request || !safe || got.status >= 400) && got.status != 416 && identity.request != asked.number {
        return Err("another request's answer".to_owned());
    }
    let user = if matches!(asked.resource.kind().letter, 'p' | 'a') { asked.user } else { 0 };
    if identity.user != user {
        return Err("another user's answer".to_owned());
    }
    if own == Own::Varies && identity.variant != asked.variant {
        return Err("another variant".to_owned());
    }
    if let Some(cookie) = got.field("Set-Cookie")
        && cookie != format!("id={}; Path=/", asked.number)
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
