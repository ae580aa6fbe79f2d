//! What messages show of themselves in a log, in a failed expectation or in a panic, if there is or may be a
//! secret in them: their name, and what tells one from another. The list is in `build.rs`, which leaves out
//! what the generator would make.

use std::fmt;

use crate::v1;

/// Shows a message by its name and these fields.
macro_rules! quiet {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl fmt::Debug for v1::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(shown.field(stringify!($field), &self.$field);)*
                shown.finish_non_exhaustive()
            }
        }
    )*};
}

quiet! {
    ApplyRequest { sources }
    CreateTokenResponse {}
    ExecInput {}
    ExecOutput {}
    JoinRequest { host }
    Object { revision }
    Order { head }
    PlanRequest { sources }
    Source { file }
}

impl fmt::Debug for v1::exec_input::Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input(..)")
    }
}

impl fmt::Debug for v1::exec_output::Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};

    use super::*;

    const CANARY: &str = "canary-7d1f";

    /// What a panic says that shows this.
    fn panic_with(shown: &dyn fmt::Debug) -> String {
        let caught = panic::catch_unwind(AssertUnwindSafe(|| panic!("a failure: {shown:?}")));
        *caught.unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn no_panic_shows_a_secret_that_is_on_its_way() {
        let text = || CANARY.to_owned();
        let bytes = || CANARY.as_bytes().to_vec();
        let source = || v1::Source {
            file: "a.yaml".to_owned(),
            text: text(),
        };
        let field = |value: String| prost_types::Value {
            kind: Some(prost_types::value::Kind::StringValue(value)),
        };
        let manifest = || prost_types::Struct {
            fields: [("password".to_owned(), field(text()))].into(),
        };
        let all: [Box<dyn fmt::Debug>; 6] = [
            Box::new(v1::ApplyRequest {
                sources: vec![source()],
                objects: vec![manifest()],
                ..v1::ApplyRequest::default()
            }),
            Box::new(v1::PlanRequest {
                sources: vec![source()],
                objects: vec![manifest()],
                ..v1::PlanRequest::default()
            }),
            Box::new(v1::Object {
                manifest: Some(manifest()),
                revision: 1,
            }),
            Box::new(v1::CoordinatorMessage {
                message: Some(v1::coordinator_message::Message::Order(v1::Order {
                    upserts: vec![bytes()],
                    ..v1::Order::default()
                })),
            }),
            Box::new(v1::JoinRequest {
                secret: bytes(),
                ..v1::JoinRequest::default()
            }),
            Box::new(v1::CreateTokenResponse {
                token: text(),
                ..v1::CreateTokenResponse::default()
            }),
        ];
        let as_numbers = format!("{:?}", CANARY.as_bytes());
        let as_numbers = as_numbers.trim_matches(['[', ']']);
        for one in &all {
            let said = panic_with(one);
            assert!(said.contains("a failure: "), "{said}");
            assert!(
                !said.contains(CANARY) && !said.contains(as_numbers),
                "{said}"
            );
        }
    }
}
