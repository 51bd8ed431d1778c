"""The digits model behind KServe's SDK. usage: kserve_server.py PORT"""
import os
import sys

import numpy as np
import onnxruntime
from kserve import Model, ModelServer

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["AIMASS_PEER_MODEL"], options, providers=["CPUExecutionProvider"])


class Digits(Model):
    def __init__(self):
        super().__init__("digits")
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        (answers,) = session.run(None, {"x": np.array(payload["instances"], np.float32)})
        return {"predictions": answers.tolist()}


ModelServer(http_port=int(sys.argv[1]), workers=1, enable_grpc=False).start([Digits()])
