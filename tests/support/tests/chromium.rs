//! The browser fixture against the real browser.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use kstream_test_support::Chromium;

const SOON: Duration = Duration::from_secs(30);

/// Serves one document on every path but `/missing`, until the test process ends.
fn serve(document: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let status = if request.contains("/missing") { "404 Not Found" } else { "200 OK" };
            let length = document.len();
            let head = "Content-Type: text/html; charset=utf-8\r\nConnection: close";
            // The browser may close a connection that it opened ahead.
            drop(write!(
                stream,
                "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{document}"
            ));
        }
    });
    format!("http://{address}/")
}

#[test]
fn page_that_changes_by_itself_is_seen_changing() {
    let url = serve(
        "<title>t</title><link rel=icon href='data:,'><p id=n>0</p>\
         <script>setInterval(() => document.getElementById('n').textContent++, 20)</script>",
    );
    let mut browser = Chromium::start().unwrap();
    let mut page = browser.open(&url).unwrap();
    page.wait_for("Number(document.getElementById('n').textContent) >= 3", SOON).unwrap();
    assert!(page.text().unwrap().trim().parse::<u32>().unwrap() >= 3);
    assert!(page.dump_dom().unwrap().contains("<p id=\"n\">"));
    assert_eq!(page.evaluate("Promise.resolve(6 * 7)").unwrap(), 42);
    assert_eq!(page.problems(), &[] as &[String]);
    assert_eq!(page.requests().first(), Some(&url));
}

#[test]
fn errors_on_a_page_are_collected() {
    let url = serve(
        "<link rel=icon href='data:,'><img src=/missing>\
         <script>console.error('broken', 7); setTimeout(() => { throw new Error('late') })</script>",
    );
    let mut browser = Chromium::start().unwrap();
    let mut page = browser.open(&url).unwrap();
    page.wait_for("document.images[0].complete", SOON).unwrap();
    let problems = page.problems().join("\n");
    for part in ["console: broken 7", "uncaught: Error: late", "404"] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
}

#[test]
fn screenshot_has_the_size_of_the_screen() {
    let url = serve(
        "<meta name=viewport content='width=device-width'><link rel=icon href='data:,'><h1>Hello</h1>",
    );
    let mut browser = Chromium::start().unwrap();
    let mut page = browser.open(&url).unwrap();
    page.resize(390, 844).unwrap();
    assert_eq!(page.evaluate("innerWidth").unwrap(), 390);
    let picture = std::env::temp_dir().join(format!("kstream-shot-{}.png", std::process::id()));
    page.screenshot(&picture).unwrap();
    let png = std::fs::read(&picture).unwrap();
    std::fs::remove_file(&picture).unwrap();
    assert_eq!(&png[1..4], b"PNG");
    assert_eq!(png[16..24], [0, 0, 1, 134, 0, 0, 3, 76]); // 390 × 844 in the image header
}

#[test]
fn page_that_cannot_be_opened_is_an_error() {
    let mut browser = Chromium::start().unwrap();
    let port = kstream_test_support::free_port().unwrap();
    let error = browser.open(&format!("http://127.0.0.1:{port}/")).unwrap_err().to_string();
    assert!(error.contains("ERR_CONNECTION_REFUSED"), "{error}");
}
