//! The messages and methods are those of the public protocol, field by field.

use std::collections::BTreeSet;

use aimass_protocol::grpc::health::health_check_response::ServingStatus;
use prost::Message as _;
use prost_types::field_descriptor_proto::Label;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Message, field, number, type; `*` is repeated.
const FIELDS: &str = "
ServerLiveResponse live 1 bool
ServerReadyResponse ready 1 bool
ModelReadyRequest name 1 string
ModelReadyRequest version 2 string
ModelReadyResponse ready 1 bool
ServerMetadataResponse name 1 string
ServerMetadataResponse version 2 string
ServerMetadataResponse extensions 3 string*
ModelMetadataRequest name 1 string
ModelMetadataRequest version 2 string
ModelMetadataResponse name 1 string
ModelMetadataResponse versions 2 string*
ModelMetadataResponse platform 3 string
ModelMetadataResponse inputs 4 ModelMetadataResponse.TensorMetadata*
ModelMetadataResponse outputs 5 ModelMetadataResponse.TensorMetadata*
ModelMetadataResponse.TensorMetadata name 1 string
ModelMetadataResponse.TensorMetadata datatype 2 string
ModelMetadataResponse.TensorMetadata shape 3 int64*
ModelInferRequest model_name 1 string
ModelInferRequest model_version 2 string
ModelInferRequest id 3 string
ModelInferRequest parameters 4 ModelInferRequest.ParametersEntry*
ModelInferRequest inputs 5 ModelInferRequest.InferInputTensor*
ModelInferRequest outputs 6 ModelInferRequest.InferRequestedOutputTensor*
ModelInferRequest raw_input_contents 7 bytes*
ModelInferRequest.ParametersEntry key 1 string
ModelInferRequest.ParametersEntry value 2 InferParameter
ModelInferRequest.InferInputTensor name 1 string
ModelInferRequest.InferInputTensor datatype 2 string
ModelInferRequest.InferInputTensor shape 3 int64*
ModelInferRequest.InferInputTensor parameters 4 ModelInferRequest.InferInputTensor.ParametersEntry*
ModelInferRequest.InferInputTensor contents 5 InferTensorContents
ModelInferRequest.InferInputTensor.ParametersEntry key 1 string
ModelInferRequest.InferInputTensor.ParametersEntry value 2 InferParameter
ModelInferRequest.InferRequestedOutputTensor name 1 string
ModelInferRequest.InferRequestedOutputTensor parameters 2 ModelInferRequest.InferRequestedOutputTensor.ParametersEntry*
ModelInferRequest.InferRequestedOutputTensor.ParametersEntry key 1 string
ModelInferRequest.InferRequestedOutputTensor.ParametersEntry value 2 InferParameter
ModelInferResponse model_name 1 string
ModelInferResponse model_version 2 string
ModelInferResponse id 3 string
ModelInferResponse parameters 4 ModelInferResponse.ParametersEntry*
ModelInferResponse outputs 5 ModelInferResponse.InferOutputTensor*
ModelInferResponse raw_output_contents 6 bytes*
ModelInferResponse.ParametersEntry key 1 string
ModelInferResponse.ParametersEntry value 2 InferParameter
ModelInferResponse.InferOutputTensor name 1 string
ModelInferResponse.InferOutputTensor datatype 2 string
ModelInferResponse.InferOutputTensor shape 3 int64*
ModelInferResponse.InferOutputTensor parameters 4 ModelInferResponse.InferOutputTensor.ParametersEntry*
ModelInferResponse.InferOutputTensor contents 5 InferTensorContents
ModelInferResponse.InferOutputTensor.ParametersEntry key 1 string
ModelInferResponse.InferOutputTensor.ParametersEntry value 2 InferParameter
InferParameter bool_param 1 bool
InferParameter int64_param 2 int64
InferParameter string_param 3 string
InferParameter double_param 4 double
InferParameter uint64_param 5 uint64
InferTensorContents bool_contents 1 bool*
InferTensorContents int_contents 2 int32*
InferTensorContents int64_contents 3 int64*
InferTensorContents uint_contents 4 uint32*
InferTensorContents uint64_contents 5 uint64*
InferTensorContents fp32_contents 6 float*
InferTensorContents fp64_contents 7 double*
InferTensorContents bytes_contents 8 bytes*
";

const METHODS: [&str; 6] = [
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
];

/// What `build.rs` made the messages from: the file of that package.
fn file(package: &str) -> FileDescriptorProto {
    let descriptors = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors"));
    let files = FileDescriptorSet::decode(descriptors.as_slice())
        .unwrap()
        .file;
    let mut of_package = files.into_iter().filter(|file| file.package() == package);
    of_package.next().unwrap()
}

/// The lines of [`FIELDS`] as `file` has them.
fn fields(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let messages = file.message_type.iter();
    let mut open: Vec<_> = messages
        .map(|message| (message.name().to_owned(), message))
        .collect();
    let package = format!(".{}.", file.package());
    while let Some((name, message)) = open.pop() {
        for field in &message.field {
            let scalar = || {
                field
                    .r#type()
                    .as_str_name()
                    .trim_start_matches("TYPE_")
                    .to_lowercase()
            };
            let kind = field.type_name().strip_prefix(package.as_str());
            let kind = kind.map_or_else(scalar, str::to_owned);
            let many = if field.label() == Label::Repeated {
                "*"
            } else {
                ""
            };
            let (field, number) = (field.name(), field.number());
            found.insert(format!("{name} {field} {number} {kind}{many}"));
        }
        let nested = message.nested_type.iter();
        open.extend(nested.map(|nested| (format!("{name}.{}", nested.name()), nested)));
    }
    found
}

#[test]
fn every_field_has_the_number_and_type_of_the_protocol() {
    let file = file("inference");
    let expect: BTreeSet<String> = FIELDS.trim().lines().map(str::to_owned).collect();
    assert_eq!(fields(&file), expect);
}

#[test]
fn every_method_is_unary_and_named_as_its_messages() {
    let file = file("inference");
    let [service] = file.service.as_slice() else {
        panic!("one service")
    };
    let name = format!("inference.{}", service.name());
    assert_eq!(name, aimass_protocol::grpc::SERVICE);
    let names: Vec<&str> = service.method.iter().map(|method| method.name()).collect();
    assert_eq!(names, METHODS);
    for method in &service.method {
        let name = method.name();
        assert_eq!(method.input_type(), format!(".inference.{name}Request"));
        assert_eq!(method.output_type(), format!(".inference.{name}Response"));
        assert!(!method.client_streaming() && !method.server_streaming());
    }
}

#[test]
fn health_has_the_numbers_of_grpc() {
    let file = file("grpc.health.v1");
    let expect = [
        "HealthCheckRequest service 1 string",
        "HealthCheckResponse status 1 HealthCheckResponse.ServingStatus",
    ];
    assert!(fields(&file).iter().eq(expect.iter()));
    let name = format!("grpc.health.v1.{}", file.service[0].name());
    assert_eq!(name, aimass_protocol::grpc::health::SERVICE);
    assert_eq!(i32::from(ServingStatus::Serving), 1);
    assert_eq!(i32::from(ServingStatus::NotServing), 2);
}
