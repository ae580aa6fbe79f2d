//! Rules about amounts: of memory, CPU and the kernel's limits.

use super::{Problems, words};
use crate::{
    quantity::Quantity,
    spec::{Process, process::RlimitValue},
};

/// What a process may use.
pub(super) fn process(problems: &mut Problems, at: &str, process: &Process) {
    let resources = &process.resources;
    for (list, amounts) in [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ] {
        for (name, text) in amounts {
            let field = format!("{at}.resources.{list}.{name}");
            match unit(name) {
                Some(unit) => {
                    amount(problems, &field, text, unit);
                }
                None => problems.add(
                    field,
                    format!("'{name}' is not known here; use cpu or memory"),
                ),
            }
        }
    }
    for (name, text) in &resources.requests {
        let value = |text: &String| {
            let quantity: Quantity = text.parse().ok()?;
            unit(name)?(&quantity).ok()
        };
        let limit = resources.limits.get(name);
        if let (Some(asked), Some(most)) = (value(text), limit.and_then(value))
            && asked > most
        {
            problems.add(
                format!("{at}.resources.requests.{name}"),
                format!("{text} is more than the limit; give at most the limit"),
            );
        }
    }
    rlimits(problems, at, process);
}

pub(super) type Unit = fn(&Quantity) -> Result<u64, crate::quantity::QuantityError>;

fn unit(name: &str) -> Option<Unit> {
    match name {
        "cpu" => Some(Quantity::milli),
        "memory" => Some(Quantity::units),
        _ => None,
    }
}

/// The amount that a text says, if it is one.
pub(super) fn amount(problems: &mut Problems, field: &str, text: &str, unit: Unit) -> Option<u64> {
    match text.parse().and_then(|quantity| unit(&quantity)) {
        Ok(value) => Some(value),
        Err(e) => {
            problems.add(field, e.to_string());
            None
        }
    }
}

fn rlimits(problems: &mut Problems, at: &str, process: &Process) {
    for (name, value) in &process.rlimits {
        let field = format!("{at}.rlimits.{name}");
        if !words::is_rlimit(name) {
            problems.add(
                &field,
                format!(
                    "'{name}' is not a resource limit; use one of {}",
                    words::rlimits()
                ),
            );
        }
        if let RlimitValue::Word(word) = value
            && word != "unlimited"
        {
            problems.add(
                &field,
                format!("'{word}' is not a limit; give a number or unlimited"),
            );
        }
    }
}
