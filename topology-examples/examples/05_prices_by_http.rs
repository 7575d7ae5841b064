//! Orders with prices from an HTTP service: calls that are not waited for, retries, and letters for what fails.
//!
//! `cargo run --release --example 05_prices_by_http`
//!
//! The service runs in this program, on a port of its own. The client is hyper's, which axum brings along anyway;
//! any asynchronous client does.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kstream::{
    AsyncCalls, KStream, LogAndContinue, StreamsBuilder, StreamsConfig, Topology, TopologyErrors,
};
use kstream_test_utils::TopologyTestDriver;
use tokio::runtime::Runtime;

/// Why there is no price.
#[derive(Debug, thiserror::Error)]
enum PriceError {
    #[error("there is no {0}")]
    Unknown(String),
    #[error("the price service is busy: {0}")]
    Busy(StatusCode),
    #[error("the price service does not answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
}

impl PriceError {
    /// What does not exist now does not exist a moment later.
    fn is_worth_another_try(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// The client: cloned for each call, its connections are shared.
#[derive(Clone)]
struct Prices {
    http: Client<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
}

impl Prices {
    fn at(address: SocketAddr) -> Self {
        Self { http: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    /// The price of a product in cents.
    async fn of(&self, product: &str) -> Result<i64, PriceError> {
        let unanswered = |error: Box<dyn Error + Send + Sync>| PriceError::Unanswered(error);
        let uri: Result<Uri, _> = format!("http://{}/prices/{product}", self.address).parse();
        let uri = uri.map_err(|error| unanswered(error.into()))?;
        let response = self.http.get(uri).await.map_err(|error| unanswered(error.into()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(PriceError::Unknown(product.to_owned())),
            status => return Err(PriceError::Busy(status)),
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| unanswered(error.into()))?.to_bytes();
        let price = String::from_utf8_lossy(&body).parse();
        price.map_err(|error: std::num::ParseIntError| unanswered(error.into()))
    }
}

/// Topic `orders` (table, product) → topic `bills` (table, cents so far).
fn topology(prices: Prices) -> Result<Topology, TopologyErrors> {
    let calls = AsyncCalls::named("price")
        // For each task; more would be too much for the service.
        .with_max_in_flight(20)
        // A call ends within this time, with all attempts. Exactly once, a transaction has to take longer:
        // `StreamsConfig::transaction_timeout`.
        .with_timeout(Duration::from_secs(20))
        .with_retries(3)
        .with_retry_if(PriceError::is_worth_another_try);
    let builder = StreamsBuilder::new();
    let orders: KStream<String, String> = builder.stream("orders");
    orders
        .map_values_async_with(
            move |_table, product: String| {
                let prices = prices.clone();
                async move { prices.of(&product).await }
            },
            calls,
        )
        // From here on everything is as if the prices had come with the orders.
        .group_by_key()
        .reduce(|bill, price| bill + price)
        .to_stream()
        .to("bills");
    builder.build()
}

/// How often each product has been asked for.
type Asked = Arc<Mutex<HashMap<String, u32>>>;

/// A price service that is always too busy to answer the first question about tea.
fn price_service(asked: Asked) -> axum::Router {
    let price = |Path(product): Path<String>, State(asked): State<Asked>| async move {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(product.clone()).or_default();
        *times += 1;
        match (product.as_str(), *times) {
            ("tea", 1) => Err(StatusCode::SERVICE_UNAVAILABLE),
            ("tea", _) => Ok("250"),
            ("cake", _) => Ok("420"),
            _ => Err(StatusCode::NOT_FOUND),
        }
    };
    axum::Router::new().route("/prices/{product}", get(price)).with_state(asked)
}

/// What comes of some orders.
struct Outcome {
    /// Tables with their bills, after each order.
    bills: Vec<(String, Option<i64>)>,
    /// Tables with orders that nobody can serve.
    rejected: Vec<(String, String)>,
    asked: HashMap<String, u32>,
}

fn run(orders: &[(&str, &str)]) -> Result<Outcome, Box<dyn Error>> {
    // The service; it ends with its runtime.
    let runtime = Runtime::new()?;
    let asked = Asked::default();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let service = price_service(Arc::clone(&asked));
    runtime.spawn(async move { axum::serve(listener, service).await });

    // Orders whose calls fail in the end become letters.
    let config = StreamsConfig::new("cafe")
        .processing_handler(LogAndContinue)
        .dead_letter_topic("rejected")
        .statestore_cache_max_bytes(0);
    let driver = TopologyTestDriver::with_config(topology(Prices::at(address))?, config)?;
    let input = driver.input_topic::<String, String>("orders");
    for &(table, product) in orders {
        input.pipe(table.to_owned(), product.to_owned())?;
    }
    let bills = driver.output_topic("bills").read_key_values()?;
    let rejected = driver.output_topic("rejected").read_key_values()?;
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Outcome { bills, rejected, asked })
}

const ORDERS: [(&str, &str); 4] =
    [("table 1", "tea"), ("table 2", "cake"), ("table 1", "cake"), ("table 2", "caviar")];

fn main() -> Result<(), Box<dyn Error>> {
    let Outcome { bills, rejected, asked } = run(&ORDERS)?;
    for (table, cents) in bills {
        println!("{table}: {} cents so far", cents.unwrap_or_default());
    }
    for (table, product) in rejected {
        println!("{table}: no {product} here");
    }
    println!("questions about tea: {}", asked.get("tea").copied().unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_come_from_the_service_and_a_busy_one_is_asked_again() {
        let Outcome { bills, rejected, asked } = run(&ORDERS).unwrap();
        let bills: Vec<_> = bills.iter().map(|(table, n)| (table.as_str(), n.unwrap())).collect();
        assert_eq!(bills, [("table 1", 250), ("table 2", 420), ("table 1", 670)]);
        assert_eq!(rejected, [("table 2".to_owned(), "caviar".to_owned())]);
        let asked = ["tea", "cake", "caviar"].map(|product| asked[product]);
        assert_eq!(asked, [2, 2, 1]);
    }
}
