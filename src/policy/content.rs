//! The types of content that change all the time.

use http::header::CONTENT_TYPE;

use crate::message::Fields;

/// Types without an end: events, frames of a camera, messages.
const STREAMS: [&str; 3] = ["text/event-stream", "multipart/x-mixed-replace", "application/x-ndjson"];
const GRPC: &str = "application/grpc";

/// The types of playlists: HLS, under its registered name and its usual ones, and DASH.
const PLAYLISTS: [&str; 5] = [
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "application/dash+xml",
];

/// Returns true if the content is of a type that has no end.
pub(super) fn is_stream(response: &Fields) -> bool {
    let begins_like_grpc =
        |kind: &[u8]| kind.get(..GRPC.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(GRPC.as_bytes()));
    kinds(response).any(|kind| begins_like_grpc(kind) || is_one_of(kind, &STREAMS))
}

/// Returns true if the content is a playlist. That of a live broadcast changes every few seconds.
pub(super) fn is_playlist(response: &Fields) -> bool {
    kinds(response).any(|kind| is_one_of(kind, &PLAYLISTS))
}

/// Returns the types in Content-Type, without their parameters.
fn kinds(response: &Fields) -> impl Iterator<Item = &[u8]> {
    let values = response.values(&CONTENT_TYPE);
    values.map(|value| value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
}

fn is_one_of(kind: &[u8], types: &[&str]) -> bool {
    types.iter().any(|known| kind.eq_ignore_ascii_case(known.as_bytes()))
}
