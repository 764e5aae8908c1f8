//! A body on its way from the origin: written once, read by many, each at its own pace.
//!
//! - `state`: what memory holds of the body, how far it has come, and who reads it;
//! - `reader`: one client's view of it;
//! - `run`: the task that reads the origin's body into it;
//! - `spill`: what goes to the disk beside memory;
//! - `side`: bytes of a stored part that stand before or behind the new ones;
//! - `deserted`: whether the rest is fetched when nobody waits for it.
//!
//! A small body stays in memory. Past a window (256 KiB, less where memory is short) it goes to the store's disk as well, and memory keeps a window of
//! its end, so that a reader which lags reads from disk and holds no memory. Where the disk does not take it the fill turns
//! into a relay: the origin is read at the pace of the fastest reader, and a reader that lags by more than [`state::LAG`]
//! windows is broken off.

mod deserted;
mod reader;
mod run;
mod side;
mod spill;
mod state;

pub use self::{
    reader::FillReader,
    run::{FillError, Filled, run},
    side::Side,
    state::{Fill, Prospect},
};
