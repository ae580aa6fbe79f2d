//! How a plan looks: what changes of the objects, what is executed at once and why, and what is
//! foreseen to follow.

use std::fmt::Write as _;

use berth_proto::v1;

use super::tables::subject;

/// A plan for people.
pub(crate) fn text(plan: &v1::PlanResponse, default_namespace: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for object in &plan.objects {
        writeln!(text, "{}", planned(object, default_namespace)).ok();
        for field in &object.fields {
            writeln!(text, "    {}", changed(field)).ok();
        }
    }
    if !plan.steps.is_empty() {
        text.push_str("at once:\n");
        steps(&mut text, &plan.steps, 0);
    }
    if !plan.forecast.is_empty() {
        text.push_str("forecast, if every start becomes ready and every stop ends:\n");
        steps(&mut text, &plan.forecast, plan.steps.len());
        if plan.forecast_cut {
            text.push_str("  ... and so on: more is not foreseen\n");
        }
    }
    list(&mut text, "stays held:", &plan.waiting);
    list(&mut text, "disrupts:", &plan.disruptions);
    text
}

/// What would become of an object: `create StatefulSet/etcd`.
fn planned(object: &v1::AppliedObject, default_namespace: &str) -> String {
    use v1::applied_object::Change;
    let verb = match object.change() {
        Change::Created => "create",
        Change::Configured | Change::Unspecified => "change",
        Change::Unchanged => "keep",
    };
    let reference = object.r#ref.clone().unwrap_or_default();
    format!("{verb} {}", subject(&reference, default_namespace))
}

fn changed(field: &v1::FieldChange) -> String {
    if field.secret {
        return format!("{}: changed (its value is not shown)", field.path);
    }
    match (&field.old, &field.new) {
        (Some(old), Some(new)) => format!("{}: {old} -> {new}", field.path),
        (None, Some(new)) => format!("{}: (nothing) -> {new}", field.path),
        (Some(old), None) => format!("{}: {old} -> (nothing)", field.path),
        (None, None) => field.path.clone(),
    }
}

fn steps(text: &mut String, steps: &[v1::PlannedStep], before: usize) {
    for (index, step) in (before + 1..).zip(steps) {
        match step.why.as_str() {
            "" => writeln!(text, "  {index}. {}", step.text).ok(),
            why => writeln!(text, "  {index}. {}: {why}", step.text).ok(),
        };
    }
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    writeln!(text, "{title}").ok();
    for line in lines {
        writeln!(text, "  - {line}").ok();
    }
}
