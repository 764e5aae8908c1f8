//! Whether a body would be stored, asked before it is fetched.

use super::shared::Shared;

/// Why a body would not be stored. A reason that a client may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmitError {
    /// The body is longer than `Options::max_object`, which is this many bytes.
    LargerThanMaxObject(u64),
    /// The disk limit, or the disk itself, leaves no room for the body.
    NoRoom,
    /// The disk is not open or does not keep up, and memory does not take the body.
    NotAvailable,
}

impl std::fmt::Display for AdmitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AdmitError::LargerThanMaxObject(_) => "larger than --max-object",
            AdmitError::NoRoom => "the cache has no room",
            AdmitError::NotAvailable => "the cache is not available",
        })
    }
}

impl std::error::Error for AdmitError {}

/// Decides whether a body would be stored if it came now. Reads counters only: what happens while the body arrives is not
/// foreseen.
pub fn admits(shared: &Shared, length: Option<u64>) -> Result<(), AdmitError> {
    let max_object = shared.options.max_object;
    // a body of unknown length is usually a small one
    let length = length.unwrap_or(0);
    if length > max_object {
        return Err(AdmitError::LargerThanMaxObject(max_object));
    }
    let is_large = length > shared.incoming.window();
    if !is_large && shared.memory.takes(length) {
        return Ok(());
    }
    let is_available = if is_large { shared.is_open() } else { shared.pending.takes(length) };
    let is_promised = !is_large || shared.space.may_promise(length);
    match is_available {
        false => Err(AdmitError::NotAvailable),
        true if length > shared.space.longest(max_object) || !is_promised => Err(AdmitError::NoRoom),
        true => Ok(()),
    }
}
