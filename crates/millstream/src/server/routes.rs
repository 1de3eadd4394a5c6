//! What can be asked, and who may: each route with the role that it takes, so that none can be added without one.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::guard::{Guard, guard, takes};
use super::login::routes as login;
use super::{App, api, details, export, page, redrive, stream};
use crate::users::Role;

/// Largest body of a request.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// A path and what answers there.
struct Route {
    path: &'static str,
    /// The least role that may ask; none of what is for everybody.
    role: Option<Role>,
    answer: MethodRouter<Arc<App>>,
}

/// The page and the API, behind a guard.
pub(super) fn router(app: Arc<App>, rules: Guard) -> Router {
    let add = |router: Router<Arc<App>>, Route { path, role, answer }: Route| {
        router.route(path, role.map_or(answer.clone(), |role| answer.route_layer(from_fn_with_state(role, takes))))
    };
    routes()
        .into_iter()
        .fold(Router::new(), add)
        .fallback(page::page)
        .method_not_allowed_fallback(api::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn_with_state(Arc::new(rules), guard))
        .with_state(app)
}

fn routes() -> Vec<Route> {
    let everybody = |path, answer| Route { path, role: None, answer };
    let viewer = |path, answer| Route { path, role: Some(Role::Viewer), answer };
    let operator = |path, answer| Route { path, role: Some(Role::Operator), answer };
    vec![
        everybody("/livez", get(api::livez)),
        everybody("/readyz", get(api::readyz)),
        everybody("/api/login", post(login::login)),
        everybody("/api/logout", post(login::logout)),
        everybody("/api/me", get(login::me)),
        viewer("/metrics", get(api::metrics)),
        viewer("/api/status", get(api::status)),
        viewer("/api/ledger", get(api::ledger)),
        viewer("/api/tables", get(api::tables)),
        viewer("/api/views", get(api::views)),
        viewer("/api/views/{name}/data", get(api::view_data)),
        viewer("/api/sql", post(api::sql)),
        viewer("/api/sql/export", post(export::export)),
        viewer("/api/queries", get(api::queries)),
        viewer("/api/stream", get(stream::stream)),
        viewer("/api/history", get(details::history)),
        viewer("/api/profile", get(details::profile)),
        viewer("/api/archive", get(details::archive)),
        viewer("/api/rules", get(details::rules)),
        viewer("/api/row", get(details::row)),
        operator("/api/retry", post(api::retry)),
        operator("/api/redrive", post(redrive::redrive)),
        // It publishes nothing, but cleans rows by rules of the one who asks.
        operator("/api/redrive/preview", post(redrive::preview)),
    ]
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};
    use millstream_core::config::Config;
    use tempfile::TempDir;
    use tokio::runtime::Handle;

    use super::super::Server;
    use super::super::guard::is_guarded;
    use super::super::login::routes::PATHS;
    use super::routes;
    use crate::users::{self, Role};

    /// What asks by POST and changes nothing.
    const READ_BY_POST: [&str; 4] = ["/api/login", "/api/logout", "/api/sql", "/api/sql/export"];

    #[tokio::test]
    async fn every_route_is_refused_to_those_below_its_role() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("pipeline.toml");
        let text = "[pipeline]\nname = \"t\"\n[source]\npath = \"*\"\n[server]\nhttp = \"127.0.0.1:0\"\n";
        let config = Config::parse(text, &file, &|_| None).unwrap();
        let mut asks = vec![(None, None)];
        for (name, role) in [("bob", Role::Viewer), ("ada", Role::Operator)] {
            let token = users::change(&config.server.users, |users| {
                users.add(name, role, "correct horse battery", String::new())?;
                users.add_token(name, "test", String::new())
            });
            asks.push((Some(role), Some(token.unwrap())));
        }
        let server = Server::start(&config, &Handle::current()).unwrap();
        let client = reqwest::Client::new();
        for route in routes() {
            assert_eq!(route.role.is_some(), is_guarded(route.path) && !PATHS.contains(&route.path), "{}", route.path);
            for (role, token) in &asks {
                for method in [Method::GET, Method::POST] {
                    let what = format!("{method} {} as {role:?}", route.path);
                    let mut request = client.request(method.clone(), format!("{}{}", server.url(), route.path));
                    if let Some(token) = token {
                        request = request.bearer_auth(token);
                    }
                    let status = request.send().await.unwrap().status();
                    let may = *role >= route.role;
                    match status {
                        StatusCode::UNAUTHORIZED => assert!(!may && role.is_none(), "{what}"),
                        StatusCode::FORBIDDEN => assert!(!may && role.is_some(), "{what}"),
                        StatusCode::METHOD_NOT_ALLOWED => {}
                        _ => {
                            assert!(may, "{what}: {status}");
                            let reads = method == Method::GET || READ_BY_POST.contains(&route.path);
                            assert!(
                                reads || route.role == Some(Role::Operator),
                                "{what} changes something, and takes no operator"
                            );
                        }
                    }
                }
            }
        }
        server.stop().await;
    }
}
