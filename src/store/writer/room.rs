//! Measures what the disk holds, and makes room where that is needed.

use std::sync::Weak;

use super::{MEASURE, SYNC, Writer};
use crate::{clock, store::disk::generation::Generation};

impl Writer {
    /// Answers those who wait for room, the first one first, as far as there is some or there will be none.
    pub(super) fn answer_rooms(&mut self) {
        self.rooms.retain(|(_, reply)| !reply.is_closed());
        while let Some(bytes) = self.rooms.front().map(|(bytes, _)| *bytes)
            && let Some(made) = self.room_for_body(bytes)
            && let Some((_, reply)) = self.rooms.pop_front()
        {
            // an error: nobody waits any more
            let _ = reply.send(made);
        }
    }

    /// Makes room for a part of a body, and time for what survives. Returns whether there is room, or `None` if that is known
    /// later: after a next step, or after a removal, of which a notice tells.
    fn room_for_body(&mut self, bytes: u64) -> Option<bool> {
        let space = self.shared.space.clone();
        while let Some(open) = &mut self.open {
            let measured = open.set.measure();
            if measured.is_ok() && space.will_have_room_for_body(bytes) {
                // once more: it may have been removed before it was waited for
                let there = space.has_room_for_body(bytes) || !space.await_removal() || space.has_room_for_body(bytes);
                return there.then_some(true);
            }
            match measured.and_then(|()| open.rotation.make_way(&mut open.set)) {
                Ok(true) => {
                    self.rotate_at = Some(clock::instant());
                    // what leaves may leave room beside it
                    if space.has_room_for_body(bytes) {
                        return Some(true);
                    }
                    return None;
                }
                Ok(false) => return Some(false),
                Err(error) => self.failed(error),
            }
        }
        Some(false)
    }

    pub(super) fn counted(&mut self, generation: &Weak<Generation>, guess: u64, counted: u64) {
        let Some(generation) = generation.upgrade() else { return };
        generation.correct(guess, counted);
        self.measure();
    }

    /// Measures what the disk holds and has left, and makes room if that is needed.
    pub(super) fn measure(&mut self) {
        self.measure_at = self.open.as_ref().map(|_| clock::instant() + MEASURE);
        // also if nothing is written
        self.shared.fade();
        self.warn_of_what_is_not_written();
        match self.open.as_ref().map(|open| open.set.measure()) {
            Some(Ok(())) => self.rotate_if_over(),
            Some(Err(error)) => self.failed(error),
            None => {}
        }
    }

    /// Warns, at each measuring, if responses stayed in memory only.
    fn warn_of_what_is_not_written(&mut self) {
        let dropped = self.shared.pending.dropped();
        let since = dropped - std::mem::replace(&mut self.not_written, dropped);
        if since > 0 {
            log::warn!("the disk is too slow: {since} responses were not written to it since the last minute");
        }
    }

    /// Makes room if more is held than may be. A store that only has little room left keeps what it holds until something is
    /// written.
    pub(super) fn rotate_if_over(&mut self) {
        if self.shared.is_over() {
            self.rotate_at = Some(clock::instant());
        }
    }

    /// Goes on making room.
    pub(super) fn rotate(&mut self) {
        self.rotate_at = None;
        match self.open.as_mut().map(|open| open.rotation.step(&mut open.set)) {
            Some(Ok(true)) => self.rotate_at = Some(clock::instant()),
            Some(Err(error)) => self.failed(error),
            _ => {}
        }
        self.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
        self.answer_rooms();
    }

    /// Makes room for so many bytes, as far as there is anything to drop. Returns false if the room will be there when what
    /// was dropped is removed: a notice says so.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
        let space = self.shared.space.clone();
        while let Some(open) = &mut self.open {
            let measured = open.set.measure();
            if measured.is_ok() && space.will_have_room(bytes) {
                // once more: it may have been removed before it was waited for
                return space.has_room(bytes) || !space.await_removal() || space.has_room(bytes);
            }
            match measured.and_then(|()| open.rotation.drop_one(&mut open.set)) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => self.failed(error),
            }
        }
        true
    }
}
