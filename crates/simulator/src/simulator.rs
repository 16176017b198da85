//! Starting an upstream on a socket, and stopping it.

use std::future::IntoFuture;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::connection::{Listener, Peer};
use crate::handle::Handle;
use crate::server::router;
use crate::settings::Settings;
use crate::state::Shared;

/// A running upstream. It stops when it is dropped; all of [`Handle`] can be used on it.
#[derive(Debug)]
pub struct Simulator {
    handle: Handle,
    address: SocketAddr,
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::start_on(listener, settings)
    }

    /// Starts on a socket that is already bound. Must be called inside a runtime.
    pub fn start_on(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        if let Some(contradiction) = settings.contradiction() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, contradiction));
        }
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(settings));
        let handle = Handle { shared: Arc::clone(&shared) };
        let listener = Listener::new(listener, shared.stopped.clone());
        let service = router(handle.clone()).into_make_service_with_connect_info::<Peer>();
        let stopped = shared.stopped.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                _ = axum::serve(listener, service).into_future() => {}
            }
        });
        Ok(Self { handle, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for callers known by their own address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for callers that are to be taken for this address.
    pub fn url_as(&self, caller: IpAddr) -> String {
        format!("http://{}/as/{caller}", self.address)
    }

    /// A way to this simulator that can be given to other tasks; it does not keep it running.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Closes the port, cuts all connections and gives up all calls. The journal can still be read.
    pub async fn stop(&self) {
        let Shared { stopped, tasks, .. } = &*self.handle.shared;
        stopped.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

impl Deref for Simulator {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.handle.shared.stopped.cancel();
    }
}
