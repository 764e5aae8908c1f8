//! awc's side of a connection. awc asks its connector for a stream, writes a request head and reads a response on it; the
//! connector gives it the stream that was made for this one exchange, and the connection goes back to the pool when the
//! exchange has ended.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, Ready, ready},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::Uri;
use actix_rt::net::{ActixStream, Ready as Readiness};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection as Connected};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{framing::Connection, owner::Owner, pool::Pool};

tokio::task_local! {
    static HANDED: RefCell<Option<OriginStream>>;
}

/// One exchange on a connection.
pub(super) struct OriginStream {
    /// `None` once the exchange has ended.
    connection: Option<Box<Connection>>,
    pool: Rc<Pool>,
    owner: Option<Rc<Owner>>,
}

impl OriginStream {
    pub(super) fn new(connection: Box<Connection>, pool: Rc<Pool>, owner: Option<Rc<Owner>>) -> OriginStream {
        OriginStream { connection: Some(connection), pool, owner }
    }

    /// Runs awc's future, whose connector finds this stream.
    pub(super) fn handed_to<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        HANDED.scope(RefCell::new(Some(self)), future)
    }
}

/// The service that awc asks for a connection: its own pool never has one.
#[derive(Clone)]
pub(super) struct Handing;

impl Service<ConnectInfo<Uri>> for Handing {
    type Response = Connected<Uri, OriginStream>;
    type Error = ConnectError;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, asked: ConnectInfo<Uri>) -> Self::Future {
        let stream = HANDED.try_with(|handed| handed.borrow_mut().take()).ok().flatten();
        let connected = stream.map(|stream| Connected::new(asked.request().clone(), stream));
        ready(connected.ok_or(ConnectError::Unresolved))
    }
}

impl fmt::Debug for OriginStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginStream")
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let polled = connection.poll_read(cx, buf);
        let this = &mut *self;
        if let Some(connection) = this.connection.take_if(|connection| connection.has_ended()) {
            if connection.unasked {
                this.pool.note_unasked();
            }
            if connection.is_open() {
                this.pool.keep(connection, this.owner.take());
            }
        }
        polled
    }
}

impl AsyncWrite for OriginStream {
    /// awc writes one thing only, its whole head at once; what the exchange sends goes out with the reads that follow.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection = None;
        Poll::Ready(Ok(()))
    }
}

/// Asked for by the bounds of `awc::Connector::connector`; awc 3.11 calls neither.
impl ActixStream for OriginStream {
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Readiness>> {
        Poll::Ready(Ok(Readiness::READABLE))
    }
    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Readiness>> {
        Poll::Ready(Ok(Readiness::WRITABLE))
    }
}
