//! The client side over real sockets.

mod replies;
mod rig;
