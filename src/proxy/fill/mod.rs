//! A fill: the body of a response while it comes from the origin. It is written once, and many clients read it, each at
//! its own pace.
//!
//! - `state`: the bytes in memory, the progress, and the readers;
//! - `reader`: one client's view of the fill;
//! - `run`: the task that reads the origin's body into the fill;
//! - `spill`: writes the bytes to the disk as well;
//! - `deserted`: decides whether the rest is fetched when no client waits for it.
//!
//! A small body stays in memory. A body that grows beyond a window (256 KiB, less if memory is short) is written to the
//! store's disk as well, behind: memory keeps only the last window of it, and up to 16 windows (4 MiB) that wait for the
//! disk. A slow reader then reads from disk and holds no memory. If the disk does not take the body, or takes it so slowly
//! that its readers would wait for the disk for more than a second in all, the fill becomes a relay:
//! the origin is read at the pace of the fastest reader, and a reader that lags by more than [`state::LAG`] windows is
//! broken off.

mod deserted;
mod reader;
mod run;
mod spill;
mod state;

pub use self::{
    reader::FillReader,
    run::{FillError, Filled, run},
    state::{Fill, Prospect},
};
