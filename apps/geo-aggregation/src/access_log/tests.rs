//! Lines as servers write them, lines that are none, and properties over all bytes.

use std::fmt::Write as _;

use jiff::tz::Offset;
use proptest::prelude::*;

use super::*;

const TIME: &str = "[17/May/2015:10:05:03 +0000]";
const TIME_MS: i64 = 1_431_857_103_000;

fn parsed(line: &str) -> AccessLine<'_> {
    match parse(line.as_bytes()) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{error}: {line}"),
    }
}

#[track_caller]
fn check_time(time: &str, expected_ms: i64) {
    let line = format!(r#"10.0.0.1 - - [{time}] "GET / HTTP/1.1" 200 5"#);
    assert_eq!(parsed(&line).time_ms, expected_ms, "{time}");
}

#[track_caller]
fn check_host(host: &str, ip: Option<&str>) {
    let line = format!(r#"{host} - - {TIME} "GET / HTTP/1.1" 200 5"#);
    let parsed = parsed(&line);
    assert_eq!(parsed.host, host);
    assert_eq!(parsed.ip, ip.map(|ip| ip.parse().unwrap()));
}

#[track_caller]
fn check_request(request: &str, method: Option<&str>, path: Option<&str>) {
    let line = format!(r#"10.0.0.1 - - {TIME} "{request}" 200 5 "-" "agent""#);
    let parsed = parsed(&line);
    assert_eq!((parsed.request.method.as_deref(), parsed.request.path.as_deref()), (method, path));
    assert_eq!(parsed.user_agent.as_deref(), Some("agent"));
}

#[track_caller]
fn check_agent(field: &str, agent: Option<&str>) {
    let line = format!(r#"10.0.0.1 - - {TIME} "GET / HTTP/1.1" 200 5 "-" {field}"#);
    assert_eq!(parsed(&line).user_agent.as_deref(), agent, "{field}");
}

#[track_caller]
fn check_error(line: &str, error: AccessLogError) {
    assert_eq!(parse(line.as_bytes()), Err(error), "{line}");
}

#[test]
fn combined_line_gives_every_field() {
    let line = format!(
        r#"83.149.9.216 ident frank {TIME} "GET /a?b=c HTTP/1.1" 200 203023 "http://x.org/" "Mozilla/5.0 (X)""#
    );
    assert_eq!(
        parsed(&line),
        AccessLine {
            host: "83.149.9.216".into(),
            ip: Some([83, 149, 9, 216].into()),
            identity: Some("ident".into()),
            user: Some("frank".into()),
            time_ms: TIME_MS,
            request: Request { method: Some("GET".into()), path: Some("/a?b=c".into()) },
            status: Some(200),
            bytes: Some(203_023),
            referer: Some("http://x.org/".into()),
            user_agent: Some("Mozilla/5.0 (X)".into()),
        }
    );
}

#[test]
fn line_without_escapes_is_borrowed() {
    let line = format!(r#"10.0.0.1 - - {TIME} "GET /a HTTP/1.1" 200 5 "http://x/" "agent""#);
    let parsed = parsed(&line);
    let texts = [parsed.request.path, parsed.referer, parsed.user_agent, Some(parsed.host)];
    for text in texts.into_iter().flatten() {
        assert!(matches!(text, Cow::Borrowed(_)), "{text} was copied");
    }
}

#[test]
fn common_line_has_neither_referer_nor_agent() {
    let line = format!(r#"10.0.0.1 - - {TIME} "GET / HTTP/1.0" 304 -"#);
    let parsed = parsed(&line);
    assert_eq!((parsed.identity, parsed.user), (None, None));
    assert_eq!((parsed.status, parsed.bytes), (Some(304), None));
    assert_eq!((parsed.referer, parsed.user_agent), (None, None));
}

#[test]
fn dashes_are_absent_values() {
    let line = format!(r#"10.0.0.1 - - {TIME} "-" - - "-" "-""#);
    let parsed = parsed(&line);
    assert_eq!(parsed.request, Request { method: None, path: None });
    assert_eq!((parsed.status, parsed.bytes), (None, None));
    assert_eq!((parsed.referer, parsed.user_agent), (None, None));
}

#[test]
fn every_time_zone_is_understood() {
    const HOUR_MS: i64 = 3_600_000;
    for quarters in -56..=56_i64 {
        let sign = if quarters < 0 { '-' } else { '+' };
        let (hours, minutes) = (quarters.abs() / 4, quarters.abs() % 4 * 15);
        check_time(
            &format!("17/May/2015:10:05:03 {sign}{hours:02}{minutes:02}"),
            TIME_MS - quarters * HOUR_MS / 4,
        );
    }
    check_time("17/May/2015:10:05:03 +02:00", TIME_MS - 2 * HOUR_MS);
    check_time("17/May/2015:10:05:03 -07", TIME_MS + 7 * HOUR_MS);
    check_time("17/May/2015:10:05:03 Z", TIME_MS);
    check_time("17/May/2015:10:05:03 UTC", TIME_MS);
}

#[test]
fn unusual_times_are_understood() {
    check_time("17/MAY/2015:10:05:03 +0000", TIME_MS);
    check_time("17/May/2015:10:05:03.25 +0000", TIME_MS + 250);
    check_time("17/May/2015:10:05:03.123456 +0000", TIME_MS + 123);
    check_time("1/Jan/1970:00:00:00 +0000", 0);
    check_time("31/Dec/1969:23:59:59 +0000", -1000);
    check_time("29/Feb/2024:00:00:00 +0000", 1_709_164_800_000);
    check_time("31/Dec/2016:23:59:60 +0000", 1_483_228_799_000);
}

#[test]
fn addresses_of_both_families_are_found() {
    check_host("83.149.9.216", Some("83.149.9.216"));
    check_host("2001:db8::1", Some("2001:db8::1"));
    check_host("::1", Some("::1"));
    check_host("[2001:db8::1]", Some("2001:db8::1"));
    check_host("[2001:db8::1]:443", Some("2001:db8::1"));
    check_host("fe80::1%eth0", Some("fe80::1"));
    check_host("::ffff:83.149.9.216", Some("83.149.9.216"));
    check_host("83.149.9.216:51234", Some("83.149.9.216"));
    check_host("crawl-66-249-66-1.googlebot.com", None);
    check_host("-", None);
}

#[test]
fn virtual_host_before_the_client_is_skipped() {
    let line = format!(r#"www.example.org:443 10.1.2.3 - bob {TIME} "GET / HTTP/1.1" 200 5"#);
    let parsed = parsed(&line);
    assert_eq!((parsed.host.as_ref(), parsed.user.as_deref()), ("10.1.2.3", Some("bob")));
}

#[test]
fn first_of_forwarded_addresses_is_the_client() {
    let line = format!(r#"203.0.113.7, 10.0.0.2, 10.0.0.3 - - {TIME} "GET / HTTP/1.1" 200 5"#);
    let parsed = parsed(&line);
    assert_eq!(parsed.ip, Some([203, 0, 113, 7].into()));
    assert_eq!((parsed.identity, parsed.user), (None, None));
}

#[test]
fn odd_users_are_kept_whole() {
    for user in ["john doe", "a[b]c", "x [y", "\"quoted\"", "DOMAIN\\bob", "bob@example.org"] {
        let line = format!(r#"10.0.0.1 - {user} {TIME} "GET / HTTP/1.1" 200 5"#);
        assert_eq!(parsed(&line).user.as_deref(), Some(user));
    }
}

#[test]
fn requests_of_every_shape_are_visits() {
    check_request("GET / HTTP/1.1", Some("GET"), Some("/"));
    check_request("get /lower http", Some("get"), Some("/lower http"));
    check_request("PROPFIND /dav HTTP/1.1", Some("PROPFIND"), Some("/dav"));
    check_request("GET /with blank HTTP/1.1", Some("GET"), Some("/with blank"));
    check_request("GET /", Some("GET"), Some("/"));
    check_request("", None, None);
    check_request("-", None, None);
    check_request(r"\x16\x03\x01", None, Some("\u{16}\u{3}\u{1}"));
    check_request(r#"GET /a\"b HTTP/1.1"#, Some("GET"), Some(r#"/a"b"#));
    check_request(r#"GET /a"b" c HTTP/1.1"#, Some("GET"), Some(r#"/a"b" c"#));
    check_request(r"GET /back\\slash HTTP/1.1", Some("GET"), Some(r"/back\slash"));
    check_request(r"GET /\q\xZZ\ HTTP/1.1", Some("GET"), Some(r"/\q\xZZ\"));
}

#[test]
fn agents_with_quotes_or_cut_off_are_kept() {
    check_agent(r#""Mozilla/5.0 (\"X\")""#, Some(r#"Mozilla/5.0 ("X")"#));
    check_agent(r#""Mozilla "quoted"x""#, Some(r#"Mozilla "quoted"x"#));
    check_agent(r#""Mozilla/5.0 (compatible; Goo"#, Some("Mozilla/5.0 (compatible; Goo"));
    check_agent(r#""ends with a backslash\""#, Some("ends with a backslash\""));
    check_agent(r#""""#, None);
    check_agent("-", None);
    check_agent(r#""agent" "203.0.113.7" 0.003"#, Some("agent"));
}

#[test]
fn line_ends_marks_tabs_and_wide_blanks_do_not_matter() {
    let plain = format!(r#"10.0.0.1 - - {TIME} "GET / HTTP/1.1" 200 5 "-" "agent""#);
    let expected = parsed(&plain);
    for variant in [
        format!("{plain}\r\n"),
        format!("\u{feff}{plain}"),
        format!("  {plain}  "),
        format!(r#"10.0.0.1	-	-	{TIME}	"GET / HTTP/1.1"	200	5	"-"	"agent""#),
        format!(r#"10.0.0.1  -  -  {TIME}  "GET / HTTP/1.1"  200  5  "-"  "agent""#),
    ] {
        assert_eq!(parsed(&variant), expected, "{variant:?}");
    }
}

#[test]
fn extra_unquoted_fields_are_passed_over() {
    let line = format!(r#"10.0.0.1 - - {TIME} "GET / HTTP/1.1" 200 5 0.004 0.003 ."#);
    assert_eq!(parsed(&line).bytes, Some(5));
}

#[test]
fn bytes_that_are_not_utf8_do_not_cost_the_visit() {
    let mut line = format!(r#"10.0.0.1 - - {TIME} "GET /caf"#).into_bytes();
    line.extend_from_slice(b"\xe9 HTTP/1.1\" 200 5 \"-\" \"agent\xff\"");
    let parsed = parse(&line).unwrap();
    assert_eq!(parsed.request.path.as_deref(), Some("/caf\u{fffd}"));
    assert_eq!(parsed.user_agent.as_deref(), Some("agent\u{fffd}"));
}

#[test]
fn what_is_missing_is_named() {
    check_error("", AccessLogError::Empty);
    check_error(" \r\n", AccessLogError::Empty);
    check_error("not an access log line", AccessLogError::Timestamp);
    check_error("10.0.0.1 - - [17/Mai/2015:10:05:03 +0000]", AccessLogError::Timestamp);
    check_error("10.0.0.1 - - [31/Feb/2015:10:05:03 +0000]", AccessLogError::Timestamp);
    check_error("10.0.0.1 - - [17/May/2015:25:05:03 +0000]", AccessLogError::Timestamp);
    check_error("10.0.0.1 - - [17/May/2015:10:05:03 +0000", AccessLogError::Timestamp);
    check_error(&format!(r#"{TIME} "GET / HTTP/1.1" 200 5"#), AccessLogError::Client);
    check_error(&format!(r#"10.0.0.1 - {TIME} "GET / HTTP/1.1" 200 5"#), AccessLogError::Client);
    check_error(&format!("10.0.0.1 - - {TIME}"), AccessLogError::Request);
    check_error(&format!(r#"10.0.0.1 - - {TIME} "GET / HT"#), AccessLogError::Request);
    check_error(&format!(r#"10.0.0.1 - - {TIME} "GET / HTTP/1.1""#), AccessLogError::Status);
    check_error(&format!(r#"10.0.0.1 - - {TIME} "GET /" 20 5"#), AccessLogError::Status);
    check_error(&format!(r#"10.0.0.1 - - {TIME} "GET /" 200"#), AccessLogError::Size);
    check_error(&format!(r#"10.0.0.1 - - {TIME} "GET /" 200 5k"#), AccessLogError::Size);
}

/// Writes text as Apache does inside quotes.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control.is_ascii_control() => {
                write!(out, "\\x{:02x}", u32::from(control)).unwrap();
            }
            plain => out.push(plain),
        }
    }
    out
}

fn quoted_text() -> impl Strategy<Value = String> {
    // A lone dash would be the absent value.
    "[ -~\t\n\u{e9}\u{4e2d}]{0,40}".prop_filter("absent", |text| text != "-" && !text.is_empty())
}

proptest! {
    #[test]
    fn rendered_line_parses_back(
        ip in any::<IpAddr>(),
        time_s in -2_000_000_000_i64..32_000_000_000,
        offset_minutes in -14 * 60..14 * 60_i32,
        path in "/[!-~]{0,30}",
        status in 100_u16..600,
        bytes in proptest::option::of(any::<u64>()),
        referer in proptest::option::of(quoted_text()),
        agent in proptest::option::of(quoted_text()),
    ) {
        let offset = Offset::from_seconds(offset_minutes * 60).unwrap();
        let local = offset.to_datetime(jiff::Timestamp::from_second(time_s).unwrap());
        let line = format!(
            r#"{ip} - - [{} {}{:02}{:02}] "GET {} HTTP/1.1" {status} {} "{}" "{}""#,
            local.strftime("%d/%b/%Y:%H:%M:%S"),
            if offset_minutes < 0 { '-' } else { '+' },
            offset_minutes.abs() / 60,
            offset_minutes.abs() % 60,
            escaped(&path),
            bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
            escaped(referer.as_deref().unwrap_or("-")),
            escaped(agent.as_deref().unwrap_or("-")),
        );
        let parsed = parsed(&line);
        prop_assert_eq!(parsed.ip, Some(ip.to_canonical()));
        prop_assert_eq!(parsed.time_ms, time_s * 1000);
        prop_assert_eq!(parsed.request.method.as_deref(), Some("GET"));
        prop_assert_eq!(parsed.request.path.as_deref(), Some(path.as_str()));
        prop_assert_eq!((parsed.status, parsed.bytes), (Some(status), bytes));
        prop_assert_eq!(parsed.referer.as_deref(), referer.as_deref());
        prop_assert_eq!(parsed.user_agent.as_deref(), agent.as_deref());
    }

    #[test]
    fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&line));
    }

    #[test]
    fn no_damage_to_a_line_makes_it_panic(
        cut in 0_usize..120,
        at in 0_usize..120,
        byte in any::<u8>(),
    ) {
        let line = format!(r#"10.0.0.1 - bob {TIME} "GET /a\"b HTTP/1.1" 200 5 "-" "agent \x41""#);
        let mut bytes = line.into_bytes();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut);
        drop(parse(&bytes));
    }
}
