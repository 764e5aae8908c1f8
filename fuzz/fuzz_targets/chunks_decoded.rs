#![no_main]

#[path = "../../tests/larder/fuzz/decoder.rs"]
mod decoder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoder::chunks_decoded(data));
