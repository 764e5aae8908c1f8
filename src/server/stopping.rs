//! Stopping: the signals that ask for it, and the wait for the requests under way.

use std::{
    io,
    task::Poll,
    time::{Duration, Instant},
};

use actix_server::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::service;
use crate::{clock, logging, units::show_duration};

/// The time within which several signals count as one. Wrapper programs pass on signals that the terminal also sends
/// to Larder.
pub const TOGETHER: Duration = Duration::from_secs(1);

/// How many requests the stop is about.
pub(super) struct Requests<U, C> {
    /// Returns how many have not ended.
    pub under_way: U,
    /// Returns how many the stop has cut off, at its end.
    pub cut_off: C,
}

/// Waits until a signal asks to stop, stops the server, and waits for its end. A second signal ends the process at
/// once.
pub(super) async fn until_stopped(
    server: ServerHandle,
    requests: Requests<impl Fn() -> u64, impl Fn() -> u64>,
    ended: impl Future<Output = ()>,
    signals: &mut Signals,
    reload: impl Fn(),
    patience: Duration,
) {
    tokio::pin!(ended);
    let mut asked: Option<Instant> = None;
    loop {
        tokio::select! {
            () = &mut ended => {
                match cut_off((requests.cut_off)()) {
                    None => log::info!("stopped"),
                    Some(cut_off) => log::warn!("stopped; {cut_off}"),
                }
                return;
            }
            () = signals.stop(&reload) => {}
        }
        match asked {
            None => {
                asked = Some(clock::instant());
                let waits = format_args!("waiting up to {} for", show_duration(patience)).to_string();
                match (requests.under_way)() {
                    0 => log::info!("stopping"),
                    1 => log::info!("stopping: {waits} 1 request under way"),
                    several => log::info!("stopping: {waits} {several} requests under way"),
                }
                service::notify_stopping();
                drop(server.stop(true));
            }
            Some(first) if first.elapsed() < TOGETHER => {}
            Some(_) => {
                match cut_off((requests.under_way)()) {
                    None => log::warn!("stopped without waiting"),
                    Some(cut_off) => log::warn!("stopped without waiting; {cut_off}"),
                }
                logging::flush();
                std::process::exit(1);
            }
        }
    }
}

/// Returns the words for requests that were cut off; `None`: there are none.
fn cut_off(requests: u64) -> Option<String> {
    match requests {
        0 => None,
        1 => Some("1 request was cut off".to_owned()),
        requests => Some(format!("{requests} requests were cut off")),
    }
}

/// The signals that Larder has asked for.
pub(super) struct Signals {
    /// Each of them asks it to stop.
    stopping: Vec<Signal>,
    /// A hangup asks a program without a terminal to reload.
    reloading: Option<Signal>,
    /// Held so that this signal never ends the program: it is what log rotation sends.
    _reopening: Signal,
}

impl Signals {
    /// Must be called within a runtime.
    pub(super) fn new() -> io::Result<Signals> {
        let mut stopping = vec![signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let mut reloading = None;
        match Hangup::of(&read("status"), &read("stat")) {
            Hangup::Ignored => {}
            Hangup::Stops => stopping.push(signal(SignalKind::hangup())?),
            Hangup::Reloads => reloading = Some(signal(SignalKind::hangup())?),
        }
        Ok(Signals { stopping, reloading, _reopening: signal(SignalKind::user_defined1())? })
    }

    /// Waits until a signal asks to stop. Calls `reload` for each that asks for it.
    async fn stop(&mut self, reload: &impl Fn()) {
        std::future::poll_fn(|task| {
            while self.reloading.as_mut().is_some_and(|signal| signal.poll_recv(task).is_ready()) {
                reload();
            }
            match self.stopping.iter_mut().any(|signal| signal.poll_recv(task).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await
    }
}

/// What a hangup means.
#[derive(Debug, PartialEq, Eq)]
enum Hangup {
    /// It was ignored from the start: that is what nohup is for.
    Ignored,
    /// The terminal is gone.
    Stops,
    Reloads,
}

impl Hangup {
    /// `status`, `stat`: the files of this name in `/proc/self`; empty if there is no /proc.
    fn of(status: &str, stat: &str) -> Hangup {
        let ignored =
            status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
        // the program's name, in parentheses, may hold anything. Behind it: state, parent, group, session, terminal
        let terminal = stat.rsplit_once(')').and_then(|(_, behind)| behind.split_whitespace().nth(4));
        match (ignored, terminal) {
            (Some(ignored), _) if ignored & 1 == 1 => Hangup::Ignored,
            (_, Some("0")) => Hangup::Reloads,
            _ => Hangup::Stops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_stops_where_there_is_a_terminal_reloads_where_there_is_none_and_may_be_ignored() {
        let status = |ignored: &str| format!("Name:\tlarder\nSigIgn:\t{ignored}\nSigCgt:\t0000000000000001\n");
        let stat = |terminal: u32| format!("7 (a) 0 0 0 0) S 1 7 7 {terminal} -1 4194304");
        let (none, hangup) = ("0000000000001000", "0000000000001001");
        for (ignored, terminal, means) in [
            (none, 34816, Hangup::Stops),
            (none, 0, Hangup::Reloads),
            (hangup, 34816, Hangup::Ignored),
            (hangup, 0, Hangup::Ignored),
        ] {
            assert_eq!(Hangup::of(&status(ignored), &stat(terminal)), means, "{ignored} {terminal}");
        }
        assert_eq!(Hangup::of("", ""), Hangup::Stops);
    }
}
