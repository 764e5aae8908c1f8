//! Bodies that were received whole and are still to be stored: closing waits for them.

use std::sync::Arc;

use tokio::sync::watch;

/// How many whole bodies are still to be finished.
#[derive(Clone, Default)]
pub struct Finishing(Arc<watch::Sender<usize>>);

/// One of them.
pub struct Counted(Finishing);

impl Finishing {
    pub fn count(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Waits until there is none.
    pub async fn ended(&self) {
        // an error: nobody is left who could have one
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
