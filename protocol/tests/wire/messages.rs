//! WebSocket messages: what each says, in tables; how answers of REST become messages; and that broken ones are named.

use aimass_protocol::ws::{Asked, Call, Dialect, Form, Refused, error, failure, read, success};
use aimass_protocol::{Checks, Error};

use Checks::{Lenient, Strict};
use Dialect::{Oip, Tfs};

fn text(dialect: Dialect, message: &str, checks: Checks) -> Result<Asked, Refused> {
    read(dialect, Form::Text, message.as_bytes(), checks)
}

#[track_caller]
fn call(dialect: Dialect, message: &str) -> Call {
    match text(dialect, message, Lenient) {
        Ok(Asked::Call(call)) => call,
        other => panic!("{message}: {other:?}"),
    }
}

/// The REST body that a text message stands for.
#[track_caller]
fn body(dialect: Dialect, message: &str) -> String {
    let rewritten = call(dialect, message).rewritten(message.as_bytes());
    let body = rewritten.unwrap_or_else(|| message.as_bytes().to_vec());
    assert_eq!(body.len(), message.len(), "offsets stay what they are");
    String::from_utf8(body).expect("blanks are text")
}

#[track_caller]
fn refuses(
    dialect: Dialect,
    message: &str,
    checks: Checks,
    id: Option<&str>,
    (kind, text): (&str, &str),
) {
    let refused = self::text(dialect, message, checks).expect_err(message);
    assert_eq!(
        (
            refused.id.as_deref(),
            refused.error.kind.name(),
            refused.error.text.as_str()
        ),
        (id, kind, text),
        "{message}"
    );
}

