//! Logging in and out, and who one is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::App;
use super::super::api::ApiError;
use super::super::guard::wants_json;
use super::{Attempt, Caller, Way};
use crate::users::Role;

/// What is asked of the open routes: they decide by themselves.
pub(in crate::server) const PATHS: [&str; 3] = ["/api/login", "/api/logout", "/api/me"];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Body of `GET /api/me`, and of a login.
#[derive(Debug, Serialize)]
pub(in crate::server) struct Me {
    name: Option<String>,
    /// None of those who have to log in.
    role: Option<Role>,
    /// How one came in; of those who did not, how they can.
    login: Way,
}

impl From<Caller> for Me {
    fn from(Caller { name, role, by }: Caller) -> Self {
        Self { name, role: Some(role), login: by }
    }
}

pub(in crate::server) async fn me(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Caller>>,
) -> Result<Json<Me>, ApiError> {
    let me = match caller {
        Some(Extension(caller)) => caller.into(),
        None => Me { name: None, role: None, login: app.login.way()? },
    };
    Ok(Json(me))
}

/// Body of `POST /api/login`; never printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

pub(in crate::server) async fn login(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    wants_json(&headers)?;
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    // What serde would say of it may hold the password.
    let Ok(Credentials { name, password }) = serde_json::from_slice(&body) else {
        let text = "the body is not `{\"name\": \"…\", \"password\": \"…\"}`".to_owned();
        return Err(ApiError::new(StatusCode::BAD_REQUEST, text));
    };
    if app.login.way()? != Way::Password {
        let text = "this pipeline has no users: `millstream user add NAME --role viewer` makes one".to_owned();
        return Err(ApiError::new(StatusCode::BAD_REQUEST, text));
    }
    let address = client(peer, &headers);
    match app.login.log_in(address, name, password, is_https(&headers)).await? {
        Attempt::In(caller, cookie) => {
            tracing::info!(user = caller.name, %address, "logged in");
            Ok(([(header::SET_COOKIE, cookie)], Json(Me::from(caller))).into_response())
        }
        Attempt::Wrong => {
            // Without the name: people type passwords there.
            tracing::warn!(%address, "a login failed");
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "name or password is wrong".to_owned()))
        }
        Attempt::Later(wait) => Err(ApiError::later("too many logins failed", wait)),
    }
}

/// The browser forgets the session. Its cookie would be taken for the rest of its time, if somebody had kept it.
pub(in crate::server) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let cookie = app.login.keys.no_cookie(is_https(&headers))?;
    let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
    Ok((cookie, StatusCode::NO_CONTENT).into_response())
}

/// Whether the browser speaks TLS, to a proxy in front of us: it says so itself by `Origin`, the proxy by its header.
fn is_https(headers: &HeaderMap) -> bool {
    let starts =
        |name: HeaderName, with: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(with));
    starts(header::ORIGIN, b"https://") || starts(FORWARDED_PROTO, b"https")
}

/// Who asks: a proxy on this machine is believed for whom it does.
fn client(peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.ip().to_canonical();
    let told =
        || headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
    if peer.is_loopback() { told().unwrap_or(peer) } else { peer }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{client, is_https};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_proxy_on_this_machine_says_for_whom_it_asks() {
        let told = headers(&[("x-forwarded-for", "1.2.3.4, 10.0.0.7")]);
        let address = |peer: &str, headers: &HeaderMap| client(peer.parse().unwrap(), headers).to_string();
        assert_eq!(address("127.0.0.1:999", &told), "10.0.0.7");
        assert_eq!(address("[::ffff:127.0.0.1]:999", &told), "10.0.0.7");
        assert_eq!(address("192.168.1.5:999", &told), "192.168.1.5");
        assert_eq!(address("127.0.0.1:999", &headers(&[("x-forwarded-for", "unknown")])), "127.0.0.1");
        assert_eq!(address("127.0.0.1:999", &HeaderMap::new()), "127.0.0.1");
    }

    #[test]
    fn tls_is_told_by_the_browser_or_the_proxy() {
        for https in [("origin", "https://mill.example"), ("x-forwarded-proto", "https")] {
            assert!(is_https(&headers(&[https])), "{https:?}");
        }
        for http in [("origin", "http://mill.example"), ("x-forwarded-proto", "http"), ("host", "https")] {
            assert!(!is_https(&headers(&[http])), "{http:?}");
        }
    }
}
