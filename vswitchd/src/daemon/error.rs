//! What keeps the daemon from running.

use std::io;
use std::path::PathBuf;

use aorta_kernel::netdev::NetdevError;
use aorta_ovsdb::StoreError;
use aorta_ovsdb::log::LogError;

use crate::mgmt::ApiError;
use crate::ofproto::JournalError;
use crate::pidfile::PidfileError;
use crate::place::PlaceError;
use crate::promisc::PromiscError;
use crate::reconcile::EffectError;
use crate::remotes::{GroupError, RemotesError};

/// Why the daemon can't run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Somebody else serves the database that was named.
    #[error(
        "{}: another database server answers there. This switch serves its database itself: stop \
         that server, and start the switch again with --db FILE, which may be that server's file",
        .0.display()
    )]
    OtherDatabase(PathBuf),
    /// The database can't be reached as was said.
    #[error(
        "{0}: this switch serves its database itself, on unix sockets and --remote; leave the \
         argument away, or name a socket that it is to make (unix:PATH)"
    )]
    ForeignDatabase(String),
    /// A directory is missing.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It runs already, or its pidfile can't be written.
    #[error(transparent)]
    Pidfile(#[from] PidfileError),
    /// The database can't be opened or closed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database refused.
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    /// A remote of the database can't be had.
    #[error(transparent)]
    Remotes(#[from] RemotesError),
    /// There is no such group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The kernel's datapath can't be had.
    #[error(transparent)]
    Datapath(#[from] aorta_kernel::DatapathError),
    /// The kernel's list of devices can't be had.
    #[error(transparent)]
    Netdev(#[from] NetdevError),
    /// A device can't be read.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// The memory of promiscuous NICs can't be had.
    #[error(transparent)]
    Promisc(#[from] PromiscError),
    /// The journal of flow tables can't be had.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Packets that ask for flows can't be waited for.
    #[error("cannot wait for packets that ask for flows")]
    Upcalls(#[source] io::Error),
    /// The management API can't be served.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Another socket can't be had.
    #[error("cannot listen on {path}")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A task came to no end of its own.
    #[error("a task of the daemon failed")]
    Task(#[from] tokio::task::JoinError),
    /// Signals can't be received, or the terminal can't be left.
    #[error("cannot set up the process")]
    Process(#[source] io::Error),
    /// Something could not be removed.
    #[error("not everything was removed: {0}")]
    Incomplete(String),
}
