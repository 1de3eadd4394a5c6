//! The page, embedded in the program.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::api::ApiError;

/// What `npm run build` made.
#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
struct Dist;

const INDEX: &str = "index.html";
/// Vite puts a hash of the content into the names of the files in this folder.
const HASHED: &str = "assets/";

/// A file of the page; the page itself for paths that it routes.
pub(super) async fn page(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return not_found(path);
    }
    if method == Method::POST {
        let text = format!("`POST` does not work on `{path}`");
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    }
    let name = path.trim_start_matches('/');
    let name = if name.is_empty() { INDEX } else { name };
    match Dist::get(name) {
        Some(file) => serve(name, file),
        None if name.contains('.') && name != INDEX => not_found(path),
        None => match Dist::get(INDEX) {
            Some(file) => serve(INDEX, file),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the page was not built: run `make dashboard`\n").into_response(),
        },
    }
}

fn not_found(path: &str) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at `{path}`")).into_response()
}

fn serve(name: &str, file: EmbeddedFile) -> Response {
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, content_type(name)), (header::CACHE_CONTROL, cache)];
    (headers, file.data).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}
