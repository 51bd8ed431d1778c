//! What holds for any input: nothing panics, what is written is read back, time is linear in the length.

#[path = "wire/arbitrary.rs"]
mod arbitrary;
#[path = "wire/models.rs"]
mod models;

use aimass_protocol::v1::{self, Form};
use aimass_protocol::v2::{self, Answer, Requested};
use aimass_protocol::{Checks, Data, DataType, Nonfinite, Signature, Tensor};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{prop_assert, prop_assert_eq};

use arbitrary::tensor;

const LIMIT: usize = 1 << 24;

/// Pieces of requests: random bytes alone rarely get past the first brace.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(r#"{"instances":["#.to_owned()),
        Just(r#"{"inputs":["#.to_owned()),
        Just(r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":["#.to_owned()),
        Just(r#""signature_name":"#.to_owned()),
        Just(r#"{"x":"#.to_owned()),
        Just(r#"{"b64":""#.to_owned()),
        Just(r#""\ud83d"#.to_owned()),
        "[\\[\\]{},:\" ]{1,3}",
        "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?",
        "(null|true|false|NaN|-?Infinity|\"[a-z\\\\]{0,4}\")",
        ".{0,4}",
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..200), fragments()]
}

fn signatures() -> Vec<Signature> {
    let mut all = vec![models::half(), models::iris(), models::pair()];
    all.extend(DataType::ALL.map(models::single));
    all
}

/// The shape as JSON can tell it: nothing is known below a dimension of size zero.
fn told(tensor: &Tensor) -> Vec<usize> {
    let shape = tensor.shape();
    let known = shape
        .iter()
        .position(|size| *size == 0)
        .map_or(shape.len(), |zero| zero + 1);
    shape.iter().copied().take(known).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic_and_every_refusal_has_a_short_text(body in bytes()) {
        let header = body.len().to_string();
        for signature in signatures() {
            for checks in [Checks::Lenient, Checks::Strict] {
                let results = [
                    v1::parse(&body, &signature, checks).map(|_| ()),
                    v2::parse(&body, None, &signature, checks).map(|_| ()),
                    v2::parse(&body, Some(&header), &signature, checks).map(|_| ()),
                ];
                for error in results.into_iter().filter_map(Result::err) {
                    prop_assert_eq!(error.kind.status(), 400);
                    prop_assert!(error.text.len() < 1500, "{}", error.text);
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&error.body()).is_ok());
                }
            }
        }
    }

    #[test]
    fn strict_syntax_is_that_of_serde_json(body in fragments()) {
        let error = v1::parse(&body, &models::half(), Checks::Strict).err();
        let broken = error.is_some_and(|error| error.kind.name() == "bad_json");
        // serde_json stops at 128 levels; no body here is that deep.
        prop_assert_eq!(broken, serde_json::from_slice::<serde_json::Value>(&body).is_err());
    }

    #[test]
    fn no_path_makes_the_router_panic(method in ".{0,5}", path in "(/(v1|v2|models|versions|labels|metadata|health|infer|[%a-z0-9:]{0,4})){0,6}.{0,3}") {
        let _ = v1::parse_path(&method, &path);
        let _ = v1::parse_path("GET", &path);
        let _ = v1::parse_path("POST", &path);
        let known = v2::parse_path("GET", &path).is_ok() || v2::parse_path("POST", &path).is_ok();
        prop_assert!(!known || v2::allowed_methods(&path).is_some());
    }

    #[test]
    fn a_tensor_that_is_written_by_columns_is_read_back(tensor in tensor(false)) {
        let signature = models::single(tensor.datatype());
        let body = v1::write(Form::Column, &signature, std::slice::from_ref(&tensor), Nonfinite::Token, LIMIT).unwrap();
        let body = String::from_utf8(body).unwrap().replacen("\"outputs\"", "\"inputs\"", 1);
        let predict = v1::parse(body.as_bytes(), &signature, Checks::Lenient).unwrap();
        let read = predict.inputs.first().unwrap();
        prop_assert_eq!(read.data(), tensor.data());
        prop_assert_eq!(read.shape(), told(&tensor));
    }

    #[test]
    fn a_tensor_that_is_written_by_rows_is_read_back(tensor in tensor(false)) {
        let signature = models::single(tensor.datatype());
        let body = v1::write(Form::Row, &signature, std::slice::from_ref(&tensor), Nonfinite::Token, LIMIT).unwrap();
        let body = String::from_utf8(body).unwrap().replacen("\"predictions\"", "\"instances\"", 1);
        let predict = v1::parse(body.as_bytes(), &signature, Checks::Lenient).unwrap();
        let read = predict.inputs.first().unwrap();
        prop_assert_eq!(read.data(), tensor.data());
        prop_assert_eq!(read.shape(), told(&tensor));
    }

    #[test]
    fn a_tensor_that_is_written_for_v2_is_read_back(tensor in tensor(true), binary in any::<bool>()) {
        let signature = models::single(tensor.datatype());
        let answer = Answer { model: "m", version: 1, id: Some("i"), nonfinite: Nonfinite::String, limit: LIMIT };
        let requested = [Requested { output: 0, binary }];
        let response = v2::write(&answer, &signature, &requested, std::slice::from_ref(&tensor)).unwrap();
        let json = response.header_length.unwrap_or(response.body.len());
        let (head, tail) = response.body.split_at(json);
        let head = std::str::from_utf8(head).unwrap();
        let head = head.replacen("\"outputs\"", "\"inputs\"", 1).replacen("\"y\"", "\"x\"", 1);
        let header = response.header_length.map(|_| head.len().to_string());
        let body = [head.as_bytes(), tail].concat();
        let infer = v2::parse(&body, header.as_deref(), &signature, Checks::Strict).unwrap();
        prop_assert_eq!(infer.inputs, vec![tensor]);
        prop_assert_eq!(infer.id.as_deref(), Some("i"));
    }

    #[test]
    fn a_float_is_read_with_the_bits_it_was_written_with(bits in any::<u64>()) {
        let single = f32::from_bits(u32::try_from(bits >> 32).unwrap());
        let double = f64::from_bits(bits);
        let write = |data: Data| {
            let signature = models::single(data.datatype());
            let tensor = Tensor::new(vec![], data).unwrap();
            let body = v1::write(Form::Column, &signature, &[tensor], Nonfinite::Token, LIMIT).unwrap();
            let text = String::from_utf8(body).unwrap();
            text.trim_start_matches("{\"outputs\":").trim_end_matches('}').to_owned()
        };
        if single.is_finite() {
            let text = write(Data::Fp32(vec![single]));
            prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), single.to_bits(), "{}", text);
        }
        if double.is_finite() {
            let text = write(Data::Fp64(vec![double]));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits(), "{}", text);
        }
    }

    #[test]
    fn a_decimal_number_is_the_float_that_the_standard_library_reads(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?") {
        let body = format!("{{\"inputs\":{text}}}");
        let read = |datatype: DataType| {
            let predict = v1::parse(body.as_bytes(), &models::single(datatype), Checks::Strict);
            predict.unwrap().inputs.remove(0)
        };
        let Data::Fp32(single) = read(DataType::Fp32).data().clone() else { panic!("floats") };
        prop_assert_eq!(single[0].to_bits(), text.parse::<f32>().unwrap().to_bits());
        let Data::Fp64(double) = read(DataType::Fp64).data().clone() else { panic!("doubles") };
        prop_assert_eq!(double[0].to_bits(), text.parse::<f64>().unwrap().to_bits());
    }
}
