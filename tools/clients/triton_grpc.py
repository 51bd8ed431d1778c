"""NVIDIA's client for the Open Inference Protocol over gRPC: raw and typed tensors, compression, refusals.

usage: triton_grpc.py http://HOST:PORT
"""
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("my_model")
assert client.get_server_metadata().name == "aimass"
metadata = client.get_model_metadata("my_model")
assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [("x", "FP32", [-1, 1])], metadata


def given(values):
    tensor = triton.InferInput("x", values.shape, "FP32")
    tensor.set_data_from_numpy(values)
    return tensor


values = np.array([[1.0], [2.0], [5.0]], np.float32)
for compression in (None, "gzip", "deflate"):
    result = client.infer("my_model", [given(values)], request_id="7", compression_algorithm=compression, client_timeout=30)
    np.testing.assert_allclose(result.as_numpy("y"), 2 * values, rtol=1e-5)
    assert result.get_response().id == "7" and result.get_response().model_version == "7"

for model, tensor, status in (
    ("my_model", given(np.zeros((3, 2), np.float32)), "INVALID_ARGUMENT"),
    ("other", given(values), "NOT_FOUND"),
):
    try:
        client.infer(model, [tensor])
    except InferenceServerException as error:
        assert status in error.status(), error
    else:
        raise AssertionError(f"{status} was expected")
