//! The quick reader never differs from the one that knows all errors.

use proptest::prelude::*;

use super::*;
use crate::json::Checks;
use crate::signature::{Dim, Signature, TensorSpec};
use crate::tensor::DataType;
use crate::v2::infer::read;

fn signature() -> Signature {
    let spec = |name: &str, datatype| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(2)]),
    };
    let specs = [
        ("x", DataType::Fp32),
        ("i", DataType::Int8),
        ("s", DataType::Bytes),
        ("b", DataType::Bool),
    ];
    let specs: Vec<_> = specs.map(|(name, datatype)| spec(name, datatype)).into();
    Signature::new(specs.clone(), specs)
}

const REQUEST: &str = r#"{"id":"a", "inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,-2e3]},
 {"name":"i","datatype":"INT8","shape":[1,2],"data":[[1,-2]]},{"datatype":"BYTES","shape":[1,2],"name":"s","data":["é","\u00e9"]},
 {"name":"b","shape":[1,2],"datatype":"BOOL","data":[true,0]}],"outputs":[{"name":"x"}],"parameters":{"timeout":9}}"#;

/// Whether it was quick; that both say the same is checked.
fn both(body: &[u8], checks: Checks) -> bool {
    let signature = signature();
    let inputs = Inputs::of(&signature, None);
    let reader = Reader::new(body, checks).unwrap();
    let Some(quick) = quick(reader.clone(), &inputs) else {
        return false;
    };
    let thorough = read(reader, &inputs);
    // By what is shown, in which NaN equals NaN.
    assert_eq!(
        format!("{:?}", Ok::<_, ()>(quick)),
        format!("{thorough:?}"),
        "{}",
        String::from_utf8_lossy(body)
    );
    true
}

#[test]
fn what_clients_write_is_quick() {
    assert!(both(REQUEST.as_bytes(), Checks::Strict));
    for (from, to) in [
        (r#""id":"a", "#, ""),
        (
            r#","outputs":[{"name":"x"}],"parameters":{"timeout":9}"#,
            "",
        ),
        ("[1.5,-2e3]", "[ [ 1.5 , -2e3 ] ]"),
    ] {
        let body = REQUEST.replacen(from, to, 1);
        assert!(both(body.as_bytes(), Checks::Strict), "{body}");
    }
}

#[test]
fn what_they_do_not_write_is_left_to_the_other() {
    for (from, to) in [
        ("\"id\"", "\"more\":1,\"id\""),
        ("\"id\":\"a\"", "\"id\":null"),
        ("\"id\"", "\"id\":\"b\",\"id\""),
        ("[1.5,-2e3]", "[1.5,-2e3],\"parameters\":{}"),
        ("[1.5,-2e3]", "[1.5,-2e3],\"data\":[1,2]"),
        ("[1.5,-2e3]", "[1.5,01]"),
        ("[1.5,-2e3]", "[1.5]"),
        ("[1.5,-2e3]", "[1.5,2],"),
        ("\"name\":\"i\"", "\"name\":\"x\""),
        ("INT8", "INT16"),
        ("\"timeout\":9", "\"timeout\":-9"),
        ("}}", "}} x"),
    ] {
        let body = REQUEST.replacen(from, to, 1);
        assert_ne!(body, REQUEST);
        assert!(!both(body.as_bytes(), Checks::Strict), "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn after_any_change_they_say_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3, any::<prop::sample::Index>()), 1..4),
        lenient in any::<bool>(),
    ) {
        const PARTS: &[&str] = &[
            "\"", "{", "}", "[", "]", ",", ":", " ", "0", "1", "-", ".", "e", "null", "true", "NaN", "Inf", "\\u0000",
            "\"id\":", "\"data\":", "\"name\":\"x\",", "[]", "{}", "1,", "\u{e9}", "x",
        ];
        let mut text: Vec<char> = REQUEST.chars().collect();
        for (at, kind, part) in edits {
            let at = at.index(text.len());
            let end = if kind == 0 { at } else { at + 1 };
            let part = if kind == 1 { "" } else { PARTS[part.index(PARTS.len())] };
            text.splice(at..end, part.chars());
        }
        let body: String = text.into_iter().collect();
        both(body.as_bytes(), if lenient { Checks::Lenient } else { Checks::Strict });
    }
}
