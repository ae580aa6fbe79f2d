//! Reasons in words.

use std::{collections::BTreeMap, fmt};

use super::{
    CopyOf, HostRefusal, Reason, Refusal,
    refusal::{all, nearest},
};
use crate::ids::HostName;

/// Hosts that are named of those that are ruled out alike.
const ALIKE: usize = 4;
/// What rules hosts out, as far as anybody reads it.
const REFUSALS: usize = 12;

impl fmt::Display for Reason {
    #[expect(
        clippy::too_many_lines,
        reason = "one line per reason; a table reads best whole"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PredecessorNotReady { ordinal } => write!(f, "ordinal {ordinal} is not ready"),
            Self::PredecessorNotStarted { ordinal } => {
                write!(f, "ordinal {ordinal} has not started")
            }
            Self::SuccessorNotStopped { ordinal } => write!(f, "ordinal {ordinal} is not gone"),
            Self::NoEligibleHost { hosts } if hosts.is_empty() => f.write_str("there is no host"),
            Self::NoEligibleHost { hosts } => {
                write!(f, "no host can take it: {}", refusals(hosts))
            }
            Self::RequirementUnmet { host, unmet } => write!(f, "{host}: {}", all(unmet)),
            Self::HostUnknown { host } => write!(f, "{host} is out of contact"),
            Self::LeaseRunning { host, until } => {
                write!(
                    f,
                    "{host} is out of contact and may run it; its lease is over at {until}"
                )
            }
            Self::FenceNotConfirmed { host } => write!(
                f,
                "{host} is out of contact, does not reboot itself, and is not confirmed to be off"
            ),
            Self::UnfencedWriter { host, claim } => write!(
                f,
                "{host} is out of contact, and what it has not written yet may still reach the \
                 volume of claim {claim}"
            ),
            Self::OwnerNotOnVolume { claim } => write!(
                f,
                "the volume of claim {claim} takes no owner record, so its member cannot fail over"
            ),
            Self::HistoryMismatch { hosts } if hosts.is_empty() => {
                f.write_str("the store was restored from a backup, and nobody accepted that yet")
            }
            Self::HostsAwaited { hosts } => write!(
                f,
                "{} not heard of since the restored store was accepted",
                join(hosts)
            ),
            Self::HistoryMismatch { hosts } => {
                write!(
                    f,
                    "what the agents of {} have was not sent by this coordinator",
                    join(hosts)
                )
            }
            Self::AddressPoolMissing { pool } => write!(f, "AddressPool '{pool}' does not exist"),
            Self::AddressPoolExhausted { pool } => write!(f, "AddressPool '{pool}' is full"),
            Self::ZoneNotAcknowledged { hosts } => {
                write!(f, "its name is not served yet on {}", join(hosts))
            }
            Self::StopNotConfirmed { host, epoch } => {
                write!(f, "epoch {epoch} on {host} is not proven gone")
            }
            Self::ConfigMissing(missing) => missing.fmt(f),
            Self::ConfigNotDelivered { host } => {
                write!(f, "{host} has not written the files of its revision yet")
            }
            Self::FoundersIncomplete { ordinal } => {
                write!(
                    f,
                    "all members found the set, and ordinal {ordinal} has no host"
                )
            }
            Self::FoundingDiskLost { member } => {
                write!(
                    f,
                    "founder {member} lost its volume, or its host without a word, before it was \
                     known to serve"
                )
            }
            Self::ClassMissing { claim, class } => {
                write!(f, "storage class '{class}' of claim {claim} does not exist")
            }
            Self::NoMatchingVolume { claim, volumes } if volumes.is_empty() => {
                write!(f, "there is no volume for claim {claim}")
            }
            Self::NoMatchingVolume { claim, volumes } => {
                write!(f, "no volume fits claim {claim}: {}", nearest(volumes))
            }
            Self::ExportTaken {
                claim,
                path,
                volume,
            } => write!(
                f,
                "claim {claim} would have {path}, which overlaps volume {volume}"
            ),
            Self::ClaimMismatch { claim, differences } => write!(
                f,
                "claim {claim} does not satisfy the template: {}",
                differences.join("; ")
            ),
            Self::ClaimMissing { claim } => write!(f, "claim {claim} does not exist"),
            Self::ClaimPending { claim } => write!(f, "claim {claim} is not bound to a volume"),
            Self::WaitForFirstConsumer { claim } => {
                write!(f, "no member uses claim {claim} yet")
            }
            Self::VolumeInUse { claim, mode, by } => {
                write!(f, "claim {claim} ({}) is used by {by}", mode.short())
            }
            Self::ClaimStale { claim } => {
                write!(f, "claim {claim} goes and is not gone; it gets a fresh one")
            }
            Self::DependencyMissing { set } => {
                write!(f, "it depends on set {set}, which does not exist")
            }
            Self::DependencyNotReady { set, gate } => {
                write!(
                    f,
                    "it depends on set {set}, and not all its members are {gate}"
                )
            }
            Self::DependantNotStopped { set } => {
                write!(f, "set {set} depends on it and is not gone")
            }
            Self::Orphaned => f.write_str("its set was deleted without it; it runs on as it is"),
            Self::VolumeGone(bound) => write!(f, "{bound} is in the trash"),
            Self::VolumeRestoring(bound) => {
                write!(f, "{bound} is on its way back from the trash")
            }
            Self::DataSourceMissing(CopyOf { claim, source }) => write!(
                f,
                "claim {claim} is to begin with {source}, which does not exist"
            ),
            Self::DataSourceNotReady(CopyOf { claim, source }) => write!(
                f,
                "{claim} is to be a copy of {source}, which is not complete yet"
            ),
            Self::CopyRefused { claim, because } => {
                write!(f, "the copy for {claim} cannot be made: {because}")
            }
            Self::CopyNeedsStop { claim, by } => write!(
                f,
                "the storage copies the volume of claim {claim} only while nobody writes to it, \
                 and {by} runs on it"
            ),
            Self::VolumePopulating(CopyOf { claim, source }) => write!(
                f,
                "the volume of claim {claim} is still being copied from {source}"
            ),
            Self::VolumeGrowing(growth) => growth.fmt(f),
            Self::VolumeCopied { claim, to } => write!(
                f,
                "the volume of claim {claim} is being copied to {to}, and must not change meanwhile"
            ),
            Self::RevisionOutdated => f.write_str("it runs an older revision of the template"),
            Self::RestartAsked => f.write_str("its restart was asked for and waits for the others"),
            Self::OfflineAsked => f.write_str("it is to go offline and waits for the others"),
            Self::Offline { why } if why.is_empty() => f.write_str("an operator took it offline"),
            Self::Offline { why } => write!(f, "an operator took it offline: {why}"),
            Self::DrainAsked { host } => {
                write!(
                    f,
                    "{host} is being drained; it waits for the others to move"
                )
            }
            Self::DrainPinned { host } => write!(
                f,
                "{host} is being drained; it stays, because it can live nowhere else"
            ),
            Self::DrainNowhere { host, hosts } => write!(
                f,
                "{host} is being drained, and no other host can take it: {}",
                refusals(hosts)
            ),
            Self::MoveAsked { host } => {
                write!(f, "it is to leave {host}, and waits for the others")
            }
            Self::MoveNowhere { host, hosts } => write!(
                f,
                "it is to leave {host}, and cannot go where it is to: {}",
                refusals(hosts)
            ),
            Self::MemberMoving(moving) => moving.fmt(f),
            Self::HostDrained { host } => {
                write!(f, "{host} is being drained, nothing starts there")
            }
            Self::OlderRevisionThere { ordinal } => write!(
                f,
                "ordinal {ordinal} still has another revision, and Recreate starts none before all \
                 of those are gone"
            ),
            Self::BudgetSpent {
                cause,
                available,
                floor,
            } => write!(
                f,
                "{cause}; {available} other members are available, and the disruption budget \
                 asks for {floor}"
            ),
            Self::UpdatesPaused => {
                f.write_str("it runs an older revision of the template, and updates are paused")
            }
            Self::RolloutStalled { seconds } => write!(
                f,
                "it runs an older revision of the template, and the rollout did not get better for \
                 {seconds} s"
            ),
            Self::BelowPartition { first } => write!(
                f,
                "it keeps its revision of the template: the partition begins at ordinal {first}"
            ),
            Self::UpdatedOnRestart => f.write_str(
                "it runs an older revision of the template, and OnDelete replaces no member",
            ),
            Self::PlanRefused { rule } => write!(f, "the checker refused the plan: {rule}"),
            Self::Ordered { host } => write!(f, "{host} has the order"),
            Self::LeaseNotHeld => {
                f.write_str("its host has no lease: no word from the coordinator is new enough")
            }
            Self::OtherMachine(machines) => machines.fmt(f),
            Self::HeldByOperator => f.write_str("stopped by an operator on its host"),
            Self::HostShuttingDown => f.write_str("its host is being shut down"),
            Self::CommandMissing {
                process,
                path,
                error,
            } => {
                write!(f, "process {process}: {path}: {error}")
            }
            Self::UserMissing { process, privilege } => {
                write!(f, "process {process}: {privilege} does not exist")
            }
            Self::Forbidden(forbidden) => write!(f, "{forbidden}"),
            Self::LimitsNotEnforced(unenforced) => unenforced.fmt(f),
            Self::PoolMissing { pool } => write!(f, "the host has no pool '{pool}'"),
            Self::PortTaken { socket, by, pid } => {
                write!(f, "{socket} is taken by {by} (pid {pid})")
            }
            Self::VolumeForeign { volume, owner } => {
                write!(f, "volume {volume} belongs to {owner}")
            }
            Self::VolumeEmpty { volume } => {
                write!(
                    f,
                    "volume {volume} was filled before and is empty or missing now"
                )
            }
            Self::VolumeNotEmpty { volume } => {
                write!(
                    f,
                    "volume {volume} is new and holds data that nobody declared"
                )
            }
            Self::PoolNotMounted { pool, path } => {
                write!(f, "{path} is not pool '{pool}': its disk is not mounted")
            }
            Self::VolumeNotLimited { volume, pool } => write!(
                f,
                "volume {volume} must be held to its size, and nothing in pool '{pool}' is"
            ),
            Self::MountFailed {
                volume,
                source,
                error,
            } => write!(f, "volume {volume}: {source}: {error}"),
            Self::VolumeHung {
                volume,
                source,
                step,
            } => write!(f, "volume {volume}: {source} does not answer ({step})"),
            Self::VolumeStale { volume, source } => write!(
                f,
                "volume {volume}: {source} is not what was mounted any more; it is mounted anew"
            ),
            Self::VolumeBusy { volume, by } => write!(f, "volume {volume} is still held by {by}"),
            Self::VolumeNoSpace(lack) => lack.fmt(f),
            Self::UserIdMismatch(ids) => ids.fmt(f),
            Self::PathEscape { volume, path } => write!(
                f,
                "volume {volume}: subPath '{path}' leads over a symbolic link or out of the volume"
            ),
            Self::StepFailed { step, error } => write!(f, "{step}: {error}"),
            Self::RenderFailed { field, error } => write!(f, "{field}: {error}"),
            Self::InitProcess {
                process,
                exit: None,
                ..
            } => write!(f, "init process {process} runs"),
            Self::InitProcess {
                process,
                exit: Some(exit),
                restarts,
            } => write!(
                f,
                "init process {process} {exit} and is tried again; restarted {restarts} times"
            ),
            Self::PostStart {
                process,
                error: None,
            } => write!(f, "postStart of {process} has not ended yet"),
            Self::PostStart {
                process,
                error: Some(error),
            } => write!(f, "postStart of {process}: {error}"),
            Self::ReadinessGate(gate) => gate.fmt(f),
            Self::BackOff {
                process,
                exit,
                restarts,
            } => {
                write!(f, "process {process} {exit}; restarted {restarts} times")
            }
            Self::StartupProbe(failure) => write!(f, "startup {failure}"),
            Self::ReadinessProbe(failure) => write!(f, "readiness {failure}"),
            Self::LivenessProbe(failure) => write!(f, "liveness {failure}"),
            Self::Stopping { processes } => write!(f, "stopping {}", join(processes)),
            Self::NeverKilled { processes } => write!(
                f,
                "the grace period is over and {} still runs; neverKill spares it",
                join(processes)
            ),
        }
    }
}

