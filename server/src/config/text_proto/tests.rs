//! What the parser understands, what it refuses, and that nothing makes it panic.

use super::*;

fn word(name: &str, line: usize, text: &str) -> Field {
    Field {
        name: name.to_owned(),
        line,
        value: Value::Word(text.to_owned()),
    }
}

fn text(name: &str, line: usize, text: &str) -> Field {
    Field {
        name: name.to_owned(),
        line,
        value: Value::Text(text.to_owned()),
    }
}

fn message(name: &str, line: usize, fields: Vec<Field>) -> Field {
    Field {
        name: name.to_owned(),
        line,
        value: Value::Message(fields),
    }
}

#[track_caller]
fn check(source: &str, expect: Vec<Field>) {
    assert_eq!(parse(source), Ok(expect), "{source}");
}

#[track_caller]
fn refused(source: &str, line: usize, rule: &str) {
    assert_eq!(parse(source), Err(Error::new(line, rule)), "{source}");
}

#[test]
fn an_empty_file_has_no_fields() {
    check("", vec![]);
    check("  \n# only a comment", vec![]);
}

#[test]
fn fields_hold_words_texts_and_messages() {
    check("a: 1\nb: \"x\"", vec![word("a", 1, "1"), text("b", 2, "x")]);
    check("a: -1.5e-3", vec![word("a", 1, "-1.5e-3")]);
    check(
        "a: true, b: OFF;",
        vec![word("a", 1, "true"), word("b", 1, "OFF")],
    );
    let inner = || vec![word("b", 1, "2")];
    check("a { b: 2 }", vec![message("a", 1, inner())]);
    check("a: { b: 2 }", vec![message("a", 1, inner())]);
    check("a < b: 2 >", vec![message("a", 1, inner())]);
    check("a {}", vec![message("a", 1, vec![])]);
}

#[test]
fn a_list_is_one_field_for_each_value() {
    check("a: [1, 2]", vec![word("a", 1, "1"), word("a", 1, "2")]);
    check("a: []", vec![]);
    check(
        "a: [{}, {}]",
        vec![message("a", 1, vec![]), message("a", 1, vec![])],
    );
}

#[test]
fn strings_have_both_quotes_and_escapes_and_join() {
    check(r"a: 'it''s'", vec![text("a", 1, "its")]);
    check(
        "a: \"one \" # a comment\n 'two'",
        vec![text("a", 1, "one two")],
    );
    check(
        r#"a: "\n\t\"\'\\\x41\101\u00fc\U0001F600""#,
        vec![text("a", 1, "\n\t\"'\\AAü😀")],
    );
}

#[test]
fn lines_are_counted_through_comments_and_messages() {
    check(
        "# one\na {\n  # three\n  b: 1\n}\nc: 2",
        vec![message("a", 2, vec![word("b", 4, "1")]), word("c", 6, "2")],
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    refused(
        "a",
        1,
        "a colon or { must follow a, not the end of the file",
    );
    refused("a:\n", 2, "a value must follow a, not the end of the file");
    refused("a: }", 1, "a value must follow a, not '}'");
    refused("\na 1", 2, "a colon or { must follow a, not \"1\"");
    refused("a {\nb: 1", 2, "a message must end with }");
    refused(
        "a < b: 1 }",
        1,
        "the name of a field must stand here, not '}'",
    );
    refused("}", 1, "the name of a field must stand here, not '}'");
    refused("1: 2", 1, "the name of a field must stand here, not \"1\"");
    refused("a: \"x", 1, "a string must end on the line it begins");
    refused("a: 'x\ny'", 1, "a string must end on the line it begins");
    refused(
        r"a: '\q'",
        1,
        "an escape in a string must be one of protobuf's",
    );
    refused(
        r"a: '\777'",
        1,
        "an escape in a string must be one of protobuf's",
    );
    refused(
        r"a: '\ud800'",
        1,
        "an escape in a string must be one of protobuf's",
    );
    refused(r"a: '\xff'", 1, "a string must be UTF-8");
    refused("a: - }", 1, "a number must follow the minus sign, not '}'");
    refused("a [1]", 1, "a colon must stand between a and its list");
    refused("a: [1 2]", 1, "']' must stand here, not \"2\"");
    refused(
        "[x.y/z] { }",
        1,
        "the name of a field must stand here, not '['",
    );
    refused("a = 1", 1, "'=' has no meaning here");
}

#[test]
fn depth_fields_and_size_are_bounded() {
    let nested = |depth: usize| "a{".repeat(depth) + &"}".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    let error = parse(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.rule, "messages must be at most 32 deep");
    assert!(parse(&"a{".repeat(MAX_BYTES / 2)).is_err());
    let many = format!("a: [{}0]", "0,".repeat(MAX_FIELDS));
    let error = parse(&many).unwrap_err();
    assert_eq!(error.rule, "the file must have at most 10000 fields");
    assert!(parse(&" ".repeat(MAX_BYTES + 1)).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(source in ".{0,200}") {
        let _either = parse(&source);
    }

    #[test]
    fn no_soup_of_tokens_makes_it_panic(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", ":", "{", "}", "<", ">", "[", "]", ",", ";", "-", "1", "'x'", "\"", "\\", "#", "\n", "é",
            ]),
            0..60,
        )
    ) {
        let _either = parse(&tokens.concat());
    }

    #[test]
    fn any_text_comes_back_from_a_string(value in ".{0,40}") {
        let escaped: String = value
            .bytes()
            .map(|byte| format!("\\{byte:03o}"))
            .collect();
        let parsed = parse(&format!("a: '{escaped}'"));
        proptest::prop_assert_eq!(parsed, Ok(vec![text("a", 1, &value)]));
    }
}
