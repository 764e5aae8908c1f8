//! One question to the origin for many requests. The client that asked it first polls it.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures_core::future::LocalBoxFuture;
use tokio::task::spawn_local;

use super::{
    ask::ask,
    collapse::Followers,
    fetched::Fetched,
    landing::{Flying, Landing},
    question::Question,
    site::Site,
};
use crate::client::Hold;

/// A question to the origin for all followers, and for the client that polls it. If that client leaves, the question goes
/// on in a task.
pub struct Led(Option<Leading>);

struct Leading {
    asking: LocalBoxFuture<'static, Fetched>,
    followers: Followers<Landing>,
    site: Rc<Site>,
    /// Followers may be on other workers.
    _held: Hold,
}

impl Led {
    pub fn begin(question: Question, lead: Flying) -> Led {
        let (followers, site, held) = (lead.followers(), question.asked.site.clone(), question.asked.worker.hold());
        let asking = Box::pin(ask(question, Some(lead)));
        Led(Some(Leading { asking, followers, site, _held: held }))
    }
}

impl Future for Led {
    type Output = Fetched;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fetched> {
        // taken, so that a panic ends it
        let Some(mut leading) = self.0.take() else { return Poll::Pending };
        let polled = leading.asking.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(leading);
        }
        polled
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        if let Some(leading) = self.0.take() {
            spawn_local(leading.go_on());
        }
    }
}

impl Leading {
    /// Goes on without the client. If all followers leave before the answer comes, the question is given up. A few such
    /// questions go on, because the next request may use the answer.
    async fn go_on(self) {
        let Leading { asking, followers, site, _held } = self;
        let deserted = async {
            followers.gone().await;
            if let Some(_place) = site.origin.unattended() {
                std::future::pending().await
            }
        };
        tokio::select! {
            _ = asking => {}
            () = deserted => log::debug!("a question to the origin was given up: nobody waits for its answer"),
        }
    }
}
