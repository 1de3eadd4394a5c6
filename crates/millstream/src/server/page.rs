//! The page, embedded in the program.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
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
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
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
        Some(file) => serve(name, file, &headers),
        None if name.contains('.') && name != INDEX => not_found(path),
        None => match Dist::get(INDEX) {
            Some(file) => serve(INDEX, file, &headers),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the page was not built: run `make dashboard`\n").into_response(),
        },
    }
}

fn not_found(path: &str) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at `{path}`")).into_response()
}

/// The file, compressed for those who take it so: the build made a twin of each text.
fn serve(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let twin = accepts_gzip(headers).then(|| Dist::get(&format!("{name}.gz"))).flatten();
    let is_compressed = twin.is_some();
    let told =
        [(header::CONTENT_TYPE, content_type(name)), (header::CACHE_CONTROL, cache), (header::VARY, "accept-encoding")];
    let mut response = (told, twin.unwrap_or(file).data).into_response();
    if is_compressed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = accepted.flat_map(|value| value.split(',')).map(|coding| coding.replace(' ', "").to_lowercase());
    codings.any(|coding| coding == "gzip" || (coding.starts_with("gzip;") && coding != "gzip;q=0"))
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
