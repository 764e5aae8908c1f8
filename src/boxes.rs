//! Boxes for futures of one kind, used again. To allocate one of more than a kilobyte costs some thousand instructions.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// The most boxes that are kept.
const KEPT: usize = 16;

/// The boxes of one worker that hold no future.
pub struct Boxes<F>(Rc<RefCell<Vec<Place<F>>>>);

type Place<F> = Pin<Box<Option<F>>>;

/// A future in a box. When the future is dropped, the box is used again. A future that was ready once is pending for ever.
pub struct Boxed<F> {
    /// `None` only while it is dropped.
    place: Option<Place<F>>,
    boxes: Boxes<F>,
}

impl<F> Default for Boxes<F> {
    fn default() -> Boxes<F> {
        Boxes(Rc::default())
    }
}

impl<F> Boxes<F> {
    pub fn pin(&self, future: F) -> Boxed<F> {
        let spare = self.0.borrow_mut().pop();
        let mut place = spare.unwrap_or_else(|| Box::pin(None));
        place.set(Some(future));
        Boxed { place: Some(place), boxes: Boxes(self.0.clone()) }
    }
}

impl<F: Future> Future for Boxed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(place) = &mut self.place else { return Poll::Pending };
        let Some(future) = place.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = future.poll(cx);
        if polled.is_ready() {
            place.set(None);
        }
        polled
    }
}

impl<F> Drop for Boxed<F> {
    fn drop(&mut self) {
        let Some(mut place) = self.place.take() else { return };
        place.set(None);
        let mut boxes = self.boxes.0.borrow_mut();
        if boxes.len() < KEPT {
            boxes.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::{FutureExt, future::Either};

    use super::*;

    #[test]
    fn the_box_of_a_future_that_was_dropped_is_used_again() {
        let boxes = Boxes::default();
        let mut first = boxes.pin(Either::Left(ready(1)));
        assert_eq!((&mut first).now_or_never(), Some(1));
        assert_eq!((&mut first).now_or_never(), None);
        let at = |boxed: &Boxed<_>| boxed.place.as_deref().map(|place| place as *const Option<_>);
        let place = at(&first);
        let beside = boxes.pin(Either::Right(pending()));
        assert_ne!(at(&beside), place);
        drop(first);
        assert_eq!(at(&boxes.pin(Either::Left(ready(2)))), place);
        drop(beside);
        assert_eq!(boxes.0.borrow().len(), 2);
    }

    #[test]
    fn what_a_future_holds_is_dropped_with_it() {
        let held = Rc::new(());
        let (boxes, in_future) = (Boxes::default(), held.clone());
        let boxed = boxes.pin(async move {
            pending::<()>().await;
            drop(in_future);
        });
        drop(boxed);
        assert_eq!((Rc::strong_count(&held), boxes.0.borrow().len()), (1, 1));
    }

    #[test]
    fn no_more_boxes_are_kept_than_a_few() {
        let boxes = Boxes::default();
        drop((0..2 * KEPT).map(|_| boxes.pin(ready(()))).collect::<Vec<_>>());
        assert_eq!(boxes.0.borrow().len(), KEPT);
    }
}
