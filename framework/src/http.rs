//! The small HTTP server of an application: metrics, health, topology.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus' text format |
//! | `/health/live` | 200, or 503 when a thread has died or is stuck, or the application has ended by an error |
//! | `/health/ready` | 200 when every assigned task is running, else 503; how far restores are |
//! | `/topology` | the description as text, or as JSON by `Accept` or `?format=json` |
//!
//! Handlers read what others keep up to date; they never wait for a stream thread.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::metrics::{Metrics, RestoreProgress};

#[cfg(test)]
mod tests;

/// What the server tells about the application.
pub trait StatusSource: Debug + Send + Sync + 'static {
    /// Healthy unless a thread has died or is stuck, or the application has ended by an error.
    fn live(&self) -> Health;
    /// Healthy when every assigned task is running.
    fn ready(&self) -> Health;
    /// The topology's description, as Kafka Streams prints it.
    fn topology_text(&self) -> String;
    /// The same as data.
    fn topology_json(&self) -> serde_json::Value;
}

/// The answer to a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether all is well.
    pub healthy: bool,
    /// The states that decided, by the name of the thread or task.
    pub states: BTreeMap<String, String>,
    /// How far the stores are that are being brought up to date; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restoring: Vec<RestoreProgress>,
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = if self.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

#[derive(Debug, Clone)]
struct Pages {
    metrics: Metrics,
    status: Arc<dyn StatusSource>,
}

/// The routes of this module's table. An application merges its own into them.
pub fn router(metrics: Metrics, status: Arc<dyn StatusSource>) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/health/live", get(async |State(pages): State<Pages>| pages.status.live()))
        .route("/health/ready", get(async |State(pages): State<Pages>| pages.status.ready()))
        .route("/topology", get(topology_page))
        .with_state(Pages { metrics, status })
}

async fn metrics_page(State(pages): State<Pages>) -> Response {
    match pages.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Debug, Deserialize)]
struct TopologyQuery {
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Text,
    Json,
}

async fn topology_page(
    State(pages): State<Pages>,
    Query(query): Query<TopologyQuery>,
    headers: HeaderMap,
) -> Response {
    match query.format.unwrap_or_else(|| accepted_format(&headers)) {
        Format::Text => pages.status.topology_text().into_response(),
        Format::Json => Json(pages.status.topology_json()).into_response(),
    }
}

/// JSON only for who names it: browsers and curl, which take anything, get text.
fn accepted_format(headers: &HeaderMap) -> Format {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let names_json = ranges.flat_map(|ranges| ranges.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or(range).trim();
        media_type.eq_ignore_ascii_case("application/json")
    });
    if names_json { Format::Json } else { Format::Text }
}

/// Why the server could not start or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Another program, or another copy of this one, listens there: choose another address.
    #[error("address {addr} is in use by another program: choose another, or port 0 for any")]
    AddressInUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// Listening was refused.
    #[error("listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The server ended by itself.
    #[error("the HTTP server on {addr} has failed")]
    Failed {
        /// Where it listened.
        addr: SocketAddr,
        /// How it ended.
        #[source]
        source: io::Error,
    },
}

/// A running server. Dropping it lets open requests finish, without waiting for them.
#[derive(Debug)]
pub struct HttpServer {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

/// Listens on `addr` and serves `router` on `runtime`. The address is bound when this returns.
pub fn serve(addr: SocketAddr, router: Router, runtime: &Handle) -> Result<HttpServer, HttpError> {
    let refused = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            HttpError::AddressInUse { addr }
        } else {
            HttpError::Listen { addr, source }
        }
    };
    let listener = TcpListener::bind(addr).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(refused)?
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // A dropped sender asks for the same.
        drop(stopped.await);
    });
    let server = runtime.spawn(server.into_future());
    Ok(HttpServer { addr: bound, stop, server })
}

impl HttpServer {
    /// Where it listens: with the port that was chosen for port 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections and waits for open requests to finish, for `patience` at most: the
    /// runtime's end cuts off those that run longer.
    pub async fn shutdown(mut self, patience: Duration) -> Result<(), HttpError> {
        let addr = self.addr;
        drop(self.stop);
        match tokio::time::timeout(patience, &mut self.server).await {
            Ok(Ok(ended)) => ended.map_err(|source| HttpError::Failed { addr, source }),
            Ok(Err(panic)) => Err(HttpError::Failed { addr, source: io::Error::other(panic) }),
            Err(_elapsed) => {
                self.server.abort();
                Ok(())
            }
        }
    }
}
