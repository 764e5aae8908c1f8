//! Answers `larder tail`.

use std::time::Duration;

use serde_json::Value;

use crate::{
    admin::Reply,
    proxy::{Shared, TailItem, TailLine},
    terminal::Style,
};

/// The longest time without an item: so an onlooker that has left is noticed.
const BEAT: Duration = Duration::from_secs(5);

/// The most lines that are sent together.
const TOGETHER: usize = 256;

/// Sends each request that ends, if its line holds the text of the filter, until the client leaves or Larder stops.
pub(super) fn tail(shared: &Shared, filter: Option<&str>, reply: &mut Reply<'_>) -> Result<Value, String> {
    let tail = shared.tails.watch();
    reply.send([TailItem::Beat])?;
    loop {
        let Ok(first) = tail.next(BEAT) else { return Ok(Value::Null) };
        let is_beat = first.is_none();
        let more = std::iter::from_fn(|| tail.next(Duration::ZERO).ok().flatten());
        let lines = first.into_iter().chain(more.take(TOGETHER));
        let is_wanted = |text: &str| filter.is_none_or(|filter| text.contains(filter));
        let wanted = lines.filter(|line| is_wanted(&line.show(Style::PLAIN).to_string()));
        let mut items: Vec<TailItem> = wanted.map(|line| TailItem::Line(Box::new(TailLine::clone(&line)))).collect();
        let lost = tail.take_lost();
        items.extend((lost > 0).then_some(TailItem::Lost(lost)));
        items.extend(is_beat.then_some(TailItem::Beat));
        if !items.is_empty() {
            reply.send(items)?;
        }
    }
}
