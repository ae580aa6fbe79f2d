//! `berth explain`: what the reasons mean why members wait, and what frees one.

use berth_core::waiting::Rule;

use super::{Context, get};
use crate::{
    args::{ExplainArgs, Format, Global},
    error::CliError,
    output::{self, age, explain as words, format},
    target,
};

/// What is to be explained.
enum Subject {
    /// All rules.
    All,
    /// One rule.
    Rule(Rule),
    /// Why this member waits.
    Member(String),
}

/// What the arguments are about. Names of members are in lower case, those of rules are not.
fn subject(args: &ExplainArgs) -> Result<Subject, CliError> {
    let Some(what) = &args.what else {
        return Ok(Subject::All);
    };
    if let Ok(rule) = what.parse() {
        return Ok(Subject::Rule(rule));
    }
    if what.chars().any(char::is_uppercase) {
        return Err(CliError::NotFound {
            what: format!("the rule '{what}'"),
            hint: "`berth explain` lists them; a member is named as in etcd-0".to_owned(),
        });
    }
    target::parse_member(what).map(Subject::Member)
}

/// Explains. Only a member needs the coordinator.
pub(crate) async fn run(global: &Global, args: &ExplainArgs) -> Result<(), CliError> {
    let output = args.format.output;
    match subject(args)? {
        Subject::All => rules(Rule::ALL, output),
        Subject::Rule(rule) => rules(&[rule], output),
        Subject::Member(name) => member(&super::connect(global).await?, &name, output).await,
    }
}

/// All rules, or one.
fn rules(rules: &[Rule], output: Format) -> Result<(), CliError> {
    if let Some(text) = format::structured(output, &words::views(rules))? {
        return output::data(&text);
    }
    match rules {
        [rule] => output::data(&words::rule(*rule)),
        all => output::data(&words::list(all)),
    }
}

/// Why a member waits now.
async fn member(context: &Context, name: &str, output: Format) -> Result<(), CliError> {
    let members = get::all_members(context, &context.namespace).await?;
    let found = members.into_iter().find(|member| member.name == name);
    let member = found.ok_or_else(|| get::no_member(context, name))?;
    if let Some(text) = format::structured(output, &words::view(&member))? {
        return output::data(&text);
    }
    output::data(&words::member(&member, age::now()))
}

#[cfg(test)]
mod tests {
    use berth_core::waiting::Way;
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    /// The verbs that an operator has to learn (section 10 of the design), and the everyday commands.
    const VERBS: &[&str] = &[
        "host uncordon",
        "host confirm-dead",
        "member force",
        "admin accept-restore",
        "host drain",
        "member restart",
        "member offline",
        "member online",
        "member replace",
        "member move",
        "member condition",
        "volume release",
        "volume adopt",
        "volume delete",
        "volume undelete",
        "volume describe",
        "rollout resume",
        "set refound",
        "local start",
        "local resume",
        "apply",
        "delete",
        "scale",
        "describe",
        "events",
        "logs",
    ];

    #[test]
    fn what_frees_a_wait_is_a_command_that_exists_or_says_what_is_to_come() {
        for rule in Rule::ALL {
            assert!(!rule.frees().is_empty(), "{rule}");
            assert!(rule.means().ends_with('.') && rule.causes().ends_with('.'));
            for way in rule.frees() {
                match way {
                    Way::Verb(command, _) => {
                        let line = command.replace(" N", " 3").replace("=N", "=3");
                        let parsed = Cli::try_parse_from(line.split_whitespace());
                        assert!(parsed.is_ok(), "{rule}: {line}: {parsed:?}");
                        let verb = command.strip_prefix("berth ").unwrap();
                        let known = VERBS.iter().any(|known| {
                            verb.strip_prefix(known)
                                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                        });
                        assert!(known, "{rule}: {command} is in no table");
                    }
                    Way::ByHand(text) | Way::Event(text) => {
                        assert!(
                            !text.is_empty() && !text.contains("berth "),
                            "{rule}: {text}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn names_of_rules_and_of_members_are_told_apart() {
        let of = |what: &str| {
            subject(&ExplainArgs {
                what: Some(what.to_owned()),
                format: crate::args::FormatArgs {
                    output: Format::Table,
                },
            })
        };
        assert!(matches!(of("backoff"), Ok(Subject::Rule(Rule::BackOff))));
        assert!(matches!(of("member/etcd-0"), Ok(Subject::Member(name)) if name == "etcd-0"));
        assert!(of("NoSuchRule").is_err());
    }
}
