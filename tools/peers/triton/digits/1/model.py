"""The digits model for Triton's Python backend, the only one that its wheel has. Requests of a batch are run as one."""
import os
import sys

# The backend's stub is not given PYTHONPATH.
sys.path.insert(0, os.environ["AIMASS_PEER_PACKAGES"])

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    def initialize(self, _args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["AIMASS_PEER_MODEL"], options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        inputs = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        (answers,) = self.session.run(None, {"x": np.concatenate(inputs)})
        ends = np.cumsum([len(rows) for rows in inputs])[:-1]
        return [triton.InferenceResponse([triton.Tensor("probabilities", rows)]) for rows in np.split(answers, ends)]
