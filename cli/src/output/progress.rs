//! One line per member whenever it gets on, for whoever waits.

use std::collections::BTreeMap;

use berth_proto::v1;

/// What was shown last of each member, so that nothing is said twice.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: BTreeMap<String, String>,
}

impl Progress {
    /// The line for a member, if it gets on, or waits for something else. That what it waits for is
    /// told in other words, a list of hosts that grows shorter, is no news.
    pub(crate) fn member(&mut self, member: &v1::MemberStatus) -> Option<String> {
        let rule = member.waiting.as_ref().map(|waiting| &*waiting.rule);
        let told = line(&member.name, &member.phase, readiness(member)) + rule.unwrap_or_default();
        let old = self.shown.insert(member.name.clone(), told.clone());
        (old.as_ref() != Some(&told)).then(|| line(&member.name, &member.phase, &state(member)))
    }

    /// The line for a member that is gone.
    pub(crate) fn gone(&mut self, name: &str) -> Option<String> {
        self.shown
            .remove(name)
            .map(|_| line(name, "gone", "it does not exist any more"))
    }
}

fn line(name: &str, phase: &str, state: &str) -> String {
    format!("  {name:<14} {phase:<10} {state}")
        .trim_end()
        .to_owned()
}

fn readiness(member: &v1::MemberStatus) -> &'static str {
    match (member.ready, member.available) {
        (true, true) => "ready",
        (true, false) => "ready, not long enough to count as available",
        (false, _) => "",
    }
}

fn state(member: &v1::MemberStatus) -> String {
    let readiness = readiness(member);
    match &member.waiting {
        Some(waiting) if readiness.is_empty() => reason(waiting),
        Some(waiting) => format!("{readiness}; {}", reason(waiting)),
        None => readiness.to_owned(),
    }
}

/// A reason in one line: the rule and what it says.
pub(crate) fn reason(waiting: &v1::Waiting) -> String {
    if waiting.message.is_empty() {
        waiting.rule.clone()
    } else {
        format!("{}: {}", waiting.rule, waiting.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_shown_again_only_when_it_gets_on() {
        let mut progress = Progress::default();
        let mut member = v1::MemberStatus {
            name: "etcd-0".to_owned(),
            phase: "Starting".to_owned(),
            waiting: Some(v1::Waiting {
                rule: "StartupProbe".to_owned(),
                message: "connection refused".to_owned(),
                ..v1::Waiting::default()
            }),
            ..v1::MemberStatus::default()
        };
        let line = progress.member(&member).unwrap();
        assert_eq!(
            line,
            "  etcd-0         Starting   StartupProbe: connection refused"
        );
        assert_eq!(progress.member(&member), None);
        if let Some(waiting) = &mut member.waiting {
            waiting.message = "connection reset".to_owned();
        }
        assert_eq!(progress.member(&member), None);
        member.phase = "Running".to_owned();
        member.ready = true;
        member.available = true;
        member.waiting = None;
        assert!(progress.member(&member).unwrap().ends_with("ready"));
        assert!(progress.gone("etcd-0").is_some());
        assert_eq!(progress.gone("etcd-0"), None);
    }
}
