//! Who may ask: the checks before every request, and the headers on every answer.
//!
//! A page that the user happens to visit must not reach this server: the `Host` check stops names that resolve to loopback
//! (DNS rebinding), `Origin` and `Sec-Fetch-Site` stop requests from other sites, and `login` keeps out everybody else. Which role a
//! route takes stands in `routes`; [`takes`] is around each.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::ApiError;
use super::login::{Caller, Login, Way, routes};
use crate::users::Role;

/// What a server demands of requests.
pub(super) struct Guard {
    /// The address that is bound, with its real port.
    address: SocketAddr,
    login: Arc<Login>,
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

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Guard {
    /// The guard of a server that is bound to `address`.
    pub(super) fn new(address: SocketAddr, login: Arc<Login>) -> Self {
        assert!(login.lets_somebody_in(), "an address that is not loopback needs a token or users");
        Self { address, login }
    }

    /// Refuses what must not pass; nothing of the request is acted upon before. Gives who asks, where that matters.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
        let host = self.check_host(headers)?;
        check_origin(headers, host)?;
        if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
            let text = format!("method `{method}` is not known here; use GET or POST");
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        if !is_guarded(path) {
            return Ok(None);
        }
        check_site(headers)?;
        let caller = self.login.caller(headers)?;
        match &caller {
            // Cookies come along with whatever makes a browser ask; a form of another page cannot say that it sends JSON.
            Some(Caller { by: Way::Password, .. }) if method == Method::POST => wants_json(headers)?,
            None if !routes::PATHS.contains(&path) => {
                let text = "log in at the page of this server, or send `Authorization: Bearer <token>`";
                return Err(ApiError::new(StatusCode::UNAUTHORIZED, text.to_owned()));
            }
            Some(_) | None => {}
        }
        Ok(caller)
    }

    fn check_host<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // Where one has to log in, any name may lead here, as that of a proxy: a session is for the name that it was begun at.
        if names_loopback(host, self.address.port()) || self.login.way()? != Way::None {
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
}

/// The middleware around every route.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let checked = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
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

/// The middleware around a route: lets those in who have the role that it takes.
pub(super) async fn takes(State(wanted): State<Role>, request: Request, next: Next) -> Response {
    let role = request.extensions().get::<Caller>().map(|caller| caller.role);
    if role >= Some(wanted) {
        return next.run(request).await;
    }
    let (wanted, role) = (wanted.name(), role.map_or("nobody", Role::name));
    let text = format!(
        "this takes the role `{wanted}`, and you are `{role}` here: you may look at everything, and change nothing"
    );
    ApiError::new(StatusCode::FORBIDDEN, text).into_response()
}

/// Refuses bodies that do not say that they are JSON.
pub(super) fn wants_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|sent| sent.to_str().ok()).unwrap_or_default();
    if sent.split(';').next().is_some_and(|sent| sent.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let text = "send `Content-Type: application/json`, by which requests of other sites are told apart";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned()))
}

pub(super) fn is_guarded(path: &str) -> bool {
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

/// Browsers send this with every request, also with those without `Origin`: an image or a script that another site names.
fn check_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get(FETCH_SITE).map_or("none", |site| site.to_str().unwrap_or("(not text)"));
    if ["none", "same-origin"].contains(&site) {
        return Ok(());
    }
    let text = format!("a page of another site asks (`Sec-Fetch-Site: {site}`); only the page of this server may");
    Err(ApiError::new(StatusCode::FORBIDDEN, text))
}

#[cfg(test)]
mod tests;
