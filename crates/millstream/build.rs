//! Makes sure that the folder of the built page is there, so that the program builds before the page was built; and builds
//! anew when the page or the example changes.

use std::path::Path;

#[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = root.join("dashboard/dist");
    std::fs::create_dir_all(&page)?;
    for folder in [page, root.join("examples/nyc-taxi/data")] {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    Ok(())
}
