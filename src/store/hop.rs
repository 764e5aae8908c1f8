//! Leaving a worker's thread for work that waits for the disk.

use std::time::Duration;

use super::StoreError;
use crate::blocking::{self, HopError};

/// A disk that does not answer for so long is not waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Leaves the worker's thread for what may block.
pub async fn hop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match blocking::hop(work).await {
        Ok(done) => done,
        Err(HopError::NoThread) => {
            Err(StoreError::Io(std::io::Error::other("the system gives no thread for the disk")))
        }
        Err(HopError::Ended) => Err(StoreError::Closed),
    }
}

/// Does the same, but does not wait for ever: [`StoreError::Busy`] where the disk hangs.
pub async fn patient_hop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, hop(work)).await.unwrap_or(Err(StoreError::Busy))
}
