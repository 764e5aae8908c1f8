//! Composition. A stub until the lead's stands here: it binds, says so, and waits.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
};

use crate::{
    announce::{Holdings, announce},
    clock::Clock,
    config::{Config, Listen},
};

/// Why Larder cannot run, in one line; exit code 1.
#[derive(Debug)]
pub struct RunError(pub String);

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RunError {}

/// A Larder that runs beside its caller.
pub struct Running {
    pub addr: SocketAddr,
}

impl Running {
    /// Ends it, and waits for that.
    pub fn stop(self) {}
}

/// Starts it; on return it listens.
pub fn start(config: Config, _clock: Clock) -> Result<Running, RunError> {
    let addr = bind(&config.listen)?.local_addr().map_err(|e| RunError(e.to_string()))?;
    Ok(Running { addr })
}

pub fn run(config: Config) -> Result<(), RunError> {
    let listener = bind(&config.listen)?;
    let address = listener.local_addr().map_err(|e| RunError(e.to_string()))?;
    for line in announce(&config, &[address], Holdings::default()) {
        eprintln!("{line}");
    }
    loop {
        std::thread::park();
    }
}

fn bind(listen: &Listen) -> Result<TcpListener, RunError> {
    let Listen { host, port } = listen;
    TcpListener::bind((host.as_str(), *port)).map_err(|error| {
        RunError(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "--port: {port} on {host} is taken; stop what listens there, or choose another, like --port {}",
                    port.wrapping_add(1).max(1024)
                )
            }
            io::ErrorKind::PermissionDenied => {
                format!("--port: this user may not listen on {port}; choose one from 1024 on")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("--host: {host} is no address of this machine; 127.0.0.1 is, and 0.0.0.0 stands for all it has")
            }
            _ => format!("--host, --port: cannot listen on port {port} of {host}: {error}"),
        })
    })
}
