//! The template engine, closed in: no loader, no files, no shell, no network, no clock.
//!
//! Undefined values are errors, and so is printing `none`: a configuration file with the word
//! "none" where an address should be is worse than a member that says why it does not start. Work
//! and output are bounded, so that a template can neither hang nor flood an agent.

use std::{cell::Cell, collections::BTreeSet, io};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig,
};

/// Instructions per text. A loop over a thousand peers takes about ten thousand.
const FUEL: u64 = 200_000;
/// Instructions for all texts that one engine renders: a set may have thousands of them.
const FUEL_OF_ALL: u64 = 5_000_000;
/// Bytes that one text may render to; larger files do not belong in a manifest.
pub(crate) const MAX_OUTPUT: usize = 1 << 20;
/// Elements of one `range()`.
const MAX_RANGE: i64 = 10_000;

/// Renders texts; make one per member and use it for all its texts.
pub(crate) struct Engine {
    environment: Environment<'static>,
    used: Cell<u64>,
}

impl Engine {
    /// An engine with the functions that templates may use.
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // Errors then name what is undefined.
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        // Our value `namespace` has this name, and `debug` prints everything, secrets included.
        environment.remove_global("namespace");
        environment.remove_global("debug");
        environment.add_function("range", range);
        environment.set_formatter(|out, state, value| {
            if value.is_none() {
                return Err(Error::new(
                    ErrorKind::UndefinedError,
                    "the value is none; test it with 'if' before it is printed",
                ));
            }
            minijinja::escape_formatter(out, state, value)
        });
        // A line that holds only `{% ... %}` leaves no empty line in a file, and a file keeps its
        // last newline.
        if let Ok(syntax) = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
        {
            environment.set_syntax(syntax);
        }
        Self {
            environment,
            used: Cell::new(0),
        }
    }

    /// Renders one text.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub(crate) fn render(&self, text: &str, values: &Value) -> Result<String, String> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let template = self
            .environment
            .template_from_named_str("text", text)
            .map_err(|e| explain(&e, text))?;
        if self.used.get() > FUEL_OF_ALL {
            return Err("the templates do too much work together; loop less".to_owned());
        }
        let mut out = Bounded(Vec::new());
        let rendered = template.render_captured_to(values, &mut out).map_err(|e| {
            self.use_up(FUEL);
            explain(&e, text)
        })?;
        let used = rendered
            .state()
            .fuel_levels()
            .map_or(FUEL, |(used, _)| used);
        self.use_up(used);
        String::from_utf8(out.0).map_err(|e| e.to_string())
    }

    fn use_up(&self, fuel: u64) {
        self.used.set(self.used.get().saturating_add(fuel));
    }

    /// The values that a text refers to and does not define itself, such as `host.labels.zone`.
    ///
    /// # Errors
    /// What is wrong with its syntax.
    pub(crate) fn refers_to(&self, text: &str) -> Result<BTreeSet<String>, String> {
        if !is_template(text) {
            return Ok(BTreeSet::new());
        }
        let template = self
            .environment
            .template_from_named_str("text", text)
            .map_err(|e| explain(&e, text))?;
        let functions: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        Ok(template
            .undeclared_variables(true)
            .into_iter()
            .filter(|name| !functions.contains(name.as_str()))
            .collect())
    }
}

/// Most texts are none, and rendering them would only cost.
pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

fn range(first: i64, end: Option<i64>, step: Option<i64>) -> Result<Vec<i64>, Error> {
    let (start, end) = end.map_or((0, first), |end| (first, end));
    let step = step.unwrap_or(1);
    let refuse = |text: &'static str| Err(Error::new(ErrorKind::InvalidOperation, text));
    if step <= 0 {
        return refuse("range counts upward only; give a step of 1 or more");
    }
    if end.saturating_sub(start) / step > MAX_RANGE {
        return refuse("range has more than 10000 elements; use a smaller one");
    }
    let mut numbers = Vec::new();
    let mut next = start;
    while next < end {
        numbers.push(next);
        next = next.saturating_add(step);
    }
    Ok(numbers)
}

fn explain(error: &Error, text: &str) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::WriteFailure, _) => {
            format!("the text becomes longer than {MAX_OUTPUT} bytes; make it shorter")
        }
        (ErrorKind::OutOfFuel, _) => "the template does too much work; loop less".to_owned(),
        (ErrorKind::SyntaxError, Some(detail)) => format!("template syntax: {detail}"),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    match error.line() {
        Some(line) if text.trim_end().contains('\n') => format!("{what} (line {line} of the text)"),
        Some(_) | None => what,
    }
}

/// Takes bytes up to the limit.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let values = context! { ordinal => 2, peers => vec!["a", "b"], previous => () };
        Engine::new().render(text, &values)
    }

    #[test]
    fn arithmetic_conditions_and_loops_work() {
        for (text, expected) in [
            ("{{ 9200 + ordinal }}", "9202"),
            ("{{ 'x' if ordinal > 1 else 'y' }}", "x"),
            ("{{ peers | join(',') }}", "a,b"),
            ("{{ [1, 'a'] | tojson }}", "[1, \"a\"]"),
            (
                "{% for n in range(3) %}{{ n }}{% if not loop.last %},{% endif %}{% endfor %}",
                "0,1,2",
            ),
            (
                "a:\n  {% for p in peers %}\n  - {{ p }}\n  {% endfor %}\nb\n",
                "a:\n  - a\n  - b\nb\n",
            ),
            ("<&\"'>", "<&\"'>"),
            ("{{ '<&>' }}", "<&>"),
            ("{% if previous %}p{% endif %}", ""),
        ] {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        for (text, expected) in [
            ("{{ nope }}", "`nope` is undefined"),
            (
                "{{ previous }}",
                "the value is none; test it with 'if' before it is printed",
            ),
            (
                "{{ 1",
                "template syntax: unexpected end of input, expected end of variable block",
            ),
            (
                "a\n{{ nope }}\n",
                "`nope` is undefined (line 2 of the text)",
            ),
        ] {
            assert_eq!(render(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn there_is_no_way_out_to_files_or_the_environment() {
        for text in [
            "{% include '/etc/passwd' %}",
            "{% import 'x' as x %}",
            "{{ debug() }}",
            "{{ env('HOME') }}",
            "{{ open('/etc/passwd') }}",
            "{{ 'id' | shell }}",
        ] {
            assert!(render(text).is_err(), "{text}");
        }
    }

    #[test]
    fn work_and_output_are_bounded() {
        for (text, part) in [
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "too much work",
            ),
            (
                "{% for a in range(9999) %}{{ 'x' * 1000 }}{% endfor %}",
                "longer than",
            ),
            ("{{ range(1000000000) }}", "more than 10000"),
        ] {
            let error = render(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn many_texts_together_are_bounded_too() {
        let engine = Engine::new();
        let text = "{% for a in range(9999) %}{{ a }}{% endfor %}";
        let error = (0..1000).find_map(|_| engine.render(text, &Value::from(())).err());
        assert_eq!(
            error.as_deref(),
            Some("the templates do too much work together; loop less")
        );
    }

    #[test]
    fn references_are_found_without_rendering() {
        let engine = Engine::new();
        let found = engine
            .refers_to("{% set x = a %}{{ x }}{{ host.labels.zone }}{{ range(2) }}")
            .unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["a", "host.labels.zone"]
        );
    }
}
