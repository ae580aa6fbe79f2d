//! `berth dev`: a coordinator and several hosts on this machine, from the same programs that run
//! in production, as children of this process.
//!
//! Map: [`layout`] says where everything is, [`checks`] what must be given, [`daemon`] keeps one
//! program running, [`cluster`] brings all of them up, [`join`] has the hosts join
//! as real ones do, [`members`] stops the members in order at
//! the end and starts them again next time, [`record`] is what scripts can read about it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{args::DevArgs, error::CliError, output};

mod checks;
mod cluster;
mod daemon;
mod join;
mod layout;
mod leftovers;
mod members;
mod record;

use cluster::Cluster;
use layout::Layout;

/// Runs until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> Result<(), CliError> {
    checks::root()?;
    let layout = Layout::new(&args.dir, args.hosts)?;
    let programs = checks::programs()?;
    let _lock = record::lock(&layout)?;
    leftovers::stop(&layout).await;
    checks::names(&layout)?;
    layout.write_configs()?;
    let mut signals = Signals::new()?;
    let mut cluster = Cluster::new(layout, programs);
    let outcome = tokio::select! {
        outcome = cluster.bring_up() => outcome,
        () = signals.next() => Ok(()),
    };
    if outcome.is_ok() && cluster.is_up() {
        output::data(&cluster.ready_line())?;
        signals.next().await;
    }
    if cluster.is_up() {
        output::note("stopping members, then hosts, then the coordinator; Ctrl-C again kills");
    }
    let stopped = tokio::select! {
        () = cluster.stop() => Ok(()),
        () = signals.next() => Err(()),
    };
    if stopped.is_err() {
        cluster.kill().await;
        return Err(CliError::Interrupted {
            stays: "everything was killed, volumes are as the members left them".to_owned(),
            hint: "`berth dev` with the same --dir brings the same cluster back".to_owned(),
        });
    }
    outcome
}

/// The signals that ask this process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(CliError::Runtime);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
