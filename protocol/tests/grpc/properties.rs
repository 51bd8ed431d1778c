//! What holds for any input: nothing panics, what is written is read back.

#[path = "../wire/arbitrary.rs"]
mod arbitrary;

use aimass_protocol::grpc::model_infer_request::InferInputTensor;
use aimass_protocol::grpc::{
    Answer, ModelInferRequest, ModelInferResponse, answer, decode, parse, survey,
};
use aimass_protocol::v2::Requested;
use aimass_protocol::{DataType, Signature, Tensor};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{prop_assert, prop_assert_eq};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::models::{self, single};
use arbitrary::tensor;

/// The request that asks with what an answer says.
fn turned_around(answer: ModelInferResponse) -> ModelInferRequest {
    let input =
        |output: aimass_protocol::grpc::model_infer_response::InferOutputTensor| InferInputTensor {
            name: "x".to_owned(),
            datatype: output.datatype,
            shape: output.shape,
            parameters: output.parameters,
            contents: output.contents,
        };
    ModelInferRequest {
        model_name: answer.model_name,
        model_version: answer.model_version,
        id: answer.id,
        inputs: answer.outputs.into_iter().map(input).collect(),
        raw_input_contents: answer.raw_output_contents,
        ..ModelInferRequest::default()
    }
}

fn answered(tensor: &Tensor, binary: bool) -> ModelInferResponse {
    let signature = single(tensor.datatype());
    let requested = [Requested { output: 0, binary }];
    let about = Answer {
        model: "m",
        version: 7,
        id: Some("i"),
        limit: 1 << 24,
    };
    answer(&about, &signature, &requested, std::slice::from_ref(tensor)).unwrap()
}

fn signatures() -> Vec<Signature> {
    let mut all = vec![models::half(), models::iris(), models::pair()];
    all.extend(DataType::ALL.map(single));
    all
}

/// Random bytes, and good messages of which some bytes are wrong.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let message = (tensor(false), any::<bool>())
        .prop_map(|(tensor, binary)| turned_around(answered(&tensor, binary)).encode_to_vec());
    let damage = vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4);
    let damaged = (message, damage).prop_map(|(mut message, damage)| {
        for (place, byte) in damage {
            let place = place.index(message.len());
            message[place] = byte;
        }
        message
    });
    let field = prop_oneof![
        Just(vec![0x2A, 0]),
        Just(vec![0x22, 4, 0x0A, 0, 0x12, 0]),
        Just(vec![0x3A, 0]),
        vec(any::<u8>(), 0..6),
    ];
    let fields = vec(field, 0..8).prop_map(|fields| fields.concat());
    prop_oneof![vec(any::<u8>(), 0..100), damaged, fields]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic_and_every_refusal_has_a_short_text(message in bytes()) {
        let mut errors: Vec<_> = survey(&message).err().into_iter().collect();
        match decode::<ModelInferRequest>(Bytes::from(message)) {
            Err(error) => errors.push(error),
            Ok(request) => {
                for signature in signatures() {
                    errors.extend(parse(request.clone(), &signature).err());
                }
            }
        }
        for error in errors {
            prop_assert_eq!(error.kind.code().number(), 3, "{}", error.text);
            prop_assert!(error.text.len() < 1500, "{}", error.text);
        }
    }

    #[test]
    fn what_can_be_surveyed_takes_no_more_memory_than_told(tensor in tensor(false)) {
        let message = turned_around(answered(&tensor, false)).encode_to_vec();
        let told = survey(&message).unwrap();
        let size = tensor.datatype().size().unwrap_or(size_of::<Bytes>());
        let typed = !matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16);
        prop_assert!(!typed || told >= tensor.data().len() * size, "{told}");
    }

    #[test]
    fn a_tensor_that_is_answered_is_read_back(tensor in tensor(false), binary in any::<bool>()) {
        let request = turned_around(answered(&tensor, binary));
        let decoded: ModelInferRequest = decode(request.encode_to_vec().into()).unwrap();
        prop_assert_eq!(&decoded, &request);
        let again: ModelInferRequest = decode(decoded.encode_to_vec().into()).unwrap();
        prop_assert_eq!(&again, &decoded);
        let infer = parse(decoded, &single(tensor.datatype())).unwrap();
        prop_assert_eq!(infer.inputs, vec![tensor]);
        prop_assert_eq!(infer.id.as_deref(), Some("i"));
    }
}
