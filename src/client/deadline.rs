//! Deadlines of the client side. One coarse tick for each worker looks at all of its connections, so that a request costs
//! no timer. A deadline is kept to within two ticks.

use std::{
    cell::{Cell, LazyCell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_server::GracefulShutdownSignal;

use super::{
    Options,
    connection::{Handle, Phase, Shared, State},
    output::Stall,
    refusal::{EndedBy, Refusal},
    unsent::Queues,
    worker::Worker,
};
use crate::{clock, message::StatusCode};

/// The connections of one worker and one listener, and the tick that looks at them.
pub(super) struct Deadlines {
    worker: Rc<Worker>,
    started: Instant,
    /// Milliseconds from `started` to the last tick.
    ticked: Cell<u64>,
    ticking: Cell<bool>,
    connections: RefCell<Vec<Handle>>,
}

impl Deadlines {
    pub fn new(worker: Rc<Worker>) -> Rc<Deadlines> {
        Rc::new(Deadlines {
            worker,
            started: clock::instant(),
            ticked: Cell::new(0),
            ticking: Cell::new(false),
            connections: RefCell::default(),
        })
    }

    /// Starts the tick, unless it runs already. To be called on the worker's thread.
    pub fn start(self: &Rc<Deadlines>, stop: &GracefulShutdownSignal) {
        if !self.ticking.replace(true) {
            self.elapse();
            actix_rt::spawn(self.clone().tick());
            actix_rt::spawn(self.clone().stop_on(stop.clone()));
        }
    }

    /// Watches a connection from now on.
    pub fn watch(&self, connection: &Shared) {
        self.connections.borrow_mut().push(Rc::downgrade(connection));
    }

    fn elapse(&self) {
        let run = clock::instant().duration_since(self.started).as_millis();
        let run = u64::try_from(run).unwrap_or(u64::MAX);
        let elapsed = run.saturating_sub(self.ticked.replace(run));
        self.worker.advance(counted(elapsed, period(&self.worker.options)));
    }

    async fn tick(self: Rc<Deadlines>) {
        let mut interval = tokio::time::interval(period(&self.worker.options));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let before = self.worker.now();
            self.elapse();
            let now = self.worker.now();
            // read once for all connections that need it
            let queues: LazyCell<Queues> = LazyCell::new(Queues::read);
            self.each(|state| {
                look_at_stall(state, now, &queues);
                state.settle();
                if let Some(end) = overdue(state, now, now - before) {
                    expire(state, end);
                } else if state.was_reset() {
                    state.abort();
                }
            });
        }
    }

    async fn stop_on(self: Rc<Deadlines>, stop: GracefulShutdownSignal) {
        stop.notified().await;
        self.worker.stop();
        self.each(|state| match state.phase {
            Phase::Lingering => state.stop_lingering(),
            _ => state.wake(),
        });
        tokio::time::sleep(self.worker.options.shutdown_timeout).await;
        self.each(|state| state.give_up(EndedBy::Stop));
    }

    fn each(&self, mut look: impl FnMut(&mut State)) {
        self.connections.borrow_mut().retain(|connection| match connection.upgrade() {
            Some(connection) => {
                look(&mut connection.borrow_mut());
                true
            }
            None => false,
        });
    }
}

/// Returns the time between two ticks: an eighth of the shortest deadline, between 5 ms and a second.
fn period(options: &Options) -> Duration {
    let shortest = [
        options.head_timeout,
        options.keep_alive,
        options.body_timeout,
        options.write_timeout,
        options.drain_timeout,
        options.min_rate_grace,
    ];
    let shortest = shortest.into_iter().min().unwrap_or_default();
    (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// Returns how many of the milliseconds between two ticks count: two periods at most. If a tick comes later than that,
/// the worker was busy or stopped and may not have read what its clients sent in time: that must not make them late.
fn counted(elapsed: u64, period: Duration) -> u64 {
    elapsed.min(u64::try_from(2 * period.as_millis()).unwrap_or(u64::MAX))
}

/// Looks, when half of the time for a stalled client is up and again at its end, whether the client has taken bytes from the
/// kernel meanwhile. If it has, its time begins anew.
fn look_at_stall(state: &mut State, now: u64, queues: &LazyCell<Queues>) {
    let limit = state.worker.options.write_timeout.as_millis();
    let Some(stall) = state.output.stalled else { return };
    let due = if stall.unsent.is_none() { limit / 2 } else { limit };
    if u128::from(now.saturating_sub(stall.since)) < due {
        return;
    }
    let Some(unsent) = queues.of(&state.io) else { return };
    let since = match stall.unsent {
        Some(before) if unsent < before => now,
        _ => stall.since,
    };
    state.output.stalled = Some(Stall { since, unsent: Some(unsent) });
}

/// The deadline that a connection has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overdue {
    /// The rest of a head did not come.
    Head,
    /// No request came.
    Idle,
    Body,
    Write,
    Drain,
    Linger,
}

/// Returns the deadline that the connection has missed, if any. `elapsed`: milliseconds since the last look.
fn overdue(state: &mut State, now: u64, elapsed: u64) -> Option<Overdue> {
    let options = &state.worker.options;
    let over = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) >= limit.as_millis();
    if state.output.stalled.is_some_and(|stall| over(stall.since, options.write_timeout)) {
        return Some(Overdue::Write);
    }
    match state.phase {
        // it is being shut down already
        Phase::Head if state.closed => None,
        Phase::Head if !state.input.is_empty() => over(state.since, options.head_timeout).then_some(Overdue::Head),
        Phase::Head => {
            let limit = if state.exchange == 0 { options.head_timeout } else { options.keep_alive };
            over(state.since, limit).then_some(Overdue::Idle)
        }
        Phase::Draining => over(state.since, options.drain_timeout).then_some(Overdue::Drain),
        Phase::Lingering => over(state.since, options.drain_timeout).then_some(Overdue::Linger),
        Phase::Flushing => None,
        Phase::Handling | Phase::Answering { .. } => state.body.is_late(now, elapsed, options).then_some(Overdue::Body),
    }
}

fn expire(state: &mut State, end: Overdue) {
    let late = |detail| Refusal { status: StatusCode::REQUEST_TIMEOUT, detail };
    let options = state.worker.options.clone();
    match end {
        Overdue::Head => {
            options.counters.head_timeouts.add();
            state.refuse(late("The request's head did not end in time."));
        }
        Overdue::Idle => {
            state.closed = true;
            state.wake();
        }
        Overdue::Body => {
            options.counters.body_timeouts.add();
            state.refuse(late("The request's body did not come in time."));
        }
        Overdue::Write => {
            options.counters.write_timeouts.add();
            state.give_up(EndedBy::WriteTimeout);
        }
        Overdue::Drain => state.close(),
        Overdue::Linger => state.stop_lingering(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_is_late_because_a_tick_was() {
        let options = Options { body_timeout: Duration::from_secs(2), ..Options::default() };
        let period = period(&options);
        assert_eq!(counted(250, period), 250, "a tick in time counts whole");
        // the machine was too busy to tick for longer than the deadline
        assert!(u128::from(counted(2500, period)) <= options.body_timeout.as_millis() / 4);
    }
}
