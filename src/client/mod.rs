//! stub until the client branch is merged
use crate::message::*;
use bytes::Bytes;
use futures_core::Stream;
use std::{net::IpAddr, pin::Pin};
pub struct Presented {
    pub method: Method,
    pub target: String,
    pub http_10: bool,
    pub fields: Fields,
    pub peer: Option<IpAddr>,
    pub body: RequestBody,
    pub connection: Connection,
}
pub struct RequestBody;
impl RequestBody {
    pub fn length(&self) -> Option<u64> {
        None
    }
    pub fn is_empty(&self) -> bool {
        true
    }
    pub fn into_stream(self) -> Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>> {
        todo!()
    }
    pub async fn discard(self, _limit: u64) -> bool {
        true
    }
}
#[derive(Clone)]
pub struct Connection;
impl Connection {
    pub fn send_interim(&self, _status: StatusCode, _fields: &Fields) -> bool {
        false
    }
    pub fn close_after(&self) {}
}
pub struct Reply {
    pub status: StatusCode,
    pub fields: Fields,
    pub body: ReplyBody,
}
pub enum ReplyBody {
    Empty(Option<u64>),
    Bytes(Bytes),
    Stream { length: Option<u64>, pieces: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>> },
}

pub struct Options;
pub fn run<H, F>(
    _l: Vec<std::net::TcpListener>,
    _o: Options,
    _f: impl Fn() -> H + Clone + Send + 'static,
) -> std::io::Result<actix_server::Server>
where
    H: Fn(Presented) -> F + Clone + 'static,
    F: Future<Output = Reply> + 'static,
{
    todo!()
}
pub fn bind(_a: std::net::SocketAddr) -> std::io::Result<std::net::TcpListener> {
    todo!()
}
