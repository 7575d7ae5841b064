//! The page and its data, by HTTP: `/`, `/api/countries`, `/events`.
//!
//! Totals come through a watch channel, from the topics in this process or from the database. The
//! page is one file and loads nothing else.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use futures::Stream;
use kstream::time::Clock;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::database::Database;
use crate::totals::{Countries, Totals};

/// Time between two events on one connection, and between two reads of the database.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("page.html");

/// Nothing may be loaded from elsewhere, and nobody may frame the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// The page's address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// What the page shows, from where, and how current that is.
#[derive(Debug, Clone)]
pub struct Source {
    /// The totals.
    pub totals: watch::Receiver<Arc<Totals>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How far totals may lag behind the arrival of visits.
    pub lag: Duration,
}

/// One update of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Picture {
    #[serde(flatten)]
    countries: Countries,
    unlocated: u64,
    visits_per_second: f64,
}

impl Source {
    fn countries(&self) -> Countries {
        Countries::of(&self.totals.borrow())
    }

    fn picture(&self) -> Picture {
        let countries = self.countries();
        let lag_ms = i64::try_from(self.lag.as_millis()).unwrap_or(i64::MAX);
        Picture {
            unlocated: countries.unlocated(),
            visits_per_second: self.totals.borrow().visits_per_second(self.clock.now_ms(), lag_ms),
            countries,
        }
    }
}

/// Listens on the page's address.
///
/// # Errors
/// It is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Serves these routes until it is dropped.
///
/// # Errors
/// The listener fails for good.
pub async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    axum::serve(listener, routes).await
}

/// The page's routes.
pub fn router(source: Source) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/countries", get(countries))
        .route("/events", get(events))
        .with_state(source)
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)], Html(PAGE))
}

async fn countries(State(source): State<Source>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(source.countries()))
}

async fn events(
    State(source): State<Source>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut ticks = tokio::time::interval(UPDATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first: Option<Picture> = None;
    let updates = futures::stream::unfold((source, ticks, first), async |state| {
        let (source, mut ticks, shown) = state;
        loop {
            ticks.tick().await;
            let picture = source.picture();
            if shown.as_ref() != Some(&picture) {
                let event = event(&picture);
                return Some((Ok(event), (source, ticks, Some(picture))));
            }
        }
    });
    Sse::new(updates).keep_alive(KeepAlive::default())
}

fn event(picture: &Picture) -> Event {
    Event::default().json_data(picture).unwrap_or_else(|error| {
        warn!(%error, "an update of the page was passed over");
        Event::default().comment("passed over")
    })
}

/// Reads the database again and again, for as long as somebody wants its totals. While it is away
/// the last totals stay.
pub async fn poll_database(database: Database, totals: watch::Sender<Arc<Totals>>) {
    let mut ticks = tokio::time::interval(UPDATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    while !totals.is_closed() {
        ticks.tick().await;
        match database.read().await {
            Ok(read) => {
                away = false;
                totals.send_replace(Arc::new(read));
            }
            Err(error) => {
                if !away {
                    warn!(%error, "the page shows the last totals");
                }
                away = true;
            }
        }
    }
}
