//! The commands of an operator that are more than one question to a running Larder.

mod explain;
mod place;
mod progress;
mod sitemap;
mod tail;
mod warm;

pub use self::{
    explain::explain,
    tail::tail,
    warm::{Warmed, warm},
};
