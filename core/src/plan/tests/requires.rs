//! What a set requires of hosts.

use crate::{
    fixture::{NOW, friend::Friends, host_name, key, member, put_set, spec, state},
    plan::Report,
    prerequisite::{Answer, Fact, Finding},
    spec::{RequiredPort, StatefulSetSpec},
    state::{Ordered, State},
    waiting::{Reason, Refusal},
};

fn one(set: &str, wanted: StatefulSetSpec, mut state: State) -> Friends {
    put_set(&mut state, set, wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends
}

fn why(friends: &Friends) -> Reason {
    let Report { waiting, .. } = &friends.report;
    waiting[&member("db", 0)].clone()
}

#[test]
fn a_member_goes_where_what_it_requires_is_known_to_be() {
    let mut wanted = spec(1, false);
    wanted.template.spec.requires.users = vec!["db".to_owned()];
    let required = wanted.template.spec.requires.each().next().unwrap();
    let mut friends = one("db", wanted, state(2));
    let Reason::NoEligibleHost { hosts } = why(&friends) else {
        panic!("{:?}", friends.report);
    };
    let of = vec![required.clone()];
    let unknown = Refusal::RequirementUnknown { required: of };
    assert!(hosts.len() == 2 && hosts.iter().all(|host| host.because == unknown));

    let tell = |friends: &mut Friends, host: u8, fact: &Fact| {
        let contact = &mut friends
            .state
            .hosts
            .get_mut(&host_name(host))
            .unwrap()
            .contact;
        let (of, finding) = (required.clone(), required.judge(fact));
        contact.answered(vec![Answer { of, finding }], friends.now);
    };
    let there = Fact::Value("999".to_owned());
    tell(&mut friends, 1, &Fact::Absent);
    friends.settle();
    assert!(
        why(&friends)
            .to_string()
            .contains("host-1: requires user 'db', found nothing")
    );
    tell(&mut friends, 2, &there);
    friends.plan();
    let id = member("db", 0);
    let of_set = |friends: &Friends| friends.state.sets[&id.set].members[&id.ordinal].clone();
    assert_eq!(of_set(&friends).host, host_name(2));

    // Gone before the start: the member waits where it is, and starts when it is back.
    tell(&mut friends, 2, &Fact::Absent);
    friends.settle();
    assert_eq!(of_set(&friends).ordered, Ordered::Nothing);
    assert!(matches!(why(&friends), Reason::RequirementUnmet { .. }));
    tell(&mut friends, 2, &there);
    friends.settle();
    assert_eq!(of_set(&friends).ordered, Ordered::Run);
    // One that runs is left alone, whatever is found by now.
    tell(&mut friends, 2, &Fact::Absent);
    friends.settle();
    assert_eq!(of_set(&friends).ordered, Ordered::Run);
}

#[test]
fn who_held_a_port_is_forgotten_with_the_member_that_left() {
    let mut wanted = spec(1, false);
    wanted.template.spec.requires.ports = vec![RequiredPort {
        port: 80,
        ..RequiredPort::default()
    }];
    let required = wanted.template.spec.requires.each().next().unwrap();
    let mut state = state(1);
    let contact = |state: &mut State| state.hosts.get_mut(&host_name(1)).unwrap().contact.clone();
    let finding = Finding::Met;
    let of = required;
    state
        .hosts
        .get_mut(&host_name(1))
        .unwrap()
        .contact
        .answered(vec![Answer { of, finding }], NOW);
    let mut friends = one("db", wanted, state);
    friends.settle();
    assert_eq!(contact(&mut friends.state).asked.len(), 1);
    let mut none = (*friends.state.sets[&key("db")].spec).clone();
    none.replicas = Some(0);
    put_set(&mut friends.state, "db", none);
    friends.settle();
    assert!(contact(&mut friends.state).asked.is_empty());
}

#[test]
fn all_that_a_host_lacks_is_told_at_once() {
    let mut wanted = spec(1, false);
    let requires = &mut wanted.template.spec.requires;
    requires.users = vec!["db".to_owned(), "there".to_owned()];
    requires.sysctls = [("vm.swappiness".to_owned(), "<=1".to_owned())].into();
    let all: Vec<_> = requires.each().collect();
    let mut friends = one("db", wanted, state(1));
    let contact = &mut friends.state.hosts.get_mut(&host_name(1)).unwrap().contact;
    let answers = all.into_iter().map(|of| {
        let fact = match of.to_string().as_str() {
            "user 'there'" => Fact::Value("999".to_owned()),
            "user 'db'" => Fact::Absent,
            _ => Fact::Value("60".to_owned()),
        };
        let finding = of.judge(&fact);
        Answer { of, finding }
    });
    contact.answered(answers.collect(), friends.now);
    friends.settle();
    assert_eq!(
        why(&friends).to_string(),
        "no host can take it: host-1: requires sysctl vm.swappiness <=1, found 60; set it there with \
         sysctl -w, and in /etc/sysctl.d, and requires user 'db', found nothing; create the user there"
    );
}
