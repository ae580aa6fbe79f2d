//! What a process says of itself, by the protocol of systemd's `sd_notify`: lines of `NAME=value` in
//! a datagram. What is not listed at [`Said::take`] is not followed; nothing is refused, for a
//! program does not hear the answer.

use serde::{Deserialize, Serialize};

/// The longest status that is kept, in characters.
const MAX_STATUS: usize = 256;

/// All that a run of a process has said so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// It is ready.
    pub ready: bool,
    /// It loads its configuration anew, and has not said since that it is ready.
    pub reloading: bool,
    /// It is about to end.
    pub stopping: bool,
    /// What it does, for people.
    pub status: Option<String>,
    /// How often it said that it lives.
    pub watchdog: u64,
    /// It said that it has failed.
    pub failed: bool,
}

impl Said {
    /// Takes in a datagram.
    pub fn take(&mut self, datagram: &[u8]) {
        let text = String::from_utf8_lossy(datagram);
        for line in text.split('\n') {
            match line.split_once('=') {
                Some(("READY", "1")) => {
                    self.ready = true;
                    self.reloading = false;
                }
                Some(("RELOADING", "1")) => self.reloading = true,
                Some(("STOPPING", "1")) => self.stopping = true,
                Some(("STATUS", status)) => {
                    let shown = status.chars().filter(|c| !c.is_control());
                    let shown: String = shown.take(MAX_STATUS).collect();
                    self.status = Some(shown).filter(|status| !status.is_empty());
                }
                Some(("WATCHDOG", "1")) => self.watchdog = self.watchdog.wrapping_add(1),
                Some(("WATCHDOG", "trigger")) => self.failed = true,
                Some(_) | None => {}
            }
        }
    }

    /// What is to be shown of it, if anything.
    pub fn shown(&self) -> Option<String> {
        let state = match (self.stopping, self.reloading) {
            (true, _) => Some("stopping"),
            (false, true) => Some("reloading"),
            (false, false) => None,
        };
        let parts: Vec<&str> = state.into_iter().chain(self.status.as_deref()).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_in_one_by_one_and_what_is_unknown_is_left() {
        let mut said = Said::default();
        said.take(b"MAINPID=7\nSTATUS=loading 3 of 9\x1b[1m\n");
        assert_eq!(said.shown().as_deref(), Some("loading 3 of 9[1m"));
        assert!(!said.ready);
        said.take(b"READY=1\nSTATUS=\nWATCHDOG=1");
        assert_eq!((said.ready, said.shown(), said.watchdog), (true, None, 1));
        said.take(b"RELOADING=1\nMONOTONIC_USEC=3");
        assert_eq!(said.shown().as_deref(), Some("reloading"));
        said.take(b"READY=1");
        assert_eq!(said.shown(), None);
        said.take(b"READY=0\nSTOPPING=1\nSTATUS=bye");
        assert!(said.ready, "READY has one value only");
        assert_eq!(said.shown().as_deref(), Some("stopping: bye"));
        said.take(b"\xff\xfe=\x00 WATCHDOG=trigger");
        assert!(!said.failed);
        said.take(b"WATCHDOG=trigger");
        assert!(said.failed);
    }

    #[test]
    fn a_status_is_cut() {
        let mut said = Said::default();
        said.take(format!("STATUS={}", "ä".repeat(1000)).as_bytes());
        assert_eq!(said.status.unwrap().chars().count(), MAX_STATUS);
    }
}
