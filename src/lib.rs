//! Larder: a caching HTTP proxy.
//!
//! # The map
//!
//! | module | what it knows |
//! |---|---|
//! | [`cli`] | what can be typed |
//! | [`default`], [`units`] | the default of each setting; sizes and durations as people write them |
//! | `regular` | the content of a file that a setting names |
//! | [`config`] | what is valid: every bound and cross-check; each part's options come out of it |
//! | [`server`] | composition: the store, the workers, the listeners, the signals |
//! | [`client`] | the connections of clients: deadlines, limits, framing |
//! | [`proxy`] | one request, top to bottom |
//! | [`policy`] | RFC 9111 as pure functions: no clock, no log, no error |
//! | [`rules`] | the rules of the operator: when they apply, and what they set; pure |
//! | [`fields`] | the syntax of field values: total parsers that never decide |
//! | [`message`], [`key`] | requests, responses and cache keys: plain data on `http`'s names and values |
//! | [`purge`] | which stored responses a purge has reached; pure |
//! | [`store`] | bytes that survive a restart |
//! | [`origin`] | requests to the origin, and answers that are whole or an error |
//! | [`admin`] | the control socket: what a running Larder can be asked for |
//! | [`commands`], [`explanation`] | the commands that need more than one question; what `larder explain` says, and how it is shown |
//! | [`clock`] | the time; the only file that reads it |
//! | `boxes` | boxes of futures, used again |
//! | [`blocking`] | threads for what may block, and what panics, caught |
//! | [`announce`], [`logging`], [`terminal`] | what Larder says on stderr, and how a terminal shows it |
//! | [`descriptors`], [`allocator`] | what the system lends the process: open files, memory |
//!
//! Who may use whom is a test: `tests/larder/tidy.rs`. Policy never sees a store, a socket or a configuration; the store and
//! the origin's client never see policy or each other.
//!
//! # One request
//!
//! The client side hands over a head that is sound and a body that is not read yet. The proxy makes the key, looks in
//! memory and then on disk, and asks `policy::reuse` whether what it found may be used. If so the answer is made from it.
//! If not, one fetch goes to the origin for all who ask for the same key; `policy::storing` says whether the answer may be
//! kept, and it is kept once its end was proven. A store that fails is a store that holds nothing; it never fails a request.
//!
//! # How to add
//!
//! - *a directive*: parse it in `fields/cache_control.rs`, decide on it in the function of `policy/` that bears its section
//!   of the RFC, give its "no" a `Reason`, and add rows to that file's table test.
//! - *a flag*: a field of [`cli::Arguments`] with its variable, its default in [`default`], its check in `config`, a row in README.md
//!   (a test compares them), and the field of the options it ends up in.
//! - *a setting of rules*: a line in `rules/settings.rs`, its value in `config/file/setting.rs`, a row in docs/configuration.md (a test
//!   compares them).
//! - *more in a record*: give it a section in `store/format/head.rs`; old readers keep it. Where they must not overlook it, a
//!   flag in `store/format/prefix.rs`. Where neither will do, raise the version there, and add golden files of it to
//!   `tests/golden/`; the old ones stay.
//! - *a command of the control socket*: a [`admin::Command`] and its answer in the server's handler.
pub mod admin;
pub mod allocator;
pub mod announce;
pub mod blocking;
mod boxes;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod default;
mod descriptors;
pub mod explanation;
pub mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod key;
pub mod logging;
pub mod message;
pub mod origin;
pub mod policy;
pub mod proxy;
pub mod purge;
mod regular;
pub mod rules;
pub mod server;
pub mod store;
pub mod terminal;
pub mod units;
