//! One client: it asks for anything, in any way, and believes nothing.

mod asked;
pub mod attack;
mod catalogue;
mod slow;
mod wire;

use std::{io, sync::Arc, time::Duration};

use self::wire::{PATIENCE, Wire, is_late};
pub use self::{asked::Asked, wire::Got};
use crate::{
    check,
    random::Rng,
    resource::Resource,
    world::{Count, World, pause},
};

pub struct Client {
    pub world: Arc<World>,
    pub user: u64,
    pub rng: Rng,
    /// Tags that were seen: resource, variant, tag.
    pub seen: Vec<(Resource, String, String)>,
}

/// Why a connection is at its end.
enum Over {
    /// After a whole answer, as announced.
    InOrder,
    /// In the middle of an answer, or before it.
    Cut,
}

impl Client {
    pub fn run(mut self) {
        let mut wire: Option<Wire> = None;
        while self.world.take() {
            let Some(open) = wire.take().or_else(|| self.connect(false)) else { continue };
            wire = match self.rng.below(1000) {
                0..15 => {
                    self.abort(open);
                    None
                }
                15..35 => {
                    self.attack(open, false);
                    None
                }
                35..55 => {
                    self.world.count(Count::Pipelined);
                    let count = 2 + self.rng.below(4);
                    let mut asked: Vec<Asked> = (0..count).map(|_| self.invent(open.side, true)).collect();
                    self.exchange(open, &mut asked)
                }
                _ => {
                    let asked = self.invent(open.side, false);
                    match asked.expects {
                        true => self.expecting(open, asked, 0),
                        false => self.exchange(open, &mut [asked]),
                    }
                }
            };
        }
    }

    /// To one Larder or the other; it waits while that one does not run.
    fn connect(&mut self, small: bool) -> Option<Wire> {
        let side = self.rng.below(2) as usize;
        for _ in 0..5000 {
            if let Some(wire) = Wire::connect(&self.world, side, small) {
                return Some(wire);
            }
            pause(2);
        }
        self.world.problem("no connection for 10 s".to_owned());
        None
    }

    /// Asks, and judges the answers. Gives the connection back where it can go on.
    fn exchange(&mut self, mut wire: Wire, asked: &mut [Asked]) -> Option<Wire> {
        let bytes: Vec<u8> = asked.iter().flat_map(Asked::bytes).collect();
        // an answer may come before all was sent, and then the rest is not wanted
        let sent = wire.send(&bytes);
        let ended = self.answers(&mut wire, asked);
        self.ended(wire, ended).filter(|_| sent.is_ok())
    }

    fn ended(&self, wire: Wire, ended: Result<(), Over>) -> Option<Wire> {
        if matches!(ended, Err(Over::Cut)) {
            self.world.count(Count::Cut);
        }
        ended.is_ok().then_some(wire)
    }

    /// Reads and judges the answers to all of these, in their order.
    fn answers(&mut self, wire: &mut Wire, asked: &mut [Asked]) -> Result<(), Over> {
        for at in 0..asked.len() {
            let (this, later) = asked[at..].split_first_mut().expect("at is below the length");
            let got = wire.final_head(this);
            let version = self.answer(wire, this, got)?;
            // what comes behind an unsafe request on one connection comes after it
            for later in later.iter_mut().filter(|later| later.resource == this.resource) {
                later.floor = later.floor.max(version);
            }
        }
        Ok(())
    }

    /// Reads the rest of an answer, and judges it; gives the version that an unsafe request left.
    fn answer(&mut self, wire: &mut Wire, asked: &Asked, head: io::Result<Got>) -> Result<u64, Over> {
        let whole = head.and_then(|mut got| wire.body(asked, &mut got).map(|()| got));
        let got = whole.map_err(|error| self.cut(asked, &error))?;
        let judged = check::answer(&self.world, asked, &got);
        if let Some(tag) = judged.tag {
            self.remember(asked, tag);
        }
        if got.closes() || !got.framed || asked.http_10 {
            return Err(Over::InOrder);
        }
        Ok(judged.left)
    }

    /// An answer that did not end in order. That it never ends is no such end.
    fn cut(&self, asked: &Asked, error: &io::Error) -> Over {
        if is_late(error) {
            self.world.problem(format!("no end of the answer to {}", asked.name()));
        } else if error.kind() == io::ErrorKind::InvalidData {
            self.world.problem(format!("{}: {error}", asked.name()));
        }
        Over::Cut
    }

    fn remember(&mut self, asked: &Asked, tag: String) {
        let known = (asked.resource, asked.variant.clone(), tag);
        if self.seen.len() < 64 {
            self.seen.push(known);
        } else {
            let at = self.rng.below(64) as usize;
            self.seen[at] = known;
        }
    }

    /// Sends a head that expects 100, and the content after that, or after a short wait, or never: where the final answer
    /// was faster and ends the connection.
    fn expecting(&mut self, mut wire: Wire, mut asked: Asked, most: u64) -> Option<Wire> {
        self.world.count(Count::Expecting);
        asked.expects = true;
        let waits = self.rng.chance(700);
        let patience = if waits { PATIENCE } else { Duration::from_millis(1 + self.rng.below(20)) };
        let early = wire.send(&asked.head()).and_then(|()| {
            loop {
                // other interim answers may come before it
                match wire.head(&asked, patience) {
                    Ok(got) if (101..200).contains(&got.status) => {}
                    other => return other,
                }
            }
        });
        wire::idle(&self.world, self.rng.below(1 + most));
        match early {
            Ok(got) if got.status != 100 => {
                let ended = self.answer(&mut wire, &asked, Ok(got)).map(drop);
                let wire = self.ended(wire, ended);
                // it goes on, so the content is still awaited
                wire.and_then(|mut wire| wire.send(&asked.body()).is_ok().then_some(wire))
            }
            Err(error) if waits || !is_late(&error) => {
                let ended = Err(self.cut(&asked, &error));
                self.ended(wire, ended)
            }
            _ => {
                let sent = match most {
                    0 => wire.send(&asked.body()),
                    _ => wire.dribble(&asked.body(), &mut self.rng, &self.world),
                };
                let ended = self.answers(&mut wire, &mut [asked]);
                self.ended(wire, ended).filter(|_| sent.is_ok())
            }
        }
    }

    /// Sends some or all of a request, reads some or none of the answer, and goes.
    fn abort(&mut self, mut wire: Wire) {
        self.world.count(Count::Aborted);
        let bytes = self.invent(wire.side, false).bytes();
        let some = if self.rng.chance(300) { self.rng.below(bytes.len() as u64) as usize } else { bytes.len() };
        let _ = wire.send(&bytes[..some]);
        if some == bytes.len() && self.rng.chance(700) {
            wire.some(self.rng.below(3000) as usize);
        }
        if self.rng.chance(500) {
            wire.reset();
        }
    }
}
