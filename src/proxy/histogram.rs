//! Counts times in a fixed number of buckets, from which the median and the 95th percentile can be read.

use std::time::Duration;

use super::count::Count;

/// The number of buckets: four for each doubling, from a microsecond to 19 hours.
const BUCKETS: usize = 4 * 36;

/// The times that one worker has measured.
pub struct Histogram([Count; BUCKETS]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([const { Count::new() }; BUCKETS])
    }
}

impl Histogram {
    /// Adds a time. It is called on one thread only.
    pub fn add(&self, time: Duration) {
        self.0[bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))].add(1);
    }
}

/// The times of all workers.
pub struct Times([u64; BUCKETS]);

impl Default for Times {
    fn default() -> Times {
        Times([0; BUCKETS])
    }
}

impl Times {
    pub fn add_all(&mut self, of_worker: &Histogram) {
        for (total, count) in self.0.iter_mut().zip(&of_worker.0) {
            *total += count.get();
        }
    }

    /// Returns the counts of all buckets.
    pub fn buckets(&self) -> &[u64] {
        &self.0
    }

    /// Adds the counts that `buckets` returned, maybe of another process.
    pub fn add_buckets(&mut self, buckets: &[u64]) {
        for (total, count) in self.0.iter_mut().zip(buckets) {
            *total = total.saturating_add(*count);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the time that a `part` (0 to 1) of all times do not exceed, to within an eighth. Returns `None` if there
    /// is no time.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let bucket = self.0.iter().position(|in_bucket| {
            seen = in_bucket.saturating_add(seen);
            seen >= rank
        })?;
        Some(Duration::from_micros(middle(bucket)))
    }
}

/// Returns the bucket of a number of microseconds.
fn bucket(us: u64) -> usize {
    // below four each number has a bucket of its own
    if us < 4 {
        return us as usize;
    }
    let exponent = us.ilog2() as usize;
    let quarter = (us >> (exponent - 2)) as usize & 3;
    (4 * (exponent - 1) + quarter).min(BUCKETS - 1)
}

/// Returns the middle of a bucket, in microseconds.
fn middle(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (exponent, quarter) = (bucket / 4 + 1, (bucket % 4) as u64);
    let width = 1 << (exponent - 2);
    (4 + quarter) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_bucket_is_an_eighth_away_from_its_times_at_most() {
        for us in (0..10_000).chain((0..36).flat_map(|n| [1 << n, (1 << n) + (1 << n) / 3, (2 << n) - 1])) {
            let middle = middle(bucket(us));
            assert_eq!(bucket(middle), bucket(us), "{us}");
            assert!(middle.abs_diff(us) * 8 <= us.max(8), "{us} {middle}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn median_and_95th_percentile_are_read_from_the_times_of_all_workers() {
        let (one, other) = (Histogram::default(), Histogram::default());
        let mut times = Times::default();
        assert_eq!((times.count(), times.quantile(0.5)), (0, None));
        (0..94).for_each(|_| one.add(Duration::from_millis(200)));
        (0..6).for_each(|_| other.add(Duration::from_secs(2)));
        times.add_all(&one);
        times.add_all(&other);
        let about = |part, expected: u64| {
            let found = times.quantile(part).unwrap().as_millis() as u64;
            assert!(found.abs_diff(expected) * 8 <= expected, "{found} {expected}");
        };
        assert_eq!(times.count(), 100);
        about(0.5, 200);
        about(0.94, 200);
        about(0.95, 2000);
        about(1.0, 2000);
    }
}
