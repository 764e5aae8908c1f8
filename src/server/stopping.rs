//! Stopping: the signals that ask for it, and the wait for the requests under way.

use std::{
    io,
    task::Poll,
    time::{Duration, Instant},
};

use actix_server::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// Waits until a signal asks to stop, stops the server, and waits for its end. A second signal ends the process at once.
pub(super) async fn until_stopped(
    server: ServerHandle,
    requests: Requests<impl Fn() -> u64, impl Fn() -> u64>,
    ended: impl Future<Output = ()>,
    signals: &mut [Signal],
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
            () = any(signals) => {}
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

/// Waits for any of these signals.
async fn any(signals: &mut [Signal]) {
    std::future::poll_fn(|task| match signals.iter_mut().any(|signal| signal.poll_recv(task).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await
}

/// Returns the signals that ask Larder to stop. A hangup does not if it is ignored from the start: that is what nohup is for.
pub(super) fn stopping_signals() -> io::Result<Vec<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let hangup = ignored.is_none_or(|ignored| ignored & 1 == 0).then(SignalKind::hangup);
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()].into_iter().chain(hangup);
    kinds.map(signal).collect()
}
