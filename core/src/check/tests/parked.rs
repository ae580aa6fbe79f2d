//! What is not a set's: a refused step of it holds it alone.

use super::{
    data::{bind_static, copied, snapshot, two_volumes},
    *,
};
use crate::{plan::Parked, waiting::Reason};

/// Something, and a step about it that is refused.
fn refused() -> Vec<(Subject, State, Step)> {
    let twice = two_volumes();
    let bind = bind_static(&twice, "one", "two");
    let mut trash = two_volumes();
    let name = volume_key("one");
    let since = Timestamp(NOW.0 - 10);
    trash.volumes.get_mut(&name).unwrap().state = VolumeState::Trashed { since };
    trash.trash_keep = Some(std::time::Duration::from_secs(3600));
    let purge = Step::PurgeVolume { name: name.clone() };
    let state = running().state;
    let take = snapshot(&state, 0);
    vec![
        (Subject::Claim(key("one")), twice, bind),
        (Subject::Volume(name), trash, purge),
        (Subject::Snapshot(key("one")), state, take),
    ]
}

#[test]
fn a_refused_step_of_no_set_holds_what_it_is_about_and_nothing_else() {
    for (subject, mut state, step) in refused() {
        other_set(&mut state, false);
        let planner = |state: &State, now, parked: &Parked| {
            let (mut plan, report) = plan_without(state, now, parked);
            if !parked.contains_key(&subject) {
                plan.steps.push(step.clone());
            }
            (plan, report)
        };
        let (plan, report, breaches) = checked(&state, NOW, planner);
        assert!(!breaches.is_empty(), "{subject}");
        for breach in &breaches {
            assert_eq!(breach.about.as_ref(), Some(&subject), "{breach}");
        }
        assert!(!plan.steps.contains(&step), "{subject}");
        let mut about = plan.steps.iter().filter_map(Step::member);
        assert!(about.any(|(set, _)| *set == key("other")), "{subject}");
        let rule = breaches[0].rule.name().to_owned();
        match &subject {
            Subject::Claim(claim) => {
                assert_eq!(report.claims[claim], Reason::PlanRefused { rule });
            }
            Subject::Volume(_) | Subject::Snapshot(_) => {
                assert_eq!(report.refused[&subject], rule);
            }
            Subject::Set(_) => unreachable!("none is in the table"),
        }
    }
}

#[test]
fn what_is_parked_gets_no_step() {
    let mut state = copied();
    for name in ["mine", "theirs", "old"] {
        static_volume(&mut state, name, 5);
        hand_made(&mut state, name, 5);
    }
    let step = bind_static(&state, "old", "old");
    state.apply(&step, NOW);
    let name = volume_key("old");
    let since = Timestamp(0);
    state.volumes.get_mut(&name).unwrap().state = VolumeState::Trashed { since };
    state.trash_keep = Some(std::time::Duration::ZERO);
    let about = |parked: &Parked| -> Vec<Subject> {
        let (plan, _) = plan_without(&state, NOW, parked);
        let of = plan
            .steps
            .iter()
            .filter_map(|step| Subject::of(step, &state));
        of.collect()
    };
    let all = [
        Subject::Volume(name),
        Subject::Claim(key("mine")),
        Subject::Claim(key("theirs")),
        Subject::Snapshot(key("one")),
    ];
    let free = about(&Parked::new());
    for subject in &all {
        assert!(free.contains(subject), "{subject}: {free:?}");
        let parked = [(subject.clone(), "a rule".to_owned())].into();
        let held = about(&parked);
        let others: Vec<_> = free.iter().filter(|other| *other != subject).collect();
        assert_eq!(held.iter().collect::<Vec<_>>(), others);
    }
}
