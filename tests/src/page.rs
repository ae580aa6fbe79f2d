//! The commands on a page of the documentation, so that a test runs what readers type.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What the fence says after the language: where it is run, and what marks it out.
    pub place: String,
    /// What is between the fences.
    pub script: String,
}

/// The blocks of a page in a language, `sh` or another, that say where they are run.
pub fn blocks(page: &str, language: &str) -> Vec<Block> {
    let fence = format!("```{language} ");
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(place) = line.strip_prefix(&fence) else {
            continue;
        };
        let script: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push(Block {
            place: place.to_owned(),
            script: script.join("\n"),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_with_a_place_are_run() {
        let page = "a\n```sh every\none\ntwo\n```\n```\nno\n```\n```python every\nno\n```\n```sh host-1\nthree\n```\n";
        let found: Vec<_> = blocks(page, "sh")
            .into_iter()
            .map(|b| (b.place, b.script))
            .collect();
        let expected = [("every", "one\ntwo"), ("host-1", "three")];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
