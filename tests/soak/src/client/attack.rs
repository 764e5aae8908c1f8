//! Clients that smuggle: what two parsers could read as different requests is refused, and nothing behind it is read.

use super::{Asked, Client, catalogue, wire::Wire};
use crate::{
    message::{self, field},
    resource::CANARY,
    world::Count,
};

/// In each attack, and in each request that is hidden behind one. No origin may ever see it.
pub const MARKER: &str = "smug";

impl Client {
    /// An attack, sound requests before it now and then, a hidden request behind it. `slowly`: its head comes in pieces.
    pub(super) fn attack(&mut self, mut wire: Wire, slowly: bool) {
        let turn = self.world.count_in_turn(Count::Attacks);
        let sound = if self.rng.chance(300) { 1 + self.rng.below(2) } else { 0 };
        let mut asked: Vec<Asked> = (0..sound).map(|_| self.invent(wire.side, true)).collect();
        let before: Vec<u8> = asked.iter().flat_map(Asked::bytes).collect();
        let attack = catalogue::attack(turn, &mut self.rng, self.world.number());
        let hidden = format!("GET /{MARKER}gled HTTP/1.1\r\nHost: soak.test\r\nX-Number: 0\r\n\r\n");
        let all = [&before, &attack.bytes, hidden.as_bytes()].concat();
        // chunks that pause reach the origin before it is known what they end in: the head's last byte comes with them
        let pieces = if slowly { before.len() + attack.head - 1 } else { 0 };
        let sent = wire.dribble(&all[..pieces], &mut self.rng, &self.world).and_then(|()| wire.send(&all[pieces..]));
        // the connection may have been at its end before everything was sent
        drop(sent);
        let ended = self.answers(&mut wire, &mut asked);
        if ended.is_err() {
            self.ended(wire, ended);
            return;
        }
        self.refused(&mut wire, &attack.name);
    }

    /// What still comes is one refusal and the connection's end.
    fn refused(&mut self, wire: &mut Wire, name: &str) {
        let (heard, ended) = wire.rest();
        if wire.was_ended(&self.world) && heard.is_empty() {
            return self.world.count(Count::Cut);
        }
        // once it is whole, a late reset takes nothing away; a connection that stays open does
        let open = ended.as_ref().is_err_and(super::is_late);
        let judged = if open { Err("the connection stays open".to_owned()) } else { refusal(&heard) };
        if let Err(why) = judged {
            if wire.was_ended(&self.world) && ended.is_err() {
                return self.world.count(Count::Cut);
            }
            let heard = heard[..heard.len().min(1000)].escape_ascii();
            self.world.problem(format!("attack {name}: {why}; {ended:?}; {heard}"));
        }
    }
}

/// Whether this is one whole refusal that says nothing of what was sent, and nothing else.
pub fn refusal(heard: &[u8]) -> Result<(), String> {
    let (mut rest, mut buffer, mut body) = (heard, Vec::new(), Vec::new());
    let head = message::read_head(&mut rest, &mut buffer).ok().flatten().ok_or("no answer")?;
    let fields = message::fields(&head);
    let status =
        head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
    if !matches!(status, Some(400..=499 | 501 | 505)) {
        return Err(format!("it is not refused but answered with {status:?}"));
    }
    if field(&fields, "Connection") != Some("close") {
        return Err("the refusal does not end the connection".to_owned());
    }
    let length = field(&fields, "Content-Length").and_then(|length| length.parse().ok()).ok_or("no length")?;
    message::read_exactly(&mut rest, &mut buffer, length, &mut body).map_err(|_| "the refusal is cut")?;
    if !(rest.is_empty() && buffer.is_empty()) {
        return Err("something comes behind the refusal".to_owned());
    }
    for text in [MARKER, CANARY] {
        if heard.windows(text.len()).any(|window| window == text.as_bytes()) {
            return Err(format!("the refusal holds {text}"));
        }
    }
    Ok(())
}
