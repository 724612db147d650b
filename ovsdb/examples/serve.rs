//! Serves a database file without a switch behind it: `serve FILE REMOTE…`, until it is killed.
use std::path::PathBuf;

use aorta_ovsdb::{Remote, Store};

// With as many threads as the daemon has for its clients.
#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = PathBuf::from(args.next().ok_or("usage: serve FILE REMOTE…")?);
    let store = Store::open(&path)?;
    let mut listeners = Vec::new();
    for remote in args {
        listeners.push(store.listen(&remote.parse::<Remote>()?).await?);
        println!("listening on {remote}");
    }
    std::future::pending().await
}
