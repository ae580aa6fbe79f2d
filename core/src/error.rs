//! How an error is told in one line.

use std::iter::successors;

/// An error with its causes, as one text. A cause that the text before ends with is not told twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    successors(Some(error), |error| error.source()).fold(String::new(), |text, cause| {
        let more = cause.to_string();
        match text.as_str() {
            "" => more,
            text if text.ends_with(&more) => text.to_owned(),
            text => format!("{text}: {more}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("no route")]
    struct Cause;

    #[derive(Debug, Error)]
    enum Outer {
        #[error("cannot connect")]
        Silent(#[source] Cause),
        #[error("cannot connect: {0}")]
        Told(#[source] Cause),
    }

    #[test]
    fn each_cause_is_told_once() {
        for error in [Outer::Silent(Cause), Outer::Told(Cause)] {
            assert_eq!(chain(&error), "cannot connect: no route");
        }
    }
}
