//! The program among others: signals, clocks, folders, what it writes down, and other proxies beside it.

mod behind;
mod chain;
mod disk;
mod folder;
mod names;
mod output;
mod reloading;
mod signals;
mod slow;
mod start;
mod time;
mod written;
