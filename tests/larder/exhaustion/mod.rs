//! Nobody holds more than a bounded share of time, connections, memory or disk. The names X01 to X15 are those of the
//! project's catalogue of attacks. Limits are set short by their flags, and measured.

mod connections;
mod heads;
pub mod load;
mod pace;
mod scale;
mod threads;
