"""KServe's client for the Open Inference Protocol over HTTP.

usage: kserve_v2.py http://HOST:PORT
"""
import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

server = sys.argv[1]
values = np.array([[1.0], [2.0], [5.0]], np.float32)


async def ask():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await client.is_server_live(server)
    assert await client.is_server_ready(server)
    assert await client.is_model_ready(server, "my_model")
    for binary in (False, True):
        given = InferInput("x", list(values.shape), "FP32")
        given.set_data_from_numpy(values, binary_data=binary)
        request = InferRequest(model_name="my_model", infer_inputs=[given], request_id="7")
        answer = await client.infer(server, request, model_name="my_model")
        np.testing.assert_allclose(answer.outputs[0].as_numpy(), 2 * values, rtol=1e-5)
        assert answer.id == "7", answer.id
    await client.close()


asyncio.run(ask())
