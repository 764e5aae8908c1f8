//! The commands of an operator that are more than one question to a running Larder.

mod bar;
mod explain;
mod place;
mod sitemap;
mod tail;
mod warm;

pub use self::{
    explain::explain,
    tail::tail,
    warm::{Warmed, warm},
};