/// Per host why not; those that are ruled out alike are told together.
fn refusals(hosts: &[HostRefusal]) -> String {
    let mut alike: BTreeMap<&Refusal, Vec<&HostName>> = BTreeMap::new();
    for one in hosts {
        alike.entry(&one.because).or_default().push(&one.host);
    }
    let mut groups: Vec<_> = alike.into_iter().collect();
    // In the order of the hosts.
    groups.sort_by(|(_, one), (_, other)| one.cmp(other));
    let shown = groups.iter().take(REFUSALS);
    let mut texts: Vec<String> = shown
        .map(|(because, hosts)| format!("{}: {because}", some(hosts)))
        .collect();
    let rest = groups.iter().skip(REFUSALS);
    let more: usize = rest.map(|(_, hosts)| hosts.len()).sum();
    if more > 0 {
        texts.push(format!("and {more} more hosts"));
    }
    texts.join("; ")
}

/// The first of many hosts.
fn some(hosts: &[&HostName]) -> String {
    let more = hosts.len().saturating_sub(ALIKE);
    let shown = join(hosts.get(..ALIKE).unwrap_or(hosts));
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn join<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_ruled_out_alike_are_told_together() {
        let refused = |n: usize, because| HostRefusal {
            host: format!("host-{n:02}").parse().unwrap(),
            because,
        };
        let full = |pool: &str| Refusal::NoPool {
            pool: pool.to_owned(),
        };
        let mut hosts: Vec<_> = (0..6).map(|n| refused(n, Refusal::Cordoned)).collect();
        hosts.insert(1, refused(99, Refusal::OutOfContact));
        hosts.push(refused(7, full("fast")));
        let text = Reason::NoEligibleHost { hosts }.to_string();
        assert_eq!(
            text,
            "no host can take it: host-00, host-01, host-02, host-03 and 2 more: cordoned; host-07: \
             has no pool 'fast'; host-99: out of contact"
        );
        let many = (0..20).map(|n| refused(n, full(&n.to_string())));
        let text = refusals(&many.collect::<Vec<_>>());
        assert!(
            text.ends_with("host-11: has no pool '11'; and 8 more hosts"),
            "{text}"
        );
    }
}
