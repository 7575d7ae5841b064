//! The router called directly, and once over a socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use super::*;
use crate::state::persistent::StateEnv;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
struct FixedStatus {
    live: bool,
    ready: bool,
}

impl StatusSource for FixedStatus {
    fn live(&self) -> Health {
        Health { healthy: self.live, states: BTreeMap::new(), restoring: Vec::new() }
    }

    fn ready(&self) -> Health {
        let state = if self.ready { "running" } else { "restoring" };
        let states = BTreeMap::from([("0_1".to_owned(), state.to_owned())]);
        Health { healthy: self.ready, states, restoring: Vec::new() }
    }

    fn topology_text(&self) -> String {
        "Topologies:\n".to_owned()
    }

    fn topology_json(&self) -> Value {
        json!({ "subtopologies": [] })
    }
}

const WELL: FixedStatus = FixedStatus { live: true, ready: true };

fn pages(status: FixedStatus) -> Router {
    router(Metrics::new(&StateEnv::default()), Arc::new(status))
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

struct Answer {
    status: StatusCode,
    content_type: String,
    body: String,
}

fn call(router: Router, path: &str, accept: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    runtime().block_on(async {
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).map(|value| value.to_str());
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            content_type: content_type.map_or("", Result::unwrap).to_owned(),
            body: String::from_utf8(body.into()).unwrap(),
        }
    })
}

#[test]
fn metrics_are_served_in_the_text_format() {
    let answer = call(pages(WELL), "/metrics", None);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.content_type, "text/plain; version=0.0.4");
    assert!(answer.body.contains("kstream_build_info{version="), "{}", answer.body);
}

#[test]
fn live_follows_the_threads() {
    assert_eq!(
        call(pages(FixedStatus { ready: false, ..WELL }), "/health/live", None).status,
        StatusCode::OK
    );
    let dead = call(pages(FixedStatus { live: false, ..WELL }), "/health/live", None);
    assert_eq!(dead.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn ready_lists_the_states_of_tasks() {
    for (ready, status, state) in
        [(true, StatusCode::OK, "running"), (false, StatusCode::SERVICE_UNAVAILABLE, "restoring")]
    {
        let answer = call(pages(FixedStatus { ready, ..WELL }), "/health/ready", None);
        assert_eq!(answer.status, status);
        assert_eq!(answer.content_type, "application/json");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body, json!({ "healthy": ready, "states": { "0_1": state } }));
    }
}

#[test]
fn topology_is_text_unless_json_is_asked_for_by_name() {
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, accept, is_json) in [
        ("/topology", None, false),
        ("/topology", Some("*/*"), false),
        ("/topology", Some(browser), false),
        ("/topology", Some("application/json"), true),
        ("/topology", Some("text/html;q=0.5, Application/JSON;q=0.9"), true),
        ("/topology?format=json", None, true),
        ("/topology?format=text", Some("application/json"), false),
    ] {
        let answer = call(pages(WELL), path, accept);
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body.starts_with('{'), is_json, "{path} {accept:?}");
        let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        assert_eq!(answer.content_type, content_type);
    }
}

#[test]
fn unknown_format_path_and_method_are_refused() {
    let unknown_format = call(pages(WELL), "/topology?format=xml", None);
    assert_eq!(unknown_format.status, StatusCode::BAD_REQUEST);
    assert!(unknown_format.body.contains("xml"), "{}", unknown_format.body);
    assert_eq!(call(pages(WELL), "/nothing", None).status, StatusCode::NOT_FOUND);
    let post = Request::post("/metrics").body(Body::empty()).unwrap();
    let response = runtime().block_on(pages(WELL).oneshot(post)).unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn server_answers_on_a_socket_and_frees_it_at_shutdown() {
    let runtime = runtime();
    let server = serve(LOCALHOST, pages(WELL), runtime.handle()).unwrap();
    let addr = server.addr();
    assert_ne!(addr.port(), 0);

    match serve(addr, pages(WELL), runtime.handle()) {
        Err(error @ HttpError::AddressInUse { .. }) => {
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }

    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // The connection is kept alive: an idle one must not hold up the shutdown.
    let mut first_line = [0; 15];
    socket.read_exact(&mut first_line).unwrap();
    assert_eq!(&first_line, b"HTTP/1.1 200 OK");

    runtime.block_on(server.shutdown(DEADLINE)).unwrap();
    TcpListener::bind(addr).unwrap();
}

#[test]
fn shutdown_does_not_wait_for_a_request_that_never_ends() {
    let runtime = runtime();
    let (entered, is_entered) = std::sync::mpsc::channel();
    let forever = async move || {
        entered.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let server =
        serve(LOCALHOST, Router::new().route("/", get(forever)), runtime.handle()).unwrap();
    let addr = server.addr();
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    is_entered.recv_timeout(DEADLINE).unwrap();
    runtime.block_on(server.shutdown(Duration::from_millis(20))).unwrap();
    TcpListener::bind(addr).unwrap();
}

#[test]
fn address_of_another_machine_is_named_in_the_error() {
    let runtime = runtime();
    let elsewhere: SocketAddr = "192.0.2.1:80".parse().unwrap();
    match serve(elsewhere, pages(WELL), runtime.handle()) {
        Err(error @ HttpError::Listen { .. }) => {
            assert_eq!(error.to_string(), "listen on 192.0.2.1:80");
        }
        other => panic!("{other:?}"),
    }
}
