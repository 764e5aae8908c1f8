//! The client side over real sockets.

mod attacks;
mod bodies;
mod deadlines;
mod files;
mod golden;
mod heads;
mod interim;
mod limits;
mod pipelines;
mod refusals;
mod replies;
mod rig;
