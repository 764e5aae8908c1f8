//! The other reader of chunked messages: the decoder that awc reads the origin's answers with, behind our scan.

use actix_codec::Decoder;
use actix_http::{ServiceConfig, h1::ClientCodec};
use bytes::BytesMut;
use larder::fuzzing::{client_content, origin_end};
use tokio::{runtime::Runtime, task::LocalSet};

thread_local! {
    // a configuration begins a task of its own
    static CONFIG: (Runtime, LocalSet, ServiceConfig) = {
        let (runtime, tasks) = (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), LocalSet::new());
        let config = runtime.block_on(tasks.run_until(async { ServiceConfig::default() }));
        (runtime, tasks, config)
    };
}

/// Content, and where the message ends, if it does; `None`: it is refused.
fn decoded(data: &[u8]) -> Option<(Vec<u8>, Option<usize>)> {
    let mut codec = ClientCodec::new(CONFIG.with(|(_, _, config)| config.clone()));
    let mut input = BytesMut::from(&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..]);
    codec.decode(&mut input).unwrap().unwrap();
    let mut codec = codec.into_payload_codec();
    input.extend_from_slice(data);
    let mut content = Vec::new();
    loop {
        match codec.decode(&mut input).ok()? {
            Some(Some(piece)) => content.extend_from_slice(&piece),
            Some(None) => return Some((content, Some(data.len() - input.len()))),
            None => return Some((content, None)),
        }
    }
}

/// What our scan takes the decoder takes, to the same end; and what the scan refuses as chunks the decoder refuses as well:
/// the scan is stricter in extensions and trailers alone.
pub fn chunks_decoded(data: &[u8]) {
    let theirs = decoded(data);
    match (origin_end(data), &theirs) {
        (Ok(end), theirs) => assert_eq!(theirs.as_ref().map(|(_, end)| *end), Some(end), "one end"),
        (Err("its chunks are malformed" | "its chunk size is no number" | "its chunk size is too large"), theirs) => {
            assert_eq!(*theirs, None, "what is no chunk is none for both");
        }
        (Err("its chunk extension holds a control byte"), theirs) => assert_eq!(*theirs, None),
        (Err(_), _) => {}
    }
    // the client side's own reader is stricter still
    if let Some((content, Some(end))) = client_content(data) {
        assert_eq!(theirs, Some((content, Some(end))), "one content");
        assert_eq!(origin_end(data), Ok(Some(end)));
    }
}
