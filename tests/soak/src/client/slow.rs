//! Clients that take their time. They run beside the others, so that these do not wait for them, and leave with them.

use super::{
    Asked, Client, Over,
    attack::{MARKER, refusal},
    wire::{Wire, idle, is_late},
};
use crate::{resource::content, world::Count};

impl Client {
    /// Until the others have asked for all there is to ask for.
    pub fn run_slowly(mut self) {
        while self.world.left() > 0 {
            let kind = self.rng.below(16);
            let Some(wire) = self.connect(matches!(kind, 8..12)) else { continue };
            self.world.count(Count::Slow);
            match kind {
                0..5 => self.dribble(wire),
                5 => self.attack(wire, true),
                6 | 7 => {
                    let mut asked = self.invent(wire.side, false);
                    while !matches!(asked.method, "POST" | "PUT") || asked.http_10 {
                        asked = self.invent(wire.side, false);
                    }
                    drop(self.expecting(wire, asked, 300));
                }
                8 | 9 => self.read_slowly(wire),
                10 => self.leave(wire),
                11 => self.stall(wire),
                12 | 13 => self.half_a_head(wire),
                _ => self.half_a_body(wire),
            }
        }
    }

    /// One request or some, byte by byte.
    fn dribble(&mut self, mut wire: Wire) {
        let pipelined = self.rng.chance(400);
        let count = if pipelined { 2 + self.rng.below(3) } else { 1 };
        let mut asked: Vec<Asked> = (0..count).map(|_| self.invent(wire.side, pipelined)).collect();
        let bytes: Vec<u8> = asked.iter().flat_map(Asked::bytes).collect();
        // where the answer comes first, and ends the connection, it is read all the same
        let _ = wire.dribble(&bytes, &mut self.rng, &self.world);
        let ended = self.answers(&mut wire, &mut asked);
        self.ended(wire, ended);
    }

    fn read_slowly(&mut self, mut wire: Wire) {
        wire.pace(1 << (10 + self.rng.below(5)), 1 + self.rng.below(7));
        let count = 1 + self.rng.below(3);
        let mut asked: Vec<Asked> = (0..count).map(|_| self.invent(wire.side, true)).collect();
        self.exchange(wire, &mut asked);
    }

    /// Reads nothing, or little, and leaves in the middle.
    fn leave(&mut self, mut wire: Wire) {
        for _ in 0..1 + self.rng.below(4) {
            let bytes = self.invent_large(wire.side).bytes();
            if wire.send(&bytes).is_err() {
                break;
            }
        }
        idle(&self.world, self.rng.below(1500));
        wire.some(self.rng.below(4000) as usize);
        if self.rng.chance(500) {
            wire.reset();
        }
    }

    /// Reads nothing for longer than it is waited for, and then all that is left.
    fn stall(&mut self, mut wire: Wire) {
        let mut asked: Vec<Asked> = (0..4).map(|_| self.invent_large(wire.side)).collect();
        let bytes: Vec<u8> = asked.iter().flat_map(Asked::bytes).collect();
        let _ = wire.send(&bytes);
        idle(&self.world, 2500);
        let ended = self.answers(&mut wire, &mut asked);
        self.ended(wire, ended);
    }

    /// Begins a request, and sends the rest of it when it is too late: that is no request any more, nor what is behind it.
    fn half_a_head(&mut self, mut wire: Wire) {
        // the first on its connection or a later one
        if self.rng.chance(500) {
            let mut asked = [self.invent(wire.side, true)];
            match self.exchange(wire, &mut asked) {
                Some(open) => wire = open,
                None => return,
            }
        }
        let head = format!("GET /{MARKER}/half HTTP/1.1\r\nHost: soak.test\r\nX-Number: 0\r\n\r\n");
        let some = 1 + self.rng.below(head.len() as u64 - 4) as usize;
        if wire.send(&head.as_bytes()[..some]).is_err() || !wire.await_anything(&self.world) {
            return;
        }
        let _ = wire.send(&head.as_bytes()[some..]);
        self.only_a_refusal(wire, "half a head");
    }

    fn half_a_body(&mut self, mut wire: Wire) {
        let mut asked = self.invent(wire.side, true);
        while !asked.is_unsafe() {
            asked = self.invent(wire.side, true);
        }
        let hidden = format!("GET /{MARKER}gled HTTP/1.1\r\nHost: soak.test\r\nX-Number: 0\r\n\r\n");
        // the hidden request lies within the content that was announced
        (asked.chunked, asked.content) = (false, 100 + self.rng.below(2000) + hidden.len() as u64);
        let some = self.rng.below(asked.content - hidden.len() as u64) as usize;
        let begun = [asked.head(), content(asked.number, some)].concat();
        if wire.send(&begun).is_err() || !wire.await_anything(&self.world) {
            return;
        }
        // what the origin answered before that, or Larder in its place, is as good as any
        let head = wire.final_head(&asked);
        let _ = wire.send(hidden.as_bytes());
        match self.answer(&mut wire, &asked, head) {
            Err(Over::Cut) => self.world.count(Count::Cut),
            _ => self.nothing_more(wire),
        }
    }

    fn only_a_refusal(&self, mut wire: Wire, name: &str) {
        let (heard, ended) = wire.rest();
        let open = ended.as_ref().is_err_and(is_late);
        match refusal(&heard) {
            Ok(()) if !open => self.world.count(Count::TimedOut),
            Err(_) if wire.was_ended(&self.world) => self.world.count(Count::Cut),
            judged => self.world.problem(format!("{name}: {judged:?}; {ended:?}; {}", heard.escape_ascii())),
        }
    }

    fn nothing_more(&self, mut wire: Wire) {
        let (heard, _) = wire.rest();
        if !heard.is_empty() {
            self.world.problem(format!("behind a request's end: {}", heard[..heard.len().min(500)].escape_ascii()));
        }
    }
}
