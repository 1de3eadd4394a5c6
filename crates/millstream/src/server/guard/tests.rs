use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use millstream_core::config::Secret;

use super::{Guard, names_loopback, same_bytes};

fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn checked(guard: &Guard, path: &str, pairs: &[(header::HeaderName, &'static str)]) -> StatusCode {
    guard
        .check(&Method::GET, path, &headers(pairs))
        .map_or_else(|error| error.into_response().status(), |()| StatusCode::OK)
}

fn local() -> Guard {
    Guard::new("127.0.0.1:8080".parse().unwrap(), None)
}

#[test]
fn only_names_of_loopback_with_the_bound_port_are_hosts() {
    for host in ["localhost:8080", "LOCALHOST:8080", "127.0.0.1:8080", "127.1.2.3:8080", "[::1]:8080"] {
        assert!(names_loopback(host, 8080), "{host}");
    }
    for host in [
        "",
        "localhost",
        "localhost:8081",
        "example.org:8080",
        "localhost.example.org:8080",
        "10.0.0.1:8080",
        "[::2]:8080",
        "[::1]",
        "localhost:8080:8080",
        "127.0.0.1:8080@example.org",
    ] {
        assert!(!names_loopback(host, 8080), "{host}");
    }
    assert!(names_loopback("localhost", 80));
    assert!(names_loopback("[::1]", 80));
}

#[test]
fn another_host_or_origin_is_refused() {
    let host = (header::HOST, "localhost:8080");
    assert_eq!(checked(&local(), "/", &[(header::HOST, "evil.example:8080")]), StatusCode::FORBIDDEN);
    assert_eq!(checked(&local(), "/", &[]), StatusCode::FORBIDDEN);
    assert_eq!(checked(&local(), "/api/sql", std::slice::from_ref(&host)), StatusCode::OK);
    for origin in ["http://evil.example", "null", "http://localhost:8081", "localhost:8080", "http://127.0.0.1:8080"] {
        let with_origin = [host.clone(), (header::ORIGIN, origin)];
        assert_eq!(checked(&local(), "/api/sql", &with_origin), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(checked(&local(), "/api/sql", &[host, (header::ORIGIN, "http://localhost:8080")]), StatusCode::OK);
}

#[test]
fn a_token_guards_the_api_and_the_metrics_but_not_the_page_and_the_probes() {
    let guard = Guard::new("0.0.0.0:8080".parse().unwrap(), Some(Secret::new("a b/c".to_owned())));
    let host = (header::HOST, "mill.example");
    for path in ["/", "/assets/index-1.js", "/livez", "/readyz"] {
        assert_eq!(checked(&guard, path, std::slice::from_ref(&host)), StatusCode::OK, "{path}");
    }
    for path in ["/api", "/api/status", "/api/stream", "/metrics"] {
        assert_eq!(checked(&guard, path, std::slice::from_ref(&host)), StatusCode::UNAUTHORIZED, "{path}");
        for wrong in ["Bearer", "Bearer ", "Bearer a b/d", "Bearer a b/cc", "Basic a b/c", "a b/c"] {
            let shown = [host.clone(), (header::AUTHORIZATION, wrong)];
            assert_eq!(checked(&guard, path, &shown), StatusCode::UNAUTHORIZED, "{path} {wrong}");
        }
        let shown = [host.clone(), (header::AUTHORIZATION, "Bearer a b/c")];
        assert_eq!(checked(&guard, path, &shown), StatusCode::OK, "{path}");
    }
}

#[test]
fn only_reading_methods_and_post_pass() {
    let headers = headers(&[(header::HOST, "localhost:8080")]);
    for (method, passes) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::POST, true),
        (Method::PUT, false),
        (Method::DELETE, false),
        (Method::OPTIONS, false),
    ] {
        assert_eq!(local().check(&method, "/", &headers).is_ok(), passes, "{method}");
    }
}

#[test]
#[should_panic(expected = "needs a token")]
fn an_open_address_without_a_token_is_never_guarded() {
    Guard::new("0.0.0.0:8080".parse().unwrap(), None);
}

#[test]
fn bytes_are_the_same_only_when_all_are() {
    assert!(same_bytes(b"", b""));
    assert!(same_bytes(b"token", b"token"));
    for other in [b"".as_slice(), b"toke", b"tokens", b"Token"] {
        assert!(!same_bytes(b"token", other));
    }
}
