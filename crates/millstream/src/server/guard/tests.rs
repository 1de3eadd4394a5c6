use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use millstream_core::config::Config;
use tempfile::TempDir;

use super::super::login::Login;
use super::{FETCH_SITE, Guard, names_loopback, wants_json};
use crate::users::{self, Role};

fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn checked(guard: &Guard, path: &str, pairs: &[(header::HeaderName, &'static str)]) -> StatusCode {
    guard
        .check(&Method::GET, path, &headers(pairs))
        .map_or_else(|error| error.into_response().status(), |_| StatusCode::OK)
}

fn guard(folder: &Path, address: &str, more: &str) -> Guard {
    let text = format!("[pipeline]\nname = \"t\"\n[source]\npath = \"*\"\n[server]\nhttp = \"{address}\"\n{more}");
    let config = Config::parse(&text, &folder.join("pipeline.toml"), &|_| None).unwrap();
    let address = config.server.http;
    Guard::new(address, Arc::new(Login::new(&config, address.ip()).unwrap()))
}

/// Without users and token.
fn local() -> Guard {
    guard(TempDir::new().unwrap().path(), "127.0.0.1:8080", "")
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
    let guard = guard(TempDir::new().unwrap().path(), "0.0.0.0:8080", "token = \"ab/c\"\n");
    let host = (header::HOST, "mill.example");
    for path in ["/", "/assets/index-1.js", "/livez", "/readyz", "/api/me", "/api/login"] {
        assert_eq!(checked(&guard, path, std::slice::from_ref(&host)), StatusCode::OK, "{path}");
    }
    for path in ["/api", "/api/status", "/api/stream", "/metrics"] {
        assert_eq!(checked(&guard, path, std::slice::from_ref(&host)), StatusCode::UNAUTHORIZED, "{path}");
        for wrong in ["Bearer", "Bearer ", "Bearer ab/d", "Bearer ab/cc", "Basic ab/c", "ab/c"] {
            let shown = [host.clone(), (header::AUTHORIZATION, wrong)];
            assert_eq!(checked(&guard, path, &shown), StatusCode::UNAUTHORIZED, "{path} {wrong}");
        }
        let shown = [host.clone(), (header::AUTHORIZATION, "Bearer ab/c")];
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
#[should_panic(expected = "needs a token or users")]
fn an_open_address_without_a_token_or_users_is_never_guarded() {
    guard(TempDir::new().unwrap().path(), "0.0.0.0:8080", "");
}

#[test]
fn pages_of_other_sites_reach_nothing_but_the_page() {
    let host = (header::HOST, "localhost:8080");
    for path in ["/api/status", "/api/profile", "/api/me", "/metrics"] {
        for (site, passes) in [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)] {
            let wanted = if passes { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(checked(&local(), path, &[host.clone(), (FETCH_SITE, site)]), wanted, "{path} {site}");
        }
    }
    // A link from elsewhere opens the page.
    assert_eq!(checked(&local(), "/live", &[host, (FETCH_SITE, "cross-site")]), StatusCode::OK);
}

#[test]
fn with_users_everybody_logs_in_whatever_the_name_of_the_host() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("millstream-data/users.json");
    users::change(&path, |users| users.add("ada", Role::Viewer, "correct horse battery", String::new())).unwrap();
    let guard = guard(folder.path(), "127.0.0.1:8080", "");
    for host in ["localhost:8080", "mill.example"] {
        assert_eq!(checked(&guard, "/api/status", &[(header::HOST, host)]), StatusCode::UNAUTHORIZED, "{host}");
        assert_eq!(checked(&guard, "/", &[(header::HOST, host)]), StatusCode::OK, "{host}");
        assert_eq!(checked(&guard, "/api/login", &[(header::HOST, host)]), StatusCode::OK, "{host}");
    }
}

#[test]
fn only_json_says_that_it_is_json() {
    for sent in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"] {
        assert!(wants_json(&headers(&[(header::CONTENT_TYPE, sent)])).is_ok(), "{sent}");
    }
    assert!(wants_json(&HeaderMap::new()).is_err());
    for sent in ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", "application/jsonp"]
    {
        assert!(wants_json(&headers(&[(header::CONTENT_TYPE, sent)])).is_err(), "{sent}");
    }
}
