//! Rust source as a check sees it: without comments, texts and the unit tests at its end.

/// What marks a module that only tests are built with.
const TEST_ONLY: &str = "#[cfg(test)]\n";

/// The lines before the `mod tests` that ends a file: what is built into the product.
pub(crate) fn production(source: &str) -> &str {
    let module = |after: &str| {
        let mut lines = after.lines().skip_while(|line| line.starts_with("#["));
        lines
            .next()
            .is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let mut marks = source.match_indices(TEST_ONLY);
    let end = marks.find(|(at, mark)| module(&source[at + mark.len()..]));
    end.map_or(source, |(at, _)| &source[..at])
}

/// The paths of the modules that the file at `path` declares for tests alone.
pub(crate) fn test_modules(path: &str, source: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match file {
        "lib.rs" | "main.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    let declared = source.split(TEST_ONLY).skip(1).filter_map(|after| {
        let line = after.lines().next()?;
        line.trim_start_matches("pub(crate) ")
            .strip_prefix("mod ")?
            .strip_suffix(';')
    });
    declared.map(|name| format!("{folder}/{name}.rs")).collect()
}

/// `source` with comments and the contents of texts blanked out, line by line as it was.
pub(crate) fn bare(source: &str) -> String {
    let mut bare = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, keep) = token(rest, first, bare.chars().last());
        let (token, after) = rest.split_at(length);
        if keep {
            bare.push_str(token);
        } else {
            bare.extend(token.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = after;
    }
    bare
}

/// The length of the next token, and whether it is code.
fn token(rest: &str, first: char, before: Option<char>) -> (usize, bool) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), false);
    }
    if first == '"' {
        return (text(rest), false);
    }
    if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
        return raw(rest).map_or((1, true), |length| (length, false));
    }
    if first == '\'' {
        return character(rest).map_or((1, true), |length| (length, false));
    }
    (first.len_utf8(), true)
}

/// The length of the text that starts at the quote.
fn text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the raw text, unless it is a raw identifier or a plain word.
fn raw(rest: &str) -> Option<usize> {
    let start = rest.find('r')? + 1;
    let hashes = rest[start..].bytes().take_while(|b| *b == b'#').count();
    let body = rest[start + hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = body
        .find(&closing)
        .map_or(body.len(), |end| end + closing.len());
    Some(start + hashes + 1 + end)
}

/// The length of the character, unless the quote begins a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.get(1..)?;
    let first = inner.chars().next()?;
    if first == '\\' {
        return inner[2..].find('\'').map(|end| end + 4);
    }
    inner[first.len_utf8()..]
        .starts_with('\'')
        .then(|| first.len_utf8() + 2)
}

/// Each identifier of `bare` source with what stands right before it.
pub(crate) fn words(bare: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bare[at..].find(is_word)?;
        let end = bare[start..]
            .find(|c| !is_word(c))
            .map_or(bare.len(), |length| start + length);
        at = end;
        Some((&bare[..start], &bare[start..end]))
    })
}

#[test]
fn comments_and_texts_are_blanked_and_code_is_kept() {
    let source =
        "let a = \"x // y\"; // Api\nlet b: &'static str = r#\"Api\"#; 'c'; '\\''; Api::new()";
    let bare = bare(source);
    assert_eq!(
        words(&bare).filter(|(_, word)| *word == "Api").count(),
        1,
        "{bare}"
    );
    assert!(bare.contains("&'static str") && !bare.contains('y') && bare.lines().count() == 2);
}

#[test]
fn unit_tests_do_not_count() {
    let source = "fn a() {}\n\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n}\n";
    assert_eq!(production(source), "fn a() {}\n\n");
    assert_eq!(
        test_modules("a/src/b.rs", "#[cfg(test)]\nmod c;\nmod d;\n"),
        ["a/src/b/c.rs"]
    );
    assert_eq!(
        test_modules("a/src/lib.rs", "#[cfg(test)]\nmod c;\n"),
        ["a/src/c.rs"]
    );
}
