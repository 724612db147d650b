//! Sockets: of the database, of control commands, of the management API.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::runtime::Handle;

use super::{DATABASE, Daemon, DaemonError, SWITCH, within};
use crate::logging::LogControl;
use crate::metrics::Source;
use crate::mgmt::{self, ApiError, ApiSocket};
use crate::reconcile::{Datapath, Effects};
use crate::remotes::{Remotes, RemotesConfig};
use crate::unixctl::{self, Commands, ControlSocket, Target};

/// Sockets that live as long as the daemon.
pub(super) type Sockets = (Vec<ControlSocket>, ApiSocket);

impl<E: Effects, D: Datapath> Daemon<E, D> {
    /// Opens all sockets; clients of them are tasks of `clients`.
    pub(super) async fn listen(
        &mut self,
        remotes: RemotesConfig,
        (api, metrics): (Option<SocketAddr>, Option<SocketAddr>),
        extra: Option<PathBuf>,
        log: &LogControl,
        clients: &Handle,
    ) -> Result<Sockets, DaemonError> {
        let (store, tls) = (self.store.clone(), self.tls.clone());
        let started = clients.spawn(async move { Remotes::start(&store, remotes, tls).await });
        self.remotes = Some(started.await??);
        let rundir = &self.place.rundir;
        let control = |target, path: PathBuf| {
            let (control, log) = (self.control.clone(), log.clone());
            let commands = Commands::new(target, control, self.store.clone(), log);
            let commands = commands.simulated(self.net.is_some());
            let socket = within(clients, || unixctl::serve(&path, commands));
            socket.map_err(|source| DaemonError::Socket { path, source })
        };
        let usual = |name| unixctl::socket_path(rundir, name);
        let mut controls = vec![
            control(Target::Switch, usual(SWITCH))?,
            control(Target::Database, usual(DATABASE))?,
        ];
        if let Some(path) = extra {
            controls.push(control(Target::Switch, path)?);
        }
        let (control, store) = (self.control.clone(), self.store.clone());
        let datapath = if self.net.is_some() { "sim" } else { "kernel" };
        let file = self.place.db.clone();
        let source = Source::new(control.clone(), store.clone(), file, datapath);
        let rundir = rundir.clone();
        let api = async move {
            let mut api = mgmt::serve(&rundir, api, control, store, source).await?;
            if let Some(address) = metrics {
                api.serve_metrics(address).await?;
            }
            Ok::<_, ApiError>(api)
        };
        Ok((controls, clients.spawn(api).await??))
    }
}
