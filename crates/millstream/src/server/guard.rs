//! Who may ask: the checks before every request, and the headers on every answer.
//!
//! A page that the user happens to visit must not reach this server: the `Host` check stops names that resolve to loopback
//! (DNS rebinding), the `Origin` check stops requests from other sites, and the token keeps out everybody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millstream_core::config::Secret;

use super::api::ApiError;

/// What a server demands of requests.
#[derive(Debug)]
pub(super) struct Guard {
    /// The address that is bound, with its real port.
    address: SocketAddr,
    /// `[server] token`.
    token: Option<Secret>,
}

/// Everything that the page needs comes from this server; its charts set styles in elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

impl Guard {
    /// The guard of a server that is bound to `address`.
    pub(super) fn new(address: SocketAddr, token: Option<Secret>) -> Self {
        assert!(address.ip().is_loopback() || token.is_some(), "an address that is not loopback needs a token");
        Self { address, token }
    }

    /// Refuses what must not pass; nothing of the request is acted upon before.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = self.check_host(headers)?;
        check_origin(headers, host)?;
        if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
            let text = format!("method `{method}` is not known here; use GET or POST");
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        if needs_token(path) { self.check_token(headers) } else { Ok(()) }
    }

    fn check_host<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // Elsewhere any name may lead here, and the token decides.
        if !self.address.ip().is_loopback() || names_loopback(host, self.address.port()) {
            return Ok(host);
        }
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "host `{host}` is not this server; use http://localhost:{port} or http://127.0.0.1:{port}",
                port = self.address.port()
            ),
        ))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(token) = &self.token else { return Ok(()) };
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim());
        if same_bytes(shown.as_bytes(), token.reveal().as_bytes()) {
            Ok(())
        } else {
            let text = "this server wants its token: send `Authorization: Bearer <token>`";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, text.to_owned()))
        }
    }
}

/// The middleware around every route.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let checked = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn needs_token(path: &str) -> bool {
    path == "/metrics" || path == "/api" || path.starts_with("/api/")
}

/// `localhost`, `127.0.0.1` or `[::1]`, with the port of this server.
fn names_loopback(host: &str, port: u16) -> bool {
    let (name, host_port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        Some(_) | None => (host, Some(80)),
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_loopback =
        name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_loopback && host_port == Some(port)
}

/// Browsers send `Origin` with every request that another site could make them send and that could change something.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("(not text)");
    // A proxy in front may speak TLS; the site is the same.
    let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if site.is_some_and(|site| site.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        format!("origin `{origin}` is another site; only the page of this server may ask (`http://{host}`)"),
    ))
}

/// Compares in a time that tells nothing but the length.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0_u8, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
