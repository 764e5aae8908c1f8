//! Bytes that an origin sends though nobody asked for them: behind a response, or between two requests. On a connection that
//! is kept they would be the answer to somebody else's request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// How long the connections of an origin that was caught are not kept.
const CAUGHT: Duration = Duration::from_secs(600);

/// Returns true if these bytes would be read as a message, or as a part of one, by whoever asks next. An empty line is none,
/// and neither is the 408 by which a server says that it closes an idle connection (RFC 9110 §15.5.9).
pub(super) fn is_unasked(bytes: &[u8]) -> bool {
    let goodbye = [b"HTTP/1.0 408".as_slice(), b"HTTP/1.1 408"];
    let said = bytes.trim_ascii_start();
    !said.is_empty() && !goodbye.iter().any(|start| said.starts_with(start))
}

/// What all workers know about one origin's habits.
pub(super) struct Unasked {
    began: Instant,
    /// When it was caught last, in milliseconds since `began`, and 1 more; 0: never.
    caught: AtomicU64,
}

impl Default for Unasked {
    fn default() -> Unasked {
        Unasked { began: Instant::now(), caught: AtomicU64::new(0) }
    }
}

impl Unasked {
    /// Notes that the origin has sent such bytes. Warns of it the first time.
    pub(super) fn note(&self, now: Instant) {
        if self.caught.swap(1 + self.millis(now), Ordering::Relaxed) == 0 {
            log::warn!(
                "the origin sends bytes that nobody asked for (more than its Content-Length says, or a body to HEAD, 204 or \
                 304); for {} minutes after such bytes its connections are not kept",
                CAUGHT.as_secs() / 60
            );
        }
    }

    /// Returns true if its connections may be kept.
    pub(super) fn may_keep(&self) -> bool {
        self.caught.load(Ordering::Relaxed) == 0 || self.may_keep_at(Instant::now())
    }

    fn may_keep_at(&self, now: Instant) -> bool {
        let caught = self.caught.load(Ordering::Relaxed);
        caught == 0 || self.millis(now) >= caught - 1 + CAUGHT.as_millis() as u64
    }

    fn millis(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_an_empty_line_and_a_408_are_no_message() {
        for bytes in ["", "\r\n", "\n", "\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n", "\r\nHTTP/1.0 408 X\r\n"] {
            assert!(!is_unasked(bytes.as_bytes()), "{bytes:?}");
        }
        for bytes in
            ["x", "\r\nx", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 409 Conflict", "HTTP/1.1 400 Bad Request\r\n", "\0"]
        {
            assert!(is_unasked(bytes.as_bytes()), "{bytes:?}");
        }
    }

    #[test]
    fn its_connections_are_kept_again_after_ten_minutes() {
        let (unasked, now) = (Unasked::default(), Instant::now());
        assert!(unasked.may_keep());
        unasked.note(now);
        assert!(!unasked.may_keep() && !unasked.may_keep_at(now + CAUGHT - Duration::from_millis(1)));
        assert!(unasked.may_keep_at(now + CAUGHT));
        unasked.note(now);
        assert!(!unasked.may_keep());
    }
}