#[test]
fn a_call_has_an_id_and_perhaps_a_method_and_a_deadline() {
    let found = call(
        Tfs,
        r#"{"id":"a1","instances":[[1.0],[2.0]],"timeout_ms":200}"#,
    );
    assert_eq!(
        (found.id.as_str(), found.method, found.timeout_ms),
        ("a1", "predict", Some(200))
    );
    let found = call(
        Tfs,
        r#"{"id":"a2","method":"regress","examples":[{"x":80}]}"#,
    );
    assert_eq!(
        (found.id.as_str(), found.method, found.timeout_ms),
        ("a2", "regress", None)
    );
    assert_eq!(
        call(Tfs, r#"{"method":"classify","id":"a"}"#).method,
        "classify"
    );
    assert_eq!(
        call(Tfs, r#"{"method":"predict","id":"a"}"#).method,
        "predict"
    );
    assert_eq!(
        call(Tfs, r#"{"method":null,"timeout_ms":null,"id":"a"}"#).method,
        "predict"
    );
    let found = call(
        Oip,
        r#"{"id":"b1","method":"regress","inputs":[{"id":1,"data":["id"]}]}"#,
    );
    assert_eq!(
        (found.id.as_str(), found.method, found.json_length),
        ("b1", "infer", None)
    );
    let found = call(
        Tfs,
        " {\n \"\\u0069d\" : \"\\u00fc\\n\" , \"x\" : { \"id\" : \"no\" } } ",
    );
    assert_eq!(found.id, "ü\n");
    assert_eq!(call(Tfs, "\u{feff}{\"id\":\"a\"}").id, "a");
    let longest = "ü".repeat(128);
    assert_eq!(call(Oip, &format!("{{\"id\":\"{longest}\"}}")).id, longest);
    for timeout in [1, 3_600_000] {
        let found = call(Oip, &format!("{{\"id\":\"a\",\"timeout_ms\":{timeout}}}"));
        assert_eq!(found.timeout_ms, Some(timeout));
    }
}

#[test]
fn members_of_a_message_are_no_members_of_its_rest_body() {
    let rows = [
        (
            r#"{"id":"a","instances":[1]}"#,
            r#"{         "instances":[1]}"#,
        ),
        (
            r#"{"instances":[1],"id":"a"}"#,
            r#"{"instances":[1]         }"#,
        ),
        (
            r#"{"instances":[1],"id":"a","method":"predict","timeout_ms":5}"#,
            r#"{"instances":[1]                                           }"#,
        ),
        (
            r#"{"id":"a","instances":[1],"timeout_ms":5,"x":{"id":2}}"#,
            r#"{         "instances":[1],               "x":{"id":2}}"#,
        ),
        (r#"{"id":"a"}"#, r#"{        }"#),
        (
            r#"{"timeout_ms":5,"id":"a"}"#,
            r#"{                       }"#,
        ),
        (
            r#"{"x":1,"id":"a","y":2,"id":"b","id":"c"}"#,
            r#"{"x":1,         "y":2                  }"#,
        ),
        (
            "{ \"id\" : \"a\" , \"x\" : 1 }",
            "{              \"x\" : 1 }",
        ),
        (
            "{ \"x\" : 1 , \"id\" : \"a\" }",
            "{ \"x\" : 1              }",
        ),
    ];
    for (message, expect) in rows {
        assert_eq!(body(Tfs, message), expect);
    }
    // `/v2` knows the id, and passes over what it does not know.
    let message = r#"{"id":"a","timeout_ms":5,"inputs":[]}"#;
    assert_eq!(body(Oip, message), message);
}

#[test]
fn a_cancellation_names_an_id() {
    let cancel = |dialect, message| text(dialect, message, Strict);
    for dialect in [Tfs, Oip] {
        assert_eq!(
            cancel(dialect, r#"{"cancel":"a4"}"#),
            Ok(Asked::Cancel("a4".to_owned()))
        );
    }
    for wrong in [r#"{"cancel":4}"#, r#"{"cancel":""}"#] {
        let text = "\"cancel\" must be a string of 1 to 256 bytes";
        refuses(Tfs, wrong, Lenient, None, ("bad_request", text));
    }
    let text = "JSON Parse error: Missing a comma or } after an object member. at offset: 14";
    refuses(Tfs, r#"{"cancel":"a4""#, Lenient, None, ("bad_json", text));
}

#[test]
fn a_message_without_a_good_id_is_refused() {
    let refuses = |message: &str, text| refuses(Tfs, message, Lenient, None, ("bad_request", text));
    refuses("{}", "Missing \"id\"");
    refuses(r#"{"instances":[1]}"#, "Missing \"id\"");
    refuses(r#"{"id":null}"#, "Missing \"id\"");
    let text = "\"id\" must be a string of 1 to 256 bytes";
    refuses(r#"{"id":1}"#, text);
    refuses(r#"{"id":""}"#, text);
    refuses(r#"{"id":["a"]}"#, text);
    refuses(&format!("{{\"id\":\"{}\"}}", "a".repeat(257)), text);
}

#[test]
fn what_is_wrong_beside_the_id_is_answered_under_it() {
    let a = Some("a");
    let method = "\"method\" must be \"predict\", \"classify\" or \"regress\"";
    for wrong in [r#"{"id":"a","method":"train"}"#, r#"{"id":"a","method":1}"#] {
        refuses(Tfs, wrong, Lenient, a, ("bad_request", method));
    }
    let timeout = "\"timeout_ms\" must be an integer from 1 to 3600000";
    for wrong in [
        "0",
        "3600001",
        "-1",
        "1.5",
        "1e3",
        "\"5\"",
        "true",
        "99999999999999999999",
    ] {
        let message = format!("{{\"id\":\"a\",\"timeout_ms\":{wrong}}}");
        refuses(Tfs, &message, Lenient, a, ("bad_request", timeout));
        refuses(Oip, &message, Lenient, a, ("bad_request", timeout));
    }
}

#[test]
fn a_member_that_occurs_twice_is_judged_as_rest_judges_it() {
    let twice = r#"{"id":"a","id":"b","x":1}"#;
    assert_eq!(call(Tfs, twice).id, "a");
    let text = "Duplicate key: id";
    refuses(Tfs, twice, Strict, Some("a"), ("bad_request", text));
    refuses(Oip, twice, Lenient, Some("a"), ("bad_request", text));
}

#[test]
fn what_is_no_json_object_is_refused_in_the_words_of_rest() {
    let bad =
        |message: &str, id, text: &str| refuses(Tfs, message, Lenient, id, ("bad_json", text));
    bad("", None, "JSON Parse error: The document is empty");
    bad(
        " ",
        None,
        "JSON Parse error: The document is empty. at offset: 1",
    );
    bad(
        "{oops",
        None,
        "JSON Parse error: Missing a name for object member. at offset: 1",
    );
    bad(
        "nope",
        None,
        "JSON Parse error: Invalid value. at offset: 1",
    );
    let comma = "JSON Parse error: Missing a comma or } after an object member. at offset";
    bad(r#"{"id":"a" "b"}"#, Some("a"), &format!("{comma}: 10"));
    bad(r#"{"id":"a","x":1"#, Some("a"), &format!("{comma}: 15"));
    // The offset is that of the first error, wherever the id is.
    let array = "JSON Parse error: Invalid value. at offset: 6";
    bad(r#"{"x":[}"#, None, array);
    bad(r#"{"x":[},"id":"a""#, Some("a"), array);
    bad(
        r#"{"id":"\x"}"#,
        None,
        "JSON Parse error: Invalid escape character in string. at offset: 7",
    );
    let escape = "JSON Parse error: The surrogate pair in string is invalid. at offset: 17";
    bad(
        r#"{"id":"a","cancel":"\ud800"}"#,
        None,
        escape.replace("17", "20").as_str(),
    );
    for (message, shown) in [("[1]", "[1]"), ("\"a\"", "\"a\""), (" 1 ", "1")] {
        let text = format!("JSON Value: {shown} Is not object");
        refuses(Oip, message, Lenient, None, ("bad_request", &text));
    }
    refuses(
        Oip,
        "\u{feff}{}",
        Lenient,
        None,
        ("bad_json", "JSON Parse error: Invalid value. at offset: 0"),
    );
}

#[test]
fn what_is_wrong_inside_a_value_is_left_to_rest() {
    assert_eq!(call(Tfs, r#"{"id":"a","instances":[1,]}"#).id, "a");
    assert_eq!(call(Oip, r#"{"inputs":[tru],"id":"a"}"#).id, "a");
}

fn binary(length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes()[..], rest].concat()
}

#[test]
fn a_binary_message_is_a_length_json_and_bytes() {
    let json = br#"{"id":"b","timeout_ms":7,"inputs":[]}"#;
    let message = binary(37, &[&json[..], b"{\"id\":\"tensor\"}"].concat());
    let Ok(Asked::Call(found)) = read(Oip, Form::Binary, &message, Strict) else {
        panic!("a call")
    };
    assert_eq!(
        (found.id.as_str(), found.start, found.json_length),
        ("b", 4, Some(37))
    );
    assert_eq!(
        (found.timeout_ms, found.rewritten(&message)),
        (Some(7), None)
    );
    let cancel = binary(14, br#"{"cancel":"a"}"#);
    let asked = read(Oip, Form::Binary, &cancel, Lenient);
    assert_eq!(asked, Ok(Asked::Cancel("a".to_owned())));
}

#[test]
fn a_binary_message_whose_length_lies_is_refused() {
    let refuses = |message: &[u8], text: &str| {
        let refused = read(Oip, Form::Binary, message, Lenient).expect_err(text);
        assert_eq!((refused.id, refused.error.text.as_str()), (None, text));
    };
    for bytes in 0..4 {
        let text = "bytes is too short for the 4 bytes that tell the length of its JSON";
        refuses(
            &vec![0; bytes],
            &format!("Binary message of {bytes} {text}"),
        );
    }
    refuses(
        &binary(900, &[b' '; 808]),
        "JSON length 900 exceeds the message (812 bytes)",
    );
    refuses(
        &binary(u32::MAX, b"{}"),
        "JSON length 4294967295 exceeds the message (6 bytes)",
    );
    refuses(&binary(0, b"{}"), "JSON Parse error: The document is empty");
}

#[test]
fn a_success_is_the_body_of_rest() {
    let message = |dialect, length, body: &str| {
        let answer = success(dialect, "a\"1", length, body.as_bytes());
        let mut message = answer.head;
        message.extend_from_slice(&body.as_bytes()[answer.body]);
        (answer.form, message)
    };
    let text = |dialect, body| {
        let (form, message) = message(dialect, None, body);
        assert_eq!(form, Form::Text);
        String::from_utf8(message).expect("text")
    };
    assert_eq!(
        text(Tfs, r#"{"predictions":[[2.5]]}"#),
        r#"{"id":"a\"1","predictions":[[2.5]]}"#
    );
    assert_eq!(text(Tfs, "{}"), r#"{"id":"a\"1"}"#);
    let body = r#"{"model_name":"iris","id":"a\"1","outputs":[]}"#;
    assert_eq!(text(Oip, body), body);
    let (form, message) = message(Oip, Some(2), "{}tensor");
    assert_eq!(
        (form, message),
        (Form::Binary, b"\x02\0\0\0{}tensor".to_vec())
    );
}

#[test]
fn a_failure_says_its_kind_its_code_and_when_to_come_again() {
    let message = |retry, body: &str| {
        let message = failure("a", 503, "overloaded", retry, body.as_bytes());
        String::from_utf8(message).expect("text")
    };
    let body = r#"{"error":"Model \"m\" is overloaded"}"#;
    assert_eq!(
        message(None, body),
        r#"{"id":"a","error":"Model \"m\" is overloaded","kind":"overloaded","code":503}"#
    );
    assert_eq!(
        message(Some(2000), body),
        r#"{"id":"a","error":"Model \"m\" is overloaded","kind":"overloaded","code":503,"retry_after_ms":2000}"#
    );
    for foreign in ["", "<html>", "{\"error\":1}", "{\"title\":\"x\"}"] {
        assert_eq!(
            message(None, foreign),
            r#"{"id":"a","error":"The answer is not readable","kind":"overloaded","code":503}"#
        );
    }
    let cancelled = error(Some("a4"), &Error::cancelled());
    assert_eq!(
        String::from_utf8(cancelled).expect("text"),
        r#"{"id":"a4","error":"Cancelled","kind":"cancelled","code":499}"#
    );
    let Err(refused) = text(Tfs, "{oops", Lenient) else {
        panic!("refused")
    };
    assert_eq!(
        String::from_utf8(error(None, &refused.error)).expect("text"),
        r#"{"id":null,"error":"JSON Parse error: Missing a name for object member. at offset: 1","kind":"bad_json","code":400}"#
    );
}
