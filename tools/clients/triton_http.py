"""NVIDIA's client for the Open Inference Protocol over HTTP: JSON, binary tensors, compression.

usage: triton_http.py http://HOST:PORT
"""
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("my_model")
assert client.get_server_metadata()["name"] == "aimass"
metadata = client.get_model_metadata("my_model")
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}], metadata

values = np.array([[1.0], [2.0], [5.0]], np.float32)
for binary_in in (False, True):
    for binary_out in (False, True):
        for compression in (None, "gzip", "deflate"):
            given = triton.InferInput("x", values.shape, "FP32")
            given.set_data_from_numpy(values, binary_data=binary_in)
            wanted = triton.InferRequestedOutput("y", binary_data=binary_out)
            result = client.infer("my_model", [given], outputs=[wanted], request_id="7", request_compression_algorithm=compression)
            np.testing.assert_allclose(result.as_numpy("y"), 2 * values, rtol=1e-5)
            assert result.get_response()["id"] == "7"

# Without a wish for outputs this client asks for all of them as binary tensors.
given = triton.InferInput("x", values.shape, "FP32")
given.set_data_from_numpy(values)
np.testing.assert_allclose(client.infer("my_model", [given]).as_numpy("y"), 2 * values, rtol=1e-5)

wrong = triton.InferInput("x", [3, 2], "FP32")
wrong.set_data_from_numpy(np.zeros((3, 2), np.float32))
try:
    client.infer("my_model", [wrong])
except InferenceServerException as error:
    assert error.status() == "400" and "shape [3,2]" in error.message(), error
else:
    raise AssertionError("a wrong shape was answered")
