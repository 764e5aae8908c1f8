//! The sections that the head of a record is made of. A number is as in [`numbers`]:
//!
//! | bytes | |
//! |---|---|
//! | number | tag, at most 65,535 |
//! | number | length, n |
//! | n | what the tag says |
//!
//! Tags rise from section to section, so that none comes twice and the same sections are always the same bytes. A section
//! with a tag that this version does not know is kept as it is and written again with the record. So a new section needs
//! no new version, if an old reader may go on as if the section were not there. What an old reader must not overlook is
//! a flag in the prefix.
//!
//! Invalid are: tags that do not rise, and a length beyond the end of the head.

use super::numbers;

/// Calls `take` with the tag and the bytes of each section, in order. Returns `None` if the sections are invalid or `take`
/// refuses one.
pub fn read<'a>(mut head: &'a [u8], mut take: impl FnMut(u16, &'a [u8]) -> Option<()>) -> Option<()> {
    let mut last = None;
    while !head.is_empty() {
        let (tag, section, rest) = first(head)?;
        if last.is_some_and(|last| last >= tag) {
            return None;
        }
        take(tag, section)?;
        (last, head) = (Some(tag), rest);
    }
    Some(())
}

/// Splits the first section off: its tag, its bytes, and what stands behind it.
fn first(head: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (tag, rest) = numbers::split(head)?;
    let (length, rest) = numbers::split(rest)?;
    let (section, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((u16::try_from(tag).ok()?, section, rest))
}

/// Appends a section to others.
pub fn append(sections: &mut Vec<u8>, tag: u16, section: &[u8]) {
    numbers::append(sections, tag.into());
    numbers::append(sections, section.len() as u64);
    sections.extend_from_slice(section);
}

/// Writes the sections of a head, with the unknown ones at their places.
pub struct Writer<'a> {
    record: &'a mut Vec<u8>,
    /// The unknown sections that are not written yet.
    unknown: &'a [u8],
    /// The section that is being written.
    section: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// The sections go to the end of `record`. `unknown`: the sections that this version does not know.
    pub fn new(record: &'a mut Vec<u8>, unknown: &'a [u8]) -> Writer<'a> {
        Writer { record, unknown, section: Vec::with_capacity(512) }
    }

    /// Writes the next section. `write` appends its bytes. Returns `None` if `write` does.
    pub fn section(&mut self, tag: u16, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
        self.unknown_before(Some(tag))?;
        self.section.clear();
        write(&mut self.section)?;
        append(self.record, tag, &self.section);
        Some(())
    }

    /// Writes the unknown sections that are left.
    pub fn finish(mut self) -> Option<()> {
        self.unknown_before(None)
    }

    fn unknown_before(&mut self, tag: Option<u16>) -> Option<()> {
        while !self.unknown.is_empty() {
            let (unknown, section, rest) = first(self.unknown)?;
            if tag.is_some_and(|tag| unknown >= tag) {
                break;
            }
            append(self.record, unknown, section);
            self.unknown = rest;
        }
        Some(())
    }
}
