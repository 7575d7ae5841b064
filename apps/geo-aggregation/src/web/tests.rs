//! The three routes, over a real socket.

use std::time::Duration;

use kstream::time::ManualClock;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn totals(visits: &[(&str, u64)]) -> Arc<Totals> {
    let visits = visits.iter().map(|&(code, n)| (code.parse().unwrap(), n)).collect();
    let rejected = [("1-0".to_owned(), 2)].into();
    Arc::new(Totals { visits, rejected, ..Totals::default() })
}

/// A served page and the sender of its totals.
async fn start() -> (SocketAddr, watch::Sender<Arc<Totals>>) {
    let (sender, totals) = watch::channel(totals(&[("DE", 1), ("US", 3), ("ZZ", 1)]));
    let clock = Arc::new(ManualClock::default());
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let source = Source { totals, clock, lag: Duration::ZERO };
    tokio::spawn(async move { serve(listener, router(source)).await.unwrap() });
    (address, sender)
}

async fn request(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn get_text(address: SocketAddr, path: &str) -> (String, String) {
    let mut answer = String::new();
    request(address, path).await.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn api_gives_countries_most_visits_first() {
    let (address, _sender) = start().await;
    let (head, body) = get_text(address, "/api/countries").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/json"), "{head}");
    assert_eq!(
        body,
        r#"{"total":5,"rejected":2,"countries":[{"code":"US","name":"United States","visits":3,"share":0.6},{"code":"DE","name":"Germany","visits":1,"share":0.2},{"code":"ZZ","name":"Unknown","visits":1,"share":0.2}]}"#
    );
}

#[tokio::test]
async fn page_names_no_outside_resource() {
    let (address, _sender) = start().await;
    let (head, body) = get_text(address, "/").await;
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    let outside = body.replace("http://www.w3.org/2000/svg", "");
    for mark in ["http:", "https:", "src=", "@import"] {
        assert!(!outside.contains(mark), "{mark}");
    }
}

#[tokio::test]
async fn events_follow_the_totals() {
    let (address, sender) = start().await;
    let mut lines = BufReader::new(request(address, "/events").await).lines();
    let mut next = async || {
        let read = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if let Some(data) = line.strip_prefix("data: ") {
                    return serde_json::from_str::<serde_json::Value>(data).unwrap();
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap()
    };
    let first = next().await;
    assert_eq!((&first["total"], &first["unlocated"]), (&5.into(), &1.into()));
    assert_eq!(first["visits_per_second"], 0.0);
    sender.send_replace(totals(&[("FR", 7)]));
    let second = next().await;
    assert_eq!((&second["total"], &second["countries"][0]["code"]), (&7.into(), &"FR".into()));
}

#[tokio::test]
async fn taken_address_is_named() {
    let taken = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

#[tokio::test]
async fn database_totals_reach_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("t.db").display());
    let database = Database::open(&url, "web").await.unwrap();
    let written = totals(&[("US", 3)]);
    database.raise(&written, 0).await.unwrap();
    let (sender, mut receiver) = watch::channel(Arc::default());
    let polling = tokio::spawn(poll_database(database, sender));
    tokio::time::timeout(PATIENCE, receiver.changed()).await.unwrap().unwrap();
    assert_eq!(*receiver.borrow_and_update(), written);
    drop(receiver);
    tokio::time::timeout(PATIENCE, polling).await.unwrap().unwrap();
}
