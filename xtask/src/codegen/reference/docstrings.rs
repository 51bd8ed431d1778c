//! The docstrings of a list of names in Rust source: an enum, or the list inside a macro.
//!
//! Pure. Called by `reference`. Understands exactly the form of these lists: a `//` line names a
//! section, `///` lines describe the name that follows them, which ends in a comma.

/// A name of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// The section that it stands in; empty before the first.
    pub(super) section: &'a str,
    pub(super) name: &'a str,
    /// Its docstring on one line.
    pub(super) doc: String,
}

/// The items between the line that ends in `start` and the next line that is a closing brace.
pub(super) fn items<'a>(source: &'a str, start: &str) -> Vec<Item<'a>> {
    let begun = source
        .lines()
        .skip_while(|line| !line.ends_with(start))
        .skip(1);
    let (mut items, mut section, mut doc) = (Vec::new(), "", String::new());
    for line in begun.take_while(|line| *line != "}").map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = [doc.as_str(), text.trim()].join(" ");
        } else if let Some(title) = line.strip_prefix("//") {
            section = title.trim();
        } else if let Some(name) = line.strip_suffix(',') {
            items.push(Item {
                section,
                name,
                doc: std::mem::take(&mut doc).trim().to_owned(),
            });
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_their_section_and_their_docstring() {
        let source = "fn other() {\n}\nlist! {\n    // First\n    /// One,\n    /// two.\n    A,\n\n    // Second\n    /// Three.\n    B,\n}\n    C,\n";
        let item = |section, name, doc: &str| Item {
            section,
            name,
            doc: doc.to_owned(),
        };
        assert_eq!(
            items(source, "list! {"),
            [
                item("First", "A", "One, two."),
                item("Second", "B", "Three.")
            ]
        );
    }
}
