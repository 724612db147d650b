//! Through which sockets clients reach the database: those of the command line, and those that
//! rows of the database name, as these come and go.

mod desired;
mod group;
mod open;
mod plan;
mod spec;
mod status;
mod task;

use std::path::PathBuf;

use aorta_ovsdb::{ListenError, Remote};

pub use group::{GroupError, gid};
pub use spec::{ColumnSpec, FileSpec, Spec, SpecError};
pub use status::RowStatus;
pub use task::{Order, Remotes};

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpecs {
    /// Our private key.
    pub private_key: FileSpec,
    /// Our certificate.
    pub certificate: FileSpec,
    /// The CA certificate that peers' certificates must chain to.
    pub ca_cert: FileSpec,
    /// A CA certificate to send to peers.
    pub peer_ca_cert: Option<FileSpec>,
    /// Whether a first connection may bring the CA certificate, whatever the database says.
    pub bootstrap: bool,
}

/// What the command line says about remotes.
#[derive(Debug, Clone)]
pub struct RemotesConfig {
    /// Remotes, in OVS's notation or as a column of the database.
    pub remotes: Vec<String>,
    /// Where certificates come from.
    pub files: FileSpecs,
    /// Group whose members may connect to sockets in the file system.
    pub group: Option<u32>,
    /// Directory of sockets that are given without one.
    pub rundir: PathBuf,
}

/// Remotes that keep the daemon from starting.
#[derive(Debug, thiserror::Error)]
pub enum RemotesError {
    /// One makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A socket can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The database is closed.
    #[error(transparent)]
    Store(#[from] aorta_ovsdb::StoreError),
}

/// A socket without a directory is in the rundir.
pub fn anchored(remote: Remote, rundir: &std::path::Path) -> Remote {
    match remote {
        Remote::ListenUnix(path) => Remote::ListenUnix(rundir.join(path)),
        Remote::Unix(path) => Remote::Unix(rundir.join(path)),
        other => other,
    }
}
