//! Waiting for the coordinator's side of things: through lost connections, up to a limit, until
//! Ctrl-C. One home, so that every command that waits does it alike.

use std::{future::Future, time::Duration};

use futures_util::future;
use tonic::Status;

use crate::{args::Limit, error::CliError, output, refusal};

/// How long to wait before a broken watch is opened again.
const RETRY: Duration = Duration::from_millis(500);

/// A connection that may be lost and come back.
#[derive(Debug, Default)]
pub(super) struct Link {
    away: bool,
}

impl Link {
    /// It is there.
    pub(super) fn is_up(&mut self) {
        self.away = false;
    }

    /// After a failure of what was being done: waits a little if the connection was lost, and says
    /// so once.
    ///
    /// # Errors
    /// The failure, if it is any other.
    pub(super) async fn again(&mut self, doing: &str, status: &Status) -> Result<(), CliError> {
        if !refusal::lost(status) {
            return Err(refusal::from_status(doing, status));
        }
        if !self.away {
            output::note("the coordinator went away; waiting for it");
        }
        self.away = true;
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

/// How a waiting ends that is not over in time.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    /// The longest time to wait; for ever without.
    pub(super) limit: Option<&'a Limit>,
    /// What is waited for.
    pub(super) what: String,
    /// What to do when the time is over.
    pub(super) late: String,
    /// What goes on when only the waiting was interrupted.
    pub(super) stays: &'static str,
    /// What to do then.
    pub(super) interrupted: String,
}

impl Patience<'_> {
    /// Waits.
    ///
    /// # Errors
    /// That of the waiting, `Timeout` or `Interrupted`.
    pub(super) async fn wait<T>(
        self,
        waiting: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let expired = async {
            match self.limit {
                Some(limit) => tokio::time::sleep(limit.duration).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            done = waiting => done,
            () = expired => Err(CliError::Timeout {
                what: self.what,
                limit: self.limit.map(ToString::to_string).unwrap_or_default(),
                hint: self.late,
            }),
            _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted {
                stays: self.stays.to_owned(),
                hint: self.interrupted,
            }),
        }
    }
}
