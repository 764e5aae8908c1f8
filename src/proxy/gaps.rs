//! Fetches the bytes that stored parts lack, and reads an answer from stored parts and from those bytes (RFC 9111 §3.4).

use std::{io, sync::Arc};

use http::header::AUTHORIZATION;

use super::{
    ask::ask,
    collapse::Join,
    context::Asked,
    fetched::Fetched,
    fill::FillReader,
    landing::{Audience, Filling, FlightKey, Landing},
    pieces,
    putting::gap_key,
    question::{ClientSide, Content, Question},
};
use crate::{
    client::Piece,
    policy::{
        parts::{self, Extent},
        reuse::Mode,
    },
    store::{Slot, StoredBody, StoredResponse},
};

/// Returns true if what another request fetches closes this gap.
pub fn is_closed_by(stored: &StoredResponse, gap: Extent, filling: &Filling) -> bool {
    filling.audience == Audience::All && parts::closes(&stored.head, gap, &filling.head)
}

/// Bytes of an answer.
enum Part {
    Stored(StoredBody),
    Fill(FillReader),
}

/// The bytes of an answer that is put together from stored parts. The gaps between them are fetched when the client
/// comes to them.
pub struct Composite {
    asked: Asked,
    /// The stored response that has the gaps, if there are some.
    stored: Option<Arc<StoredResponse>>,
    /// The offset of the answer's first byte in the representation.
    first: u64,
    pieces: Vec<(Extent, Part)>,
    /// The gaps that are not being fetched yet.
    gaps: Vec<Extent>,
}

impl Composite {
    /// Returns the bytes of stored parts that have all that is asked for.
    pub fn of_stored(asked: &Asked, stored: &StoredResponse) -> Composite {
        let parts = stored.parts.iter().flat_map(|parts| parts.all()).map(|part| &**part);
        let own = stored.parts.is_none().then_some(stored);
        let pieces: Vec<_> = (own.into_iter().chain(parts))
            .filter_map(|stored| {
                let part = stored.head.part?;
                Some(((part.first, part.last), Part::Stored(stored.body.clone())))
            })
            .collect();
        let first = pieces.iter().map(|((first, _), _)| *first).min().unwrap_or(0);
        Composite { asked: asked.clone(), stored: None, first, pieces, gaps: Vec::new() }
    }

    /// Returns the same, with the gaps. `filling` closes the first one. `first` is the offset of the answer's first byte.
    pub fn completing(
        asked: &Asked,
        stored: &Arc<StoredResponse>,
        filling: &Filling,
        reader: FillReader,
        first: u64,
    ) -> Composite {
        let mut composite = Composite { first, stored: Some(stored.clone()), ..Composite::of_stored(asked, stored) };
        composite.gaps = parts::gaps(&asked.request, &stored.head, asked.policy());
        if let Some(part) = filling.head.part {
            composite.gaps.retain(|gap| !(part.first <= gap.0 && gap.1 <= part.last));
            composite.pieces.push(((part.first, part.last), Part::Fill(reader)));
        }
        composite
    }

    /// Returns bytes of the answer from this offset on, at most `most`. An error: they cannot be had.
    pub async fn read(&mut self, from: u64, most: u64) -> io::Result<Piece> {
        let at = self.first + from;
        let has = |(first, last): &Extent| *first <= at && at <= *last;
        loop {
            if let Some(((first, last), piece)) = self.pieces.iter_mut().find(|(extent, _)| has(extent)) {
                let (offset, most) = (at - *first, most.min(*last - at + 1));
                return match piece {
                    Part::Stored(body) => pieces::next(body, offset, most).await,
                    Part::Fill(reader) => {
                        reader.skip_to(offset);
                        match reader.next(most).await {
                            Some(Ok(piece)) => Ok(piece),
                            _ => Err(io::Error::other("the origin broke the response off")),
                        }
                    }
                };
            }
            let gap = self.gaps.iter().position(has).ok_or(io::ErrorKind::UnexpectedEof)?;
            let gap = self.gaps.swap_remove(gap);
            let stored = self.stored.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
            let closed = Box::pin(close(&self.asked, stored, gap)).await;
            let closed = closed.ok_or_else(|| io::Error::other("the origin did not send the missing bytes"))?;
            self.pieces.push(closed);
        }
    }
}

/// Fetches a gap, together with other requests that lack it. Returns the bytes that it got. Returns `None` if the origin
/// sent anything else: the representation may have changed.
async fn close(asked: &Asked, stored: &Arc<StoredResponse>, gap: Extent) -> Option<(Extent, Part)> {
    let flights = &asked.cx.shared.flights;
    let flight = FlightKey { primary: asked.primary, variant: gap_key(stored, gap) };
    let mut looked = flights.now();
    if let Some(there) = stored_since(asked, stored, gap).await {
        return Some(there);
    }
    let mut lead = None;
    while !asked.request.fields.contains(&AUTHORIZATION) {
        match flights.join(&flight) {
            Join::Lead(mine) if mine.is_late(looked) => {
                looked = flights.now();
                if let Some(there) = stored_since(asked, stored, gap).await {
                    return Some(there);
                }
                lead = Some(mine);
                break;
            }
            Join::Lead(mine) => {
                lead = Some(mine);
                break;
            }
            Join::Follow(follow) => match follow.landed().await {
                // the leader gave up
                None => {}
                Some(Landing::Filling(filling)) if is_closed_by(stored, gap, &filling) => {
                    match FillReader::of(&filling.fill) {
                        Some(reader) => return piece(&filling, reader),
                        None => break,
                    }
                }
                Some(_) => break,
            },
        }
    }
    let question = Question {
        asked: asked.clone(),
        content: Content::None,
        client: ClientSide::default(),
        stored: Some(stored.clone()),
        begun: None,
        mode: Mode::Complete,
        gap: Some(gap),
        flight,
        looked,
        is_unkeyed: false,
    };
    match ask(question, lead).await {
        Fetched::Filling { filling, reader, completes: Some(_), .. } => piece(&filling, reader),
        _ => None,
    }
}

/// Returns the part that another request has fetched and stored since this one looked.
async fn stored_since(asked: &Asked, stored: &StoredResponse, gap: Extent) -> Option<(Extent, Part)> {
    let Some(Slot::Response(there)) = asked.cx.store.lookup(&gap_key(stored, gap)).await else { return None };
    let part = there.head.part.filter(|_| parts::closes(&stored.head, gap, &there.head))?;
    Some(((part.first, part.last), Part::Stored(there.body.clone())))
}

fn piece(filling: &Filling, reader: FillReader) -> Option<(Extent, Part)> {
    filling.head.part.map(|part| ((part.first, part.last), Part::Fill(reader)))
}
