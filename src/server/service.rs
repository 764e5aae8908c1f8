//! Tells the service manager how far the start and a reload are (sd_notify(3), `Type=notify-reload`). Without one it does
//! nothing.

use sd_notify::NotifyState;

/// Tells that requests are answered, with the settings that are in force now.
pub(super) fn notify_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that a reload has begun.
pub(super) fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::debug!("the service manager does not learn of the reload: {error}"),
    }
}

/// Tells that the stop has begun.
pub(super) fn notify_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("the service manager cannot be reached: {error}");
    }
}
